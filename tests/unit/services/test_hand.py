"""The tasks that a worker takes on while it is at one queue message."""

from __future__ import annotations

import pytest

from backend.core.values import JobState, TaskState
from backend.ports.store import JobRow
from backend.services.hand import Hand
from tests.fakes.installation import Installation

TEXTS = [f"text {n}" for n in range(130)]


def job_of(installation: Installation) -> tuple[JobRow, list[int]]:
    project_id, task_ids = installation.project(*TEXTS)
    job_id = installation.start_run(project_id)
    installation.store.set_job_state(job_id, JobState.RUNNING)
    job = installation.store.job(job_id)
    assert job is not None
    return job, task_ids


def hand_of(
    installation: Installation, job: JobRow, task_ids: list[int], *, go_on_s: float = 60.0, claimant: str = "message"
) -> Hand:
    return Hand(installation.store, job, task_ids, claimant, few=1, go_on_s=go_on_s)


def taken(hand: Hand) -> list[int]:
    """The sizes of what it gives, until that is nothing."""
    sizes = []
    while records := hand.more():
        assert {record.state for record in records} == {TaskState.RUNNING}
        sizes.append(len(records))
    return sizes


def test_few_are_claimed_at_a_time() -> None:
    installation = Installation()
    job, task_ids = job_of(installation)
    hand = hand_of(installation, job, task_ids, go_on_s=0.0)
    assert len(hand.more()) == 50
    assert len(installation.store.job_task_ids(job.id, [TaskState.QUEUED])) == 80
    assert taken(hand) == [50, 30]


def test_it_goes_on_with_its_job_when_its_own_are_done() -> None:
    installation = Installation()
    job, task_ids = job_of(installation)
    assert taken(hand_of(installation, job, task_ids[:3])) == [3, 50, 50, 27]
    assert taken(hand_of(installation, job, task_ids[3:], claimant="another message")) == []


def test_when_its_time_is_over_others_have_their_turn() -> None:
    installation = Installation()
    job, task_ids = job_of(installation)
    assert taken(hand_of(installation, job, task_ids[:3], go_on_s=0.0)) == [3]


def test_own_tasks_that_another_took_are_passed_over() -> None:
    installation = Installation()
    job, task_ids = job_of(installation)
    installation.store.claim(job.version, job.project_id, task_ids[:100], "another message")
    assert taken(hand_of(installation, job, task_ids, go_on_s=0.0)) == [30]


@pytest.mark.parametrize("state", [JobState.PAUSED, JobState.STOPPED, JobState.CANCELLED])
def test_of_a_job_that_is_halted_nothing_further_is_taken(state: JobState) -> None:
    installation = Installation()
    job, task_ids = job_of(installation)
    installation.store.set_job_state(job.id, state, "somebody said so")
    assert taken(hand_of(installation, job, task_ids[:3])) == [3]


def test_what_is_left_is_what_was_released_and_what_was_never_claimed() -> None:
    installation = Installation()
    job, task_ids = job_of(installation)
    hand = hand_of(installation, job, task_ids)
    first = hand.more()
    assert hand.left([first[0].id]) == sorted([first[0].task_id, *task_ids[50:]])
    assert hand.left([]) == sorted(task_ids[50:])
