"""With the cache of replies: what is asked again, by whoever and in whatever version, is not paid again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from backend.core.errors import LabelStudioError
from backend.core.values import Outcome, Reply, Request, TaskState, TokenLogprob
from backend.services.summaries import in_words
from tests.fakes.installation import AGENT, CONFIG, Installation, by_mood, replying

TEXTS = ("good", "bad", "fine", "bad too", "ok")


class Killed(BaseException):
    """What ends a process between two statements."""


def scored(request: Request) -> Reply:
    """As `by_mood`, with the token probabilities that are wanted."""
    reply = by_mood(request)
    return replace(reply, tokens=(TokenLogprob(token=reply.text, logprob=-0.1, top=((reply.text, -0.1), ("?", -3.0))),))


def installed(answer: object = scored, **options: object) -> Installation:
    return Installation(answer, cached=True, **options)  # type: ignore[arg-type]


def usage(installation: Installation, project_id: int) -> tuple[int, int]:
    """Calls that were paid, and replies from the cache, of the project's current version."""
    told = in_words(installation.store.counts(project_id, version=installation.version(project_id)))
    return told["model_calls"], told["replies_from_cache"]


@pytest.mark.parametrize("after", range(len(TEXTS)))
def test_a_chunk_that_was_killed_before_it_stored_an_outcome_does_not_pay_again(after: int) -> None:
    installation = installed(chunk_size=10, concurrency=1)
    project_id, task_ids = installation.project(*TEXTS)
    save_outcomes = installation.store.save_outcomes
    saved = 0

    def killed(outcomes: Sequence[tuple[int, str, Outcome]]) -> None:
        """The calls that are in flight still end."""
        nonlocal saved
        if saved == after:
            raise Killed
        saved += len(outcomes)
        save_outcomes(outcomes)

    installation.store.save_outcomes = killed  # type: ignore[method-assign]
    installation.start_run(project_id)
    with pytest.raises(BaseException) as ended:  # noqa: PT011  - as asyncio wraps it, or not
        installation.work_off()
    assert isinstance(ended.value, (Killed, BaseExceptionGroup))
    paid = len(installation.model.requests)
    assert paid > after
    installation.store.save_outcomes = save_outcomes  # type: ignore[method-assign]
    installation.work_off()  # the message is delivered again
    assert len(installation.model.requests) == len(TEXTS)
    assert len({request.key for request in installation.model.requests}) == len(TEXTS)
    lost = paid - after  # who was killed could not tell of what it paid
    assert usage(installation, project_id) == (len(TEXTS) - lost, lost)
    moods = [["positive"], ["negative"], ["positive"], ["negative"], ["positive"]]
    assert installation.choices(project_id) == dict(zip(task_ids, moods, strict=True))


def test_tasks_that_are_alike_are_paid_for_once() -> None:
    installation = installed(chunk_size=3)
    project_id, task_ids = installation.project(*["good"] * 7, "bad")
    installation.run(project_id)
    assert len(installation.model.requests) == 2
    assert usage(installation, project_id) == (2, 6)
    assert installation.choices(project_id)[task_ids[6]] == ["positive"]
    assert len({p.score for p in installation.labels.projects[project_id].predictions.values()}) == 1


def test_a_new_version_with_the_same_prompts_pays_nothing() -> None:
    installation = installed()
    project_id, _ = installation.project("good", "bad")
    installation.run(project_id)
    old = installation.version(project_id)
    other = installed(agent=replace(AGENT, name="renamed"), store=installation.store)
    other.labels = installation.labels
    other.jobs = replace(other.jobs, labels=installation.labels)
    other.enlister = replace(other.enlister, labels=installation.labels)
    other.worker = replace(other.worker, writer=replace(other.writer, labels=installation.labels))
    other.run(project_id)
    assert other.version(project_id) != old
    assert (other.model.requests, usage(other, project_id)) == ([], (0, 2))


def test_another_prompt_is_asked() -> None:
    installation = installed()
    project_id, _ = installation.project("good")
    installation.run(project_id)
    installation.labels.edit_project(project_id, label_config=CONFIG.replace("praise", "joy"))
    installation.run(project_id)
    assert len(installation.model.requests) == 2


def test_an_unreadable_reply_is_not_served_to_the_next_task_that_is_alike() -> None:
    waiting = [replying("no idea")]
    installation = installed(lambda r: waiting.pop() if waiting else scored(r), concurrency=1, chunk_size=1)
    project_id, task_ids = installation.project("good", "good")
    installation.run(project_id)
    records = installation.store.records(project_id, installation.version(project_id), task_ids)
    assert [records[n].state for n in task_ids] == [TaskState.INVALID, TaskState.DONE]
    assert usage(installation, project_id) == (2, 0)


def test_a_prediction_that_label_studio_refused_is_asked_for_anew() -> None:
    installation = installed()
    project_id, task_ids = installation.project("good")
    installation.run(project_id)
    version = installation.version(project_id)
    record = installation.store.records(project_id, version, task_ids)[task_ids[0]]
    installation.store.set_refused(record.id, str(LabelStudioError("Label Studio refuses it.")))
    installation.run(project_id)
    assert len(installation.model.requests) == 2
    assert installation.store.records(project_id, version, task_ids)[task_ids[0]].state is TaskState.DONE


def test_without_the_cache_each_is_paid() -> None:
    installation = Installation(scored)
    project_id, _ = installation.project("good", "good")
    installation.run(project_id)
    assert usage(installation, project_id) == (2, 0)


def test_what_was_cut_off_is_asked_again() -> None:
    cut = replying(json.dumps({"sentiment": "positive"})[:-3], finish_reason="length")
    installation = installed(lambda _: cut, concurrency=1)
    project_id, _ = installation.project("good", "good")
    installation.run(project_id)
    assert len(installation.model.requests) == 2
