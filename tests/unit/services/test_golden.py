"""Golden questions over the whole way: made, hidden among the others, answered, marked; and who is left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backend.confidence.certificate import ErrorOf
from backend.core.audit import AuditRule
from backend.core.errors import InputError, LabelStudioError, LabelStudioUnreachable, QueueError
from backend.core.golden import GoldenTask
from backend.core.values import Task, TaskState
from backend.labeling.parsing import parse_config
from backend.services.certifying import Certifying
from backend.services.comparing import Comparing
from backend.services.golden_panel import Panel, panel
from backend.services.report import Reports
from backend.services.scorings import to_write
from tests.fakes.installation import CONFIG, Installation
from tests.unit.services.test_learning import Learner
from tests.unit.services.test_report import LABELS, region
from tests.unit.test_cli import Command, prelabel  # noqa: F401  - a fixture

DILIGENT, LAZY = 7, 8
OTHER = {"positive": "negative", "negative": "positive"}


class Site:
    """A project of which two people have verified most, and agree."""

    def __init__(self, tasks: int = 80, verified: int = 60, config: str = CONFIG, **rule: Any) -> None:
        self.here = Installation(audit=AuditRule(**{"on": False, **rule}), chunk_size=50)
        texts = [f"{('good', 'bad')[n % 2]} number {n:03}" for n in range(tasks)]
        self.project_id, self.ids = self.here.project(*texts, config=config)
        self.here.run(self.project_id)
        self.here.labels.now = self.here.clock.now
        for person in (1, 2):
            self.annotate(self.ids[:verified], by=person)

    @property
    def store(self) -> Any:
        return self.here.store

    @property
    def version(self) -> str:
        return self.here.version(self.project_id)

    @property
    def copies(self) -> list[GoldenTask]:
        return list(self.store.golden_tasks(self.project_id))

    def data(self, task_id: int) -> Any:
        return self.here.labels.projects[self.project_id].tasks[task_id]

    def truth(self, task_id: int) -> str:
        return "negative" if "bad" in self.data(task_id)["text"] else "positive"

    def held(self, task_id: int) -> dict[int, Any]:
        found = self.here.labels.projects[self.project_id].predictions
        return {number: p for number, p in found.items() if p.task_id == task_id}

    def annotate(self, task_ids: list[int], *, by: int, accepts: bool = False, wrong: int = 0) -> None:
        """Each starts from the prediction that is shown; whoever accepts submits just that."""
        for place, task_id in enumerate(task_ids):
            held = self.held(task_id)
            shown = [p.result[0]["value"]["choices"][0] for p in held.values()]
            said = shown[-1] if accepts else self.truth(task_id)
            said = OTHER[said] if place < wrong else said
            self.here.labels.annotate(task_id, region(said), parent=max(held, default=None), by=by)
        self.here.verifier.look(self.project_id, task_ids)
        self.here.work_off()

    def make(self, count: int = 30, **how: Any) -> Any:
        return self.here.golden.make(self.project_id, count, **how)

    def panel(self) -> Panel:
        row = self.store.project(self.project_id)
        assert row is not None
        return panel(self.store, row)

    def report(self) -> dict[str, Any]:
        clock = self.here.clock
        reports = Reports(store=self.store, labels=None, cost=lambda project, version, usage: None, clock=clock)
        return reports.report(self.project_id)


def both_answer(site: Site) -> list[int]:
    copies = [one.task_id for one in site.copies if one.task_id is not None]
    site.annotate(copies, by=DILIGENT)
    site.annotate(copies, by=LAZY, accepts=True)
    return copies


def test_copies_look_like_all_other_tasks() -> None:
    site = Site()
    made = site.make()
    assert (len(made.questions), sum(one.trap for one in made.questions), made.weak) == (30, 8, 0)
    assert sum(one.label == "positive" for one in made.questions) == 15
    shown = site.here.labels.project(site.project_id).model_version or site.version
    for one in made.questions:
        assert one.task_id is not None
        assert one.task_id not in site.ids
        assert site.data(one.task_id) == site.data(one.source_task_id)
        (prediction,) = site.held(one.task_id).values()
        assert prediction.model_version == shown
        (original,) = site.held(one.source_task_id).values()
        assert prediction.score == original.score
        assert prediction.result[0]["value"] == {"choices": [one.shown]}
        assert {k: v for k, v in prediction.result[0].items() if k != "value"} == {
            k: v for k, v in original.result[0].items() if k != "value"
        }
        assert (one.shown == site.truth(one.task_id)) is not one.trap
        assert one.label == site.truth(one.task_id)
    assert set(site.here.labels.overlaps.values()) == {2}


def test_a_dry_run_tells_the_same_and_imports_nothing() -> None:
    site = Site()
    told = site.make(dry_run=True)
    assert site.copies == []
    assert not [name for name, _ in site.here.labels.calls if name in ("import_tasks", "set_overlap")]
    made = site.make()
    assert [(one.source_task_id, one.shown) for one in told.questions] == [
        (one.source_task_id, one.shown) for one in made.questions
    ]


def test_who_answers_with_care_passes_and_who_accepts_everything_fails() -> None:
    site = Site()
    site.make()
    both_answer(site)
    people = site.panel().people
    assert (people[DILIGENT].verdict, people[DILIGENT].right, people[DILIGENT].caught) == ("pass", 30, 8)
    assert (people[LAZY].verdict, people[LAZY].right, people[LAZY].caught) == ("fail", 22, 0)
    assert people[1].verdict == "not enough yet"
    assert (people[1].answered, people[1].more) == (0, 30)


def test_with_two_answers_it_is_too_early() -> None:
    site = Site()
    site.make()
    copies = [one.task_id for one in site.copies if one.task_id is not None and not one.trap]
    site.annotate(copies[:2], by=DILIGENT)
    found = site.panel().people[DILIGENT]
    assert (found.verdict, found.answered, found.more) == ("not enough yet", 2, 28)
    assert found.because.startswith("2 of 2 golden questions right")


def test_the_first_answer_counts_and_what_was_skipped_does_not() -> None:
    site = Site()
    site.make()
    one = next(one for one in site.copies if one.trap)
    assert one.task_id is not None
    site.here.labels.annotate(one.task_id, [], by=DILIGENT, skipped=True)
    site.annotate([one.task_id], by=DILIGENT, accepts=True)
    site.annotate([one.task_id], by=DILIGENT)
    found = site.panel().people[DILIGENT]
    assert (found.answered, found.right) == (1, 0)


def test_golden_questions_are_in_no_figure_but_their_own() -> None:
    site = Site()
    before = site.report()
    records = len(site.store.records(site.project_id, site.version, range(1, 10_000)))
    site.make()
    both_answer(site)
    after = site.report()
    assert after["versions"] == before["versions"]
    assert after["people"] == before["people"]
    assert after["annotations"] == {**before["annotations"], "golden": 60}
    assert after["golden"]["questions"] == 30
    assert len(site.store.records(site.project_id, site.version, range(1, 10_000))) == records
    assert not site.store.golden_set_apart(site.project_id) & set(site.store.verified_task_ids(site.project_id)) - set(
        site.ids
    )


def test_they_are_asked_of_no_model() -> None:
    site = Site()
    site.make()
    copies = [one.task_id for one in site.copies if one.task_id is not None]
    asked = len(site.here.model.requests)
    site.here.run(site.project_id, [*copies, *site.ids])
    for task_id in copies:
        site.here.labels.delete_prediction(next(iter(site.held(task_id))))
    site.here.run(site.project_id)
    raw = site.here.raw_tasks(site.project_id, copies)
    assert site.here.predictor.answer(site.project_id, raw, None, interactive=False) == [[]] * len(copies)
    assert site.here.predictor.answer(site.project_id, raw, None, interactive=True) == [[]] * len(copies)
    assert len(site.here.model.requests) == asked
    assert not site.store.records(site.project_id, site.version, copies)


def test_a_worker_that_hears_of_them_before_they_are_noted_leaves_them_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    row = site.store.project(site.project_id)
    site.store.save_project(replace(row, auto_start=True))
    inner = site.here.labels.import_tasks

    def told_at_once(project_id: int, tasks: Any) -> list[int]:
        ids = inner(project_id, tasks)
        site.here.jobs.auto_start(project_id, ids)
        site.here.work_off()
        return ids

    monkeypatch.setattr(site.here.labels, "import_tasks", told_at_once)
    asked = len(site.here.model.requests)
    site.make()
    assert len(site.here.model.requests) == asked
    assert all(len(site.held(one.task_id or 0)) == 1 for one in site.copies)


def test_neither_copies_nor_their_originals_serve_as_examples() -> None:
    site = Site()
    row = site.store.project(site.project_id)
    config = parse_config(row.label_config)
    pool = site.here.projects.verified_examples
    assert {task.task_id for task in pool.pool(site.project_id, config).tasks} == set(site.ids[:60])
    site.make()
    both_answer(site)
    left = {task.task_id for task in pool.pool(site.project_id, config).tasks}
    assert left == set(site.ids[:60]) - {one.source_task_id for one in site.copies}
    site.here.golden.end(site.project_id)
    assert {task.task_id for task in pool.pool(site.project_id, config).tasks} == set(site.ids[:60])


def test_tasks_of_the_audit_are_none_nor_what_shows_the_same() -> None:
    site = Site(on=True, first=30, fewest_tasks=20)
    plan = site.store.audit_plan(site.project_id)
    site.make(12)
    assert plan is not None
    assert not [one for one in site.copies if plan.holds(one.source_task_id)]


def test_lost_predictions_of_copies_are_written_again_and_ordinary_ones_are_counted_apart() -> None:
    site = Site()
    site.make()
    copies = site.copies
    lost, gone = copies[0].task_id or 0, copies[1].task_id or 0
    site.here.clock.sleep(600)
    calls = len(site.here.labels.calls)
    site.here.truth.check(site.project_id)
    assert len(site.here.labels.calls) == calls
    site.here.labels.delete_prediction(next(iter(site.held(lost))))
    site.here.labels.delete_tasks(site.project_id, [gone])
    site.here.labels.delete_prediction(next(iter(site.held(site.ids[0]))))
    site.here.truth.check(site.project_id)
    site.here.work_off()
    (again,) = site.held(lost).values()
    assert again.result == copies[0].result
    assert len(site.held(site.ids[0])) == 1
    assert gone not in {one.task_id for one in site.copies}
    assert len(site.copies) == 29


def test_copies_follow_when_scores_come_into_use() -> None:
    learner = Learner()
    learner.annotate([i for i in learner.task_ids if i not in learner.blind][:60], by=2)
    here = learner.installation
    here.golden.make(learner.project_id, 10)
    learner.verify(learner.blind)
    fit = to_write(here.store.scorings(learner.project_id, here.version(learner.project_id)))
    assert fit is not None
    shown = here.store.shown_version(learner.project_id, here.version(learner.project_id))
    assert shown.endswith(f".r{fit.number}")
    for one in here.store.golden_tasks(learner.project_id):
        assert one.written_as == shown
        (prediction,) = here.labels.written(learner.project_id, one.task_id, shown)
        (original,) = here.labels.written(learner.project_id, one.source_task_id, shown)
        assert prediction.score == original.score
        assert prediction.result == one.result


def test_a_left_out_annotator_counts_for_nothing_and_can_count_again() -> None:
    site = Site(verified=40)
    site.annotate(site.ids[40:60], by=LAZY, accepts=True)
    before = site.report()
    row = site.store.project(site.project_id)
    config = parse_config(row.label_config)
    pool = site.here.projects.verified_examples
    assert len(pool.pool(site.project_id, config).tasks) == 60
    assert site.here.leaving_out.leave_out(site.project_id, LAZY) == 20
    assert [m.work for m in site.here.queue.messages] == ["refit"]
    report = site.report()
    assert report["left_out"] == [{"annotator": LAZY, "annotations": 20}]
    assert report["versions"][0]["verified"] == before["versions"][0]["verified"] - 20
    assert report["annotations"]["left_out"] == 20
    assert report["annotations"]["confirmed"] == before["annotations"]["confirmed"] - 20
    assert {person["annotator"] for person in report["people"]["annotators"]} == {1, 2}
    assert len(pool.pool(site.project_id, config).tasks) == 40
    assert len(site.store.verified_task_ids(site.project_id)) == 40
    none = {"trials": None, "endpoints": None}  # nobody is asked
    compared = Comparing(store=site.store, **none)  # type: ignore[arg-type]
    assert len(compared.held_out(site.project_id, count=100)) == 40
    assert site.here.leaving_out.take_back(site.project_id, LAZY) == 20
    assert {**site.report(), "golden": None} == {**before, "golden": None}
    assert len(pool.pool(site.project_id, config).tasks) == 60


def test_what_a_left_out_annotator_says_later_counts_for_nothing_and_is_read_all_the_same() -> None:
    site = Site(verified=40)
    site.annotate(site.ids[40:41], by=LAZY)
    site.here.leaving_out.leave_out(site.project_id, LAZY)
    site.annotate(site.ids[41:45], by=LAZY)
    site.here.verifier.catch_up(site.project_id)
    assert site.store.left_out(site.project_id) == {LAZY: 5}
    assert len(site.store.verified_task_ids(site.project_id)) == 40
    assert sum(site.store.annotations_known(site.project_id).values()) == 85


def test_scores_are_fitted_anew_when_somebody_is_left_out_and_certificates_look_at_the_rest() -> None:
    learner = Learner()
    learner.annotate(learner.blind[:10], by=LAZY)
    learner.verify(learner.blind[10:])
    here = learner.installation
    first = learner.told["last"]
    assert isinstance(first, dict)
    certifying = Certifying(store=here.store, labels=here.labels)
    how: Any = {"max_error": 0.3, "confidence": 0.9, "error_of": ErrorOf.ALL}
    assert certifying.verdict(learner.project_id, **how).found.audited == len(learner.blind)
    here.clock.sleep(1)
    here.leaving_out.leave_out(learner.project_id, LAZY)
    here.clock.sleep(1)
    here.work_off()
    last = learner.told["last"]
    assert isinstance(last, dict)
    assert last["number"] == first["number"] + 1
    assert last["annotations"] == len(learner.blind) - 10
    assert not here.learning.due(learner.project_id)
    assert certifying.verdict(learner.project_id, **how).found.audited == len(learner.blind) - 10


@pytest.mark.parametrize(
    ("annotator", "words"), [(99, "has annotated nothing in project"), (0, "has annotated nothing")]
)
def test_nobody_is_left_out_who_is_not_there(annotator: int, words: str) -> None:
    site = Site(verified=10)
    with pytest.raises(InputError, match=f"{words}.*1, 2"):
        site.here.leaving_out.leave_out(site.project_id, annotator)


def test_without_a_queue_nobody_is_left_out_halfway(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(verified=10)

    def gone() -> None:
        raise QueueError("Redis cannot be used.")

    with monkeypatch.context() as patched:
        patched.setattr(site.here.queue, "ping", gone)
        with pytest.raises(QueueError):
            site.here.leaving_out.leave_out(site.project_id, 1)
        assert site.store.left_out(site.project_id) == {}
    site.here.leaving_out.leave_out(site.project_id, 1)
    monkeypatch.setattr(site.here.queue, "ping", gone)
    with pytest.raises(QueueError):
        site.here.leaving_out.take_back(site.project_id, 1)
    assert list(site.store.left_out(site.project_id)) == [1]


def test_who_is_left_out_is_not_left_out_twice_nor_counted_twice() -> None:
    site = Site(verified=10)
    with pytest.raises(InputError, match=r"is not left out.*nobody"):
        site.here.leaving_out.take_back(site.project_id, 1)
    site.here.leaving_out.leave_out(site.project_id, 1)
    with pytest.raises(InputError, match=r"left out of project .* already"):
        site.here.leaving_out.leave_out(site.project_id, 1)


def test_the_end_takes_the_copies_away_and_counts_what_it_did() -> None:
    site = Site()
    site.make()
    copies = both_answer(site)
    assert site.here.golden.end(site.project_id) == 30
    assert not set(copies) & set(site.here.labels.projects[site.project_id].tasks)
    assert set(site.ids) <= set(site.here.labels.projects[site.project_id].tasks)
    assert site.report()["golden"] is None
    assert site.here.golden.end(site.project_id) == 0
    site.here.verifier.catch_up(site.project_id, everything=True)
    assert "golden" not in site.report()["annotations"]


def refused(site: Site, count: int = 30, **how: Any) -> str:
    with pytest.raises(InputError) as caught:
        site.make(count, **how)
    assert site.copies == []
    return str(caught.value)


def test_without_a_known_answer_there_is_no_question() -> None:
    assert "has a known answer: annotate some tasks" in refused(Site(verified=0))


def test_fewer_than_asked_are_not_made() -> None:
    told = refused(Site(verified=20))
    assert "and 30 are needed: verify more tasks, or ask for fewer with -n" in told


def test_of_one_class_alone_there_is_no_question() -> None:
    site = Site(verified=0)
    site.annotate([i for i in site.ids if site.truth(i) == "negative"], by=1)
    assert 'are "negative", so that whoever always says so would pass' in refused(site, 10)


def test_people_who_disagree_know_no_answer() -> None:
    site = Site(verified=30)
    site.annotate(site.ids[:30], by=3, wrong=30)
    assert "and 10 are needed" in refused(site, 10)


def test_what_one_person_confirmed_is_told_to_be_weak() -> None:
    site = Site(verified=0)
    site.annotate(site.ids[:40], by=1)
    made = site.make(10)
    assert made.weak == 10
    assert any("rest on one person who saw the prediction" in note for note in made.notes)
    assert any("Nobody can pass with fewer than 23" in note for note in made.notes)


@pytest.mark.parametrize(
    ("config", "control", "words"),
    [
        (CONFIG.replace('toName="text">', 'toName="text" choice="multiple">'), None, "cannot be made of this labeling"),
        (CONFIG, "mood", "the labeling config has no such control"),
        (
            CONFIG.replace("</View>", '<Rating name="stars" toName="text"/></View>'),
            "stars",
            "they need a Choices of one choice",
        ),
        (
            CONFIG.replace(
                "</View>",
                '<Choices name="tone" toName="text"><Choice value="a"/><Choice value="b"/></Choices></View>',
            ),
            None,
            "with --control: sentiment, tone",
        ),
    ],
)
def test_controls_that_cannot_be_asked_about(config: str, control: str | None, words: str) -> None:
    site = Site(tasks=4, verified=0, config=config)
    assert words in refused(site, 3, control=control)


def test_a_label_that_left_the_labeling_config_takes_its_questions_along() -> None:
    site = Site()
    site.make()
    config = CONFIG.replace('<Choice value="positive" hint="praise"/>', '<Choice value="neutral"/>')
    row, _ = site.here.projects.remember(site.project_id, config, "")
    found = panel(site.store, row)
    assert (len(found.questions), found.unusable, found.asked) == (
        15 - sum(o.trap for o in site.copies if o.label == "negative"),
        30 - len(found.questions),
        found.asked,
    )
    assert all(one.label == "negative" and not one.trap for one in found.questions)


def test_edited_tasks_are_passed_over() -> None:
    site = Site(verified=60)
    told = site.make(10, dry_run=True)
    changed = [one.source_task_id for one in told.questions][:3]
    for task_id in changed:
        site.here.labels.projects[site.project_id].tasks[task_id] = {"text": "something else"}
    made = site.make(10)
    assert len(made.questions) == 10
    assert not {one.source_task_id for one in made.questions} & set(changed)


def test_a_refused_import_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()

    def refuse(project_id: int, tasks: Any) -> list[int]:
        raise LabelStudioError("Label Studio refused it", status=400)

    monkeypatch.setattr(site.here.labels, "import_tasks", refuse)
    with pytest.raises(LabelStudioError):
        site.make()
    assert site.copies == []


def test_an_import_of_which_nobody_heard_the_end_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    inner = site.here.labels.import_tasks

    def cut(project_id: int, tasks: Any) -> list[int]:
        inner(project_id, tasks[:20])
        raise LabelStudioUnreachable("it did not answer in time")

    with monkeypatch.context() as patched:
        patched.setattr(site.here.labels, "import_tasks", cut)
        with pytest.raises(LabelStudioUnreachable):
            site.make()
    assert [one.task_id for one in site.copies] == [None] * 30
    with pytest.raises(QueueError, match=r"may still be at it: repeat this in 1\d minutes"):
        site.here.golden.end(site.project_id)
    assert [one.task_id is None for one in site.copies] == [False] * 20 + [True] * 10
    site.here.clock.sleep(700)
    assert site.here.golden.end(site.project_id) == 20
    assert set(site.here.labels.projects[site.project_id].tasks) == set(site.ids)


def test_while_predictions_are_written_nothing_is_made() -> None:
    site = Site()
    with site.here.queue.writer_lock(site.project_id), pytest.raises(QueueError, match="repeat this in a minute"):
        site.make()


def test_more_can_be_made_of_other_tasks() -> None:
    site = Site()
    first = {one.source_task_id for one in site.make(14).questions}
    second = {one.source_task_id for one in site.make(14, annotators=1).questions}
    assert not first & second
    found = site.panel()
    assert found.asked is not None
    assert found.asked.overall.questions == 28
    assert len(site.here.labels.overlaps) == 14


def test_a_task_that_was_imported_long_ago_with_the_same_data_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    (task_id,) = site.here.labels.add_tasks(site.project_id, [site.data(site.ids[0])])
    site.here.run(site.project_id)
    site.make()
    records = site.store.records(site.project_id, site.version, [task_id])
    assert records[task_id].state is TaskState.DONE
    assert isinstance(records[task_id].task, Task)
    assert len(LABELS) == 2


def test_copies_follow_to_another_version_and_back() -> None:
    site = Site()
    site.make()
    old = site.version
    for instructions, version in (("<p>Be strict.</p>", None), ("", old)):
        site.here.labels.edit_project(site.project_id, instructions=instructions)
        site.here.run(site.project_id)
        assert (site.version == old) is (version == old)
        assert {one.written_as for one in site.copies} == {site.version}
        for one in site.copies:
            assert one.task_id is not None
            (prediction,) = site.here.labels.written(site.project_id, one.task_id, site.version)
            assert prediction.result == one.result
