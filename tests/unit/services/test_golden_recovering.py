"""Golden questions of which only a half was made: what is a copy is found again, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backend.core.errors import LabelStudioError, LabelStudioUnreachable
from backend.ports.labels import NewTask
from tests.unit.services.test_golden import DILIGENT, Site

A_MONTH_S = 30 * 24 * 3600


def after_import(site: Site, error: LabelStudioError, *, imported: int = 1_000) -> Callable[..., list[int]]:
    inner = site.here.labels.import_tasks

    def cut(project_id: int, tasks: Any) -> list[int]:
        if tasks[:imported]:
            inner(project_id, tasks[:imported])
        raise error

    return cut


def cut_off(site: Site, error: LabelStudioError, *, imported: int = 1_000) -> list[int]:
    """`golden make` whose import ends in that error; the tasks that are new in Label Studio."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(site.here.labels, "import_tasks", after_import(site, error, imported=imported))
        with pytest.raises(type(error)):
            site.make()
    return sorted(set(site.here.labels.projects[site.project_id].tasks) - set(site.ids))


def look(site: Site) -> None:
    """As the sweeper and the workers do by themselves."""
    site.here.queue.checked.clear()
    site.here.sweeper.look()
    site.here.work_off()


def unheard() -> LabelStudioError:
    return LabelStudioUnreachable("it did not answer in time")


@pytest.mark.parametrize("looked", [True, False])
def test_a_users_tasks_that_say_the_same_are_never_taken_for_copies(looked: bool) -> None:
    site = Site()
    assert cut_off(site, unheard(), imported=0) == []
    if looked:
        look(site)
    site.here.clock.sleep(A_MONTH_S)
    site.here.labels.now = site.here.clock.now
    theirs = site.here.labels.add_tasks(site.project_id, [dict(site.data(i)) for i in site.ids[:60]])
    site.here.run(site.project_id)
    site.annotate(list(theirs), by=1)
    assert site.here.golden.end(site.project_id) == 0
    assert set(theirs) <= set(site.here.labels.projects[site.project_id].tasks)
    assert set(theirs) <= set(site.store.verified_task_ids(site.project_id))


@pytest.mark.parametrize("what", ["other columns", "another result", "another version", "late"])
def test_what_differs_from_a_copy_in_anything_is_none(what: str) -> None:
    site = Site()
    copies = cut_off(site, unheard())
    tasks, labels = site.here.labels.projects[site.project_id].tasks, site.here.labels
    rows = site.copies
    labels.delete_tasks(site.project_id, copies)
    if what == "late":
        site.here.labels.now = site.here.clock.now.replace(year=site.here.clock.now.year + 1)
    theirs = labels.import_tasks(
        site.project_id,
        [
            NewTask(
                data={**tasks[one.source_task_id], **({"id": "x"} if what == "other columns" else {})},
                model_version="other" if what == "another version" else one.written_as or "",
                result=tuple({**r, "id": "another"} for r in one.result) if what == "another result" else one.result,
                score=one.score,
            )
            for one in rows
        ],
    )
    look(site)
    assert [one.task_id for one in site.copies] == [None] * 30
    site.here.clock.sleep(700)
    assert site.here.golden.end(site.project_id) == 0
    assert set(theirs) <= set(tasks)


def test_copies_of_an_import_of_which_nobody_heard_are_known_without_another_command() -> None:
    site = Site()
    before = site.report()
    copies = cut_off(site, unheard())
    look(site)
    assert sorted(one.task_id or 0 for one in site.copies) == copies
    assert set(site.here.labels.overlaps) == set(copies)
    site.here.clock.sleep(900)
    site.annotate(copies, by=DILIGENT)
    site.here.run(site.project_id)
    assert {len(site.held(task_id)) for task_id in copies} == {1}
    after = site.report()
    assert after["annotations"] == {**before["annotations"], "golden": 30}
    assert after["versions"] == before["versions"]
    assert site.panel().people[DILIGENT].right == 30
    assert site.store.projects_with_unfinished_golden() == []


def test_what_came_to_nothing_is_forgotten_once_it_cannot_come_any_more() -> None:
    site = Site()
    cut_off(site, unheard(), imported=0)
    look(site)
    assert len(site.copies) == 30
    site.here.clock.sleep(700)
    look(site)
    assert site.copies == []
    assert len(site.make().questions) == 30


def test_an_answer_that_is_no_refusal_leaves_the_copies_known() -> None:
    site = Site()
    copies = cut_off(site, LabelStudioError("does not answer as Label Studio does", may_be_done=True))
    look(site)
    assert site.here.golden.end(site.project_id) == len(copies) == 30


def test_an_import_that_never_left_leaves_nothing_behind() -> None:
    site = Site()
    cut_off(site, LabelStudioUnreachable("cannot be reached", may_be_done=False), imported=0)
    assert site.copies == []


def test_a_number_of_annotators_that_is_refused_keeps_nobody_from_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()

    def refuses(task_id: int, annotators: int) -> None:
        raise LabelStudioError("refused", status=400)

    monkeypatch.setattr(site.here.labels, "set_overlap", refuses)
    with pytest.raises(LabelStudioError, match="refused"):
        site.make(14)
    look(site)
    assert site.here.golden.end(site.project_id) == 14


def test_how_many_are_to_annotate_is_told_of_all_copies_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    inner, told = site.here.labels.set_overlap, []

    def breaks(task_id: int, annotators: int) -> None:
        told.append(task_id)
        if len(told) > 5:
            raise LabelStudioUnreachable("away")
        inner(task_id, annotators)

    with monkeypatch.context() as patched:
        patched.setattr(site.here.labels, "set_overlap", breaks)
        with pytest.raises(LabelStudioUnreachable):
            site.make(14)
    assert (len(site.copies), len(site.here.labels.overlaps)) == (14, 5)
    site.here.labels.delete_tasks(site.project_id, [site.copies[9].task_id or 0])
    calls = len(site.here.labels.calls)
    look(site)
    assert len([name for name, _ in site.here.labels.calls[calls:] if name == "set_overlap"]) == 8
    assert set(site.here.labels.overlaps.values()) == {2}
    assert len(site.here.labels.overlaps) == 13
    assert site.store.projects_with_unfinished_golden() == []
