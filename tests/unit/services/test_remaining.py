"""What is left to do in a project, and the tabs by which people do it."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from backend.confidence.certificate import Certificate, ErrorOf
from backend.core.errors import ConfigError
from backend.core.values import Outcome, TaskState
from backend.services.certifying import Certifying
from backend.services.queue_tabs import (
    AUDIT,
    CONFLICTS,
    MOST_RANGES,
    VERIFY,
    SavedTab,
    hiding,
    save_tabs,
    showing,
)
from backend.services.remaining import Remainders, Remaining
from tests.fakes.installation import Installation
from tests.unit.services.test_certifying import scored
from tests.unit.services.test_report import Site, region

CITIES = ("Oslo", "Lima", "Rome", "Bern", "Cairo", "Kyiv", "Quito", "Delhi")


def look(installation: Installation, project_id: int, **options: Any) -> Remaining:
    return Remainders(store=installation.store, labels=installation.labels).look(project_id, **options)


def tabs(installation: Installation, remaining: Remaining, **options: Any) -> dict[str, SavedTab]:
    saved = save_tabs(installation.store, installation.labels, ["text"], remaining, **options)
    return {one.tab.title: one for one in saved}


def shown(tab: SavedTab, task_ids: Collection[int]) -> list[int]:
    """Of these tasks those that the tab's ranges leave."""
    ranges = [i["value"] for i in tab.tab.data["filters"]["items"] if i["filter"] == "filter:tasks:id"]
    return [n for n in sorted(task_ids) if not any(r["min"] <= n <= r["max"] for r in ranges)]


def by_score(installation: Installation, project_id: int, scores: Sequence[float | None]) -> list[int]:
    """Answered with these scores, in the order of the tasks; their ids."""
    installation.start_run(project_id)
    version = installation.version(project_id)
    task_ids = sorted(installation.labels.projects[project_id].tasks)
    installation.queue.messages.clear()
    records = installation.store.claim(version, project_id, task_ids, "here")
    for record, score in zip(sorted(records, key=lambda r: r.task_id), scores, strict=True):
        outcome = Outcome(state=TaskState.DONE, result=tuple(region("positive")), score=score)
        installation.store.save_outcomes([(record.id, record.data_hash, outcome)])
    installation.worker.write_back(project_id)
    return task_ids


def repeated(installation: Installation) -> tuple[int, list[int]]:
    """Six tasks that ask the same, of descending score, and two others."""
    same = [f"Where in {CITIES[0]} do I find the office that changes a lost card number {n}?" for n in range(6)]
    project_id, _ = installation.project(*same, "good", "bad")
    return project_id, by_score(installation, project_id, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, None])


class TestPlaces:
    def test_before_anything_is_predicted(self) -> None:
        installation = Installation()
        project_id, _ = installation.project("good", "bad")
        installation.start_run(project_id)
        found = look(installation, project_id)
        assert (found.counts["waiting"], sum(found.counts.values())) == (2, 2)

    def test_every_task_is_in_one_place(self) -> None:
        site = scored()
        others = [task_id for task_id in site.task_ids if task_id not in site.blind]
        site.annotate(site.blind[:4])
        site.annotate(others[:3])
        labels = site.installation.labels
        labels.annotate(others[3], [], skipped=True)
        new = labels.add_tasks(site.project_id, [{"text": "new"}])
        site.installation.verifier.catch_up(site.project_id, everything=True)
        found = look(site.installation, site.project_id, cap=0)
        assert found.counts == {
            "done": 7,
            "accepted": 0,
            "skipped": 1,
            "audit": len(site.blind) - 4,
            "waiting": 1,
            "verify": len(others) - 4,
            "repeat": 0,
        }
        assert found.places[new[0]] == "waiting"
        assert found.withheld == len(site.blind) - 4
        assert found.withheld == site.installation.store.withheld(site.project_id, found.version)
        assert set(found.ids("audit")) == set(site.blind[4:])
        blind = site.blind
        site.installation.auditing.end(site.project_id)
        site.installation.work_off()
        ended = look(site.installation, site.project_id, cap=0)
        assert (ended.counts["audit"], ended.counts["verify"]) == (0, len(others) - 4 + len(blind) - 4)

    def test_nobodys_regions_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        site = scored()
        site.annotate(site.blind)
        regions = Mock(side_effect=AssertionError("a hundred thousand of them take gigabytes"))
        monkeypatch.setattr(site.installation.store, "verifications", regions)
        assert look(site.installation, site.project_id).counts["done"] == len(site.blind)

    def test_what_is_accepted_leaves_and_comes_back(self) -> None:
        site = scored()
        site.annotate(site.blind)
        certifying = Certifying(store=site.installation.store, labels=site.installation.labels)
        verdict = certifying.verdict(site.project_id, max_error=0.25, confidence=0.95, error_of=ErrorOf.ALL)
        assert isinstance(verdict.found, Certificate)
        before = look(site.installation, site.project_id)
        left = before.counts["verify"] + before.counts["repeat"] + before.counts["audit"]
        assert left == verdict.found.accepted + verdict.found.to_check  # the same tasks as the certificate's
        certifying.accept(site.project_id, verdict)
        site.installation.verifier.catch_up(site.project_id, everything=True)
        after = look(site.installation, site.project_id)
        assert after.counts["accepted"] == len(verdict.accepted) > 0
        assert not {i for i, place in after.places.items() if place != "accepted"} & set(verdict.accepted)
        certifying.undo(site.project_id)
        assert look(site.installation, site.project_id).places == before.places

    def test_annotations_of_a_text_that_changed_are_of_no_use(self) -> None:
        site = Site(on=False)
        site.annotate(site.task_ids[:2])
        site.installation.labels.edit_task(site.project_id, site.task_ids[0], {"text": "quite another"})
        site.installation.verifier.look(site.project_id, site.task_ids[:1])
        found = look(site.installation, site.project_id)
        assert (found.counts["done"], found.unusable) == (2, 1)

    def test_an_unknown_project(self) -> None:
        with pytest.raises(ConfigError, match="prelabel connect"):
            look(Installation(), 99)


class TestRepeats:
    def test_the_least_certain_come_first_and_of_near_duplicates_three(self) -> None:
        installation = Installation()
        project_id, ids = repeated(installation)
        found = look(installation, project_id)
        assert found.ids("verify") == [ids[6], ids[5], ids[4], ids[3], ids[7]]
        assert found.ids("repeat") == [ids[2], ids[1], ids[0]]
        assert (found.of_verified, found.below(0.5), found.below(0.65)) == (0, 2, 4)
        assert look(installation, project_id, cap=1).counts["repeat"] == 5
        assert look(installation, project_id, cap=0).counts["repeat"] == 0

    def test_what_people_have_verified_counts_first(self) -> None:
        installation = Installation()
        project_id, ids = repeated(installation)
        for task_id in ids[:3]:
            installation.labels.annotate(task_id, region("positive"))
        installation.verifier.look(project_id, ids)
        found = look(installation, project_id)
        assert found.ids("verify") == [ids[6], ids[7]]
        assert found.ids("repeat") == [ids[5], ids[4], ids[3]]
        assert found.of_verified == 3

    def test_tasks_without_text_are_no_repeats(self) -> None:
        installation = Installation()
        project_id, _ = installation.project(*[" "] * 5)
        installation.run(project_id)
        found = look(installation, project_id)
        assert found.counts["repeat"] == 0
        assert (found.counts["verify"], found.unread) == (5, 5)


class TestTabs:
    def test_verify_next_hides_the_repeats_and_is_made_once(self) -> None:
        installation = Installation()
        project_id, ids = repeated(installation)
        found = look(installation, project_id)
        (saved,) = tabs(installation, found).values()
        assert shown(saved, ids) == ids[3:]
        assert saved.tab.data["ordering"] == ["tasks:predictions_score"]
        items = {i["filter"].rpartition(":")[2]: i["value"] for i in saved.tab.data["filters"]["items"]}
        assert items["predictions_model_versions"] == [installation.version(project_id)]
        assert (items["completed_at"], items["cancelled_annotations"]) == ("True", 0)
        assert (saved.tasks, saved.beyond) == (5, 0)
        before = repr(installation.labels.projects[project_id].tabs)
        tabs(installation, found)
        assert repr(installation.labels.projects[project_id].tabs) == before

    def test_golden_questions_are_met_among_the_others_and_in_no_other_tab(self) -> None:
        installation = Installation()
        project_id, ids = repeated(installation)
        found = look(installation, project_id)
        places = {task_id: place for task_id, place in found.places.items() if task_id != ids[1]}
        found = replace(found, places=places, golden=frozenset({ids[1]}), conflicts=(ids[3],))
        saved = tabs(installation, found)
        assert shown(saved[VERIFY], ids) == [ids[1], *ids[3:]]
        assert shown(saved[CONFLICTS], ids) == [ids[3]]

    def test_a_tab_keeps_what_its_users_arranged(self) -> None:
        installation = Installation()
        project_id, _ = repeated(installation)
        found = look(installation, project_id)
        (saved,) = tabs(installation, found).values()
        installation.labels.save_tab(project_id, saved.tab.id, {**saved.tab.data, "gridWidth": 7, "ordering": []})
        (again,) = tabs(installation, found).values()
        assert (again.tab.id, again.tab.data["gridWidth"]) == (saved.tab.id, 7)
        assert again.tab.data["ordering"] == ["tasks:predictions_score"]

    @pytest.mark.parametrize("kind", [VERIFY, CONFLICTS, AUDIT])
    def test_a_tab_of_the_users_own_stays_as_it_is(self, kind: str) -> None:
        site = scored()
        installation, project_id = site.installation, site.project_id
        column = {"filter": "filter:tasks:data.invoice", "operator": "contains", "type": "String", "value": "2024"}
        mine = {
            "title": kind,
            "type": "list",
            "target": "tasks",
            "ordering": ["-tasks:id"],
            "filters": {"conjunction": "and", "items": [column]},
        }
        users = installation.labels.save_tab(project_id, None, mine)
        found = replace(look(installation, project_id), conflicts=())
        assert not [title for title in tabs(installation, found) if title.startswith(AUDIT)]
        for _ in range(2):
            saved = tabs(installation, found, audit=True)
            assert set(saved) == {VERIFY, CONFLICTS, AUDIT} - {kind} | {f"{kind} (Prelabel)"}
            assert {one.kind for one in saved.values()} == {VERIFY, CONFLICTS, AUDIT}
        there = {tab.id: tab for tab in installation.labels.tabs(project_id)}
        assert len(there) == 4
        assert there[users.id].data == mine

    def test_a_tab_that_its_users_renamed_is_theirs(self) -> None:
        installation = Installation()
        project_id, _ = repeated(installation)
        (saved,) = tabs(installation, look(installation, project_id)).values()
        renamed = {**saved.tab.data, "title": "Mine"}
        installation.labels.save_tab(project_id, saved.tab.id, renamed)
        (again,) = tabs(installation, look(installation, project_id)).values()
        assert (again.tab.title, again.tab.id == saved.tab.id) == (VERIFY, False)
        assert {tab.id: tab.data for tab in installation.labels.tabs(project_id)}[saved.tab.id] == renamed

    def test_the_audit_has_a_tab_where_it_is_asked_for(self) -> None:
        site = scored()
        found = look(site.installation, site.project_id)
        assert AUDIT not in tabs(site.installation, found)
        tab = tabs(site.installation, found, audit=True)[AUDIT]
        assert shown(tab, [*site.task_ids, 10_000]) == site.blind
        site.annotate(site.blind[:5])
        tab = tabs(site.installation, look(site.installation, site.project_id))[AUDIT]  # it is there by now
        assert shown(tab, site.task_ids) == site.blind[5:]

    def test_conflicts_are_those_of_run_differ_but_what_is_done_or_blind(self) -> None:
        site = scored()
        found = look(site.installation, site.project_id, differ=("a@1", "b@1"))
        assert found.conflicts == ()
        assert shown(tabs(site.installation, found)[CONFLICTS], site.task_ids) == []

    def test_conflicts_are_told_by_the_stored_answers_of_both(self) -> None:
        installation = Installation()
        project_id, ids = installation.project("Where is my card", "The soup is cold", "This was good", "That was bad")
        installation.run(project_id)
        second = "second@00000000"
        job = installation.store.create_job(project_id, second, "run")
        installation.store.enlist(job, installation.labels.tasks(project_id, ["text"]), absent=True)
        for record in installation.store.claim(second, project_id, ids, "here"):
            outcome = Outcome(state=TaskState.DONE, result=tuple(region("negative")), score=0.5)
            installation.store.save_outcomes([(record.id, record.data_hash, outcome)])
        first = installation.version(project_id)
        assert look(installation, project_id, differ=(first, second)).conflicts == tuple(ids[:3])
        installation.labels.annotate(ids[0], region("positive"))
        installation.verifier.look(project_id, ids)
        found = look(installation, project_id, differ=(second, first))
        assert found.conflicts == tuple(ids[1:3])
        tab = tabs(installation, found)[CONFLICTS]
        assert (shown(tab, ids), tab.tasks) == (ids[1:3], 2)


@pytest.mark.parametrize("seed", range(20))
def test_ranges_hold_what_is_unwanted_and_nothing_wanted(seed: int) -> None:
    chance = random.Random(seed)
    ids = chance.sample(range(1, 2_000), 400)
    wanted, unwanted = ids[: chance.randrange(1, 300)], ids[300:]
    held, ranges = hiding(unwanted, wanted)
    inside = [n for n in ids if any(low <= n <= high for low, high in ranges)]
    assert not set(inside) & set(wanted)
    assert len(set(inside) & set(unwanted)) == held
    assert len(ranges) <= MOST_RANGES
    assert held == len(unwanted) or len(ranges) == MOST_RANGES
    assert any(low <= unwanted[0] <= high for low, high in ranges)  # what comes first is hidden

    count, ranges = showing(wanted, ids)
    left = {n for n in [*ids, 9_999] if not any(low <= n <= high for low, high in ranges)}
    assert left == set(wanted[:count])
    assert len(ranges) <= MOST_RANGES
    assert count == len(wanted) or count == MOST_RANGES - 1
