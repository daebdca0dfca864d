"""The blind audit over the whole way: nobody sees what it withholds, in any way, before the task is annotated."""

from __future__ import annotations

import pytest

from backend.core.audit import AuditRule
from backend.core.errors import InputError
from backend.core.values import Prediction
from tests.fakes.installation import CONFIG, Installation

SMALL = AuditRule(first=10, first_share=0.0, fewest_tasks=20)
TEXTS = [f"good number {n}" for n in range(40)]


def held(installation: Installation, project_id: int, task_ids: list[int]) -> list[int]:
    plan = installation.store.audit_plan(project_id)
    assert plan is not None
    return [task_id for task_id in task_ids if plan.holds(task_id)]


def shown(installation: Installation, project_id: int) -> set[int]:
    """Tasks with a prediction in Label Studio."""
    return {task_id for task_id, choices in installation.choices(project_id).items() if choices}


def test_a_run_begins_it_and_writes_everything_else() -> None:
    installation = Installation(audit=SMALL)
    project_id, task_ids = installation.project(*TEXTS)
    job_id = installation.run(project_id)
    blind = held(installation, project_id, task_ids)
    assert 2 < len(blind) < 20
    assert shown(installation, project_id) == set(task_ids) - set(blind)
    job = installation.store.job(job_id)
    assert job is not None
    assert job.state == "done"
    installation.run(project_id)  # they lack a prediction still, and are not asked again
    assert shown(installation, project_id) == set(task_ids) - set(blind)
    assert len(installation.model.requests) == len(task_ids)


@pytest.mark.parametrize("interactive", [False, True])
def test_who_opens_one_sees_nothing_before_and_after_it_was_answered(interactive: bool) -> None:
    installation = Installation(audit=SMALL)
    project_id, task_ids = installation.project(*TEXTS)
    installation.auditing.begin(project_id)
    blind = held(installation, project_id, task_ids)[:2]
    installation.projects.sync(installation.labels, project_id)
    for _ in range(2):
        asked = installation.raw_tasks(project_id, blind)
        assert installation.predictor.answer(project_id, asked, CONFIG, interactive=interactive) == [[], []]
        installation.work_off()
    assert shown(installation, project_id) == set()
    assert len(installation.model.requests) == 2


def test_an_annotated_task_gets_its_prediction() -> None:
    installation = Installation(audit=SMALL)
    project_id, task_ids = installation.project(*TEXTS)
    installation.run(project_id)
    first, *others = held(installation, project_id, task_ids)
    installation.auditing.release(project_id, [first])
    installation.work_off()
    assert shown(installation, project_id) == set(task_ids) - set(others)
    installation.auditing.end(project_id)
    installation.work_off()
    assert shown(installation, project_id) == set(task_ids)


def test_a_small_project_has_one_only_where_somebody_draws_it() -> None:
    installation = Installation(audit=AuditRule())
    project_id, task_ids = installation.project(*TEXTS)
    assert installation.auditing.begin(project_id) is None
    with pytest.raises(InputError, match="has 40 tasks: ask for no more"):
        installation.auditing.draw(project_id, 41)
    plan = installation.auditing.draw(project_id, 20)
    assert (plan.first_share, plan.up_to) == (0.5, max(task_ids))
    assert installation.auditing.begin(project_id) == plan


@pytest.mark.parametrize("annotated", [0, 5])
def test_where_all_is_shown_already_it_is_taken_back(annotated: int) -> None:
    installation = Installation(audit=AuditRule(on=False))
    project_id, task_ids = installation.project(*TEXTS)
    installation.run(project_id)
    for task_id in task_ids[:annotated]:
        installation.labels.annotate(task_id, [], by=1)
    with pytest.raises(InputError, match="ask for no more"):
        installation.auditing.draw(project_id, 41 - min(annotated, 1))
    assert installation.store.audit_plan(project_id) is None
    plan = installation.auditing.draw(project_id, 10)
    drawn = set(held(installation, project_id, task_ids)) - set(task_ids[:annotated])
    assert len(drawn) == 10
    assert shown(installation, project_id) == set(task_ids) - drawn
    assert plan.later_share == AuditRule().later_share
    assert (plan.late, plan.begun_share) == (annotated > 0, None)
    assert plan.even_share(task_ids) > 0


def test_an_audit_is_extended_by_tasks_that_nobody_has_annotated() -> None:
    installation = Installation(audit=SMALL)
    project_id, task_ids = installation.project(*TEXTS)
    installation.run(project_id)
    first = held(installation, project_id, task_ids)
    annotated = [task_id for task_id in task_ids if task_id not in first][:5]
    for task_id in annotated:
        installation.labels.annotate(task_id, [], by=1)
    foreign = Prediction(task_id=task_ids[0], result=(), score=None, model_version="theirs")
    installation.labels.create_prediction(foreign)
    installation.auditing.draw(project_id, 7)
    drawn = set(held(installation, project_id, task_ids)) - set(first) - set(annotated)
    assert len(drawn) == 7
    version = installation.version(project_id)
    assert installation.store.withheld(project_id, version) == len(first) + 7
    left = {p.task_id for p in installation.labels.projects[project_id].predictions.values() if p != foreign}
    assert left == set(task_ids) - set(first) - drawn
    assert foreign in installation.labels.projects[project_id].predictions.values()
    installation.run(project_id)
    assert installation.store.withheld(project_id, version) == len(first) + 7
    installation.auditing.release(project_id, sorted(drawn)[:1])
    installation.work_off()
    assert sorted(drawn)[0] in shown(installation, project_id)
    with pytest.raises(InputError, match="are neither annotated nor in the audit: ask for no more"):
        installation.auditing.draw(project_id, 40)
