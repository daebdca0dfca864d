"""Hashes, sums and the version string."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.values import (
    Agent,
    Message,
    Outcome,
    Prediction,
    Request,
    Task,
    TaskState,
    Usage,
    canonical_hash,
    version_of,
)

AGENT = Agent(name="fast", model="gpt-x", template="default.v1")
CONTENT = {"template_source": "t", "config_fingerprint": "c", "instructions": "i"}
REQUEST = Request(
    messages=(Message(role="user", content="hello"),),
    schema={"type": "object"},
    model="m",
    temperature=0.0,
    max_tokens=16,
    seed=0,
    logprobs=True,
)


def test_a_version_is_short_stable_and_begins_with_the_agents_name() -> None:
    assert version_of(AGENT, **CONTENT) == version_of(AGENT, **CONTENT)
    name, _, digits = version_of(AGENT, **CONTENT).partition("@")
    assert name == "fast"
    assert len(digits) == 8
    assert int(digits, 16) >= 0


@pytest.mark.parametrize(
    "change",
    [
        {"model": "gpt-y"},
        {"temperature": 0.1},
        {"max_tokens": 1},
        {"seed": None},
        {"reasks": 0},
        {"max_options": 50},
    ],
)
def test_whatever_changes_an_answer_changes_the_version(change: dict[str, Any]) -> None:
    assert version_of(replace(AGENT, **change), **CONTENT) != version_of(AGENT, **CONTENT)


@pytest.mark.parametrize("name", list(CONTENT))
def test_prompt_config_and_instructions_change_the_version(name: str) -> None:
    assert version_of(AGENT, **{**CONTENT, name: "other"}) != version_of(AGENT, **CONTENT)


def test_whether_relations_are_asked_for_counts_where_there_are_any() -> None:
    without = replace(AGENT, relations=False)
    assert version_of(without, **CONTENT) == version_of(AGENT, **CONTENT)
    assert version_of(without, **CONTENT, with_relations=True) != version_of(AGENT, **CONTENT, with_relations=True)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"messages": (Message(role="user", content="hello "),)}, False),
        ({"messages": (Message(role="system", content="hello"),)}, False),
        ({"schema": {"type": "array"}}, False),
        ({"model": "n"}, False),
        ({"temperature": 0.5}, False),
        ({"max_tokens": 17}, False),
        ({"seed": 1}, False),
        ({"logprobs": False}, True),  # asks for more beside the answer, not for another answer
    ],
)
def test_a_requests_key_covers_what_changes_the_answer(change: dict[str, Any], same: bool) -> None:
    assert (replace(REQUEST, **change).key == REQUEST.key) is same


def test_the_canonical_hash_ignores_the_order_of_keys_and_takes_any_string() -> None:
    assert canonical_hash({"a": 1, "b": [1, 2]}) == canonical_hash({"b": [1, 2], "a": 1})
    assert canonical_hash([1, 2]) != canonical_hash([2, 1])
    assert canonical_hash("\ud800") != canonical_hash("\ud801")


def test_a_tasks_hash_follows_its_data_only() -> None:
    task = Task(id=1, project_id=2, data={"text": "a"})
    assert task.data_hash == Task(id=9, project_id=8, data={"text": "a"}).data_hash
    assert task.data_hash != Task(id=1, project_id=2, data={"text": "b"}).data_hash


@given(st.tuples(*[st.integers(0, 10**9)] * 6))
def test_usage_adds(numbers: tuple[int, ...]) -> None:
    a, b = (Usage(prompt_tokens=p, completion_tokens=c, calls=n) for p, c, n in (numbers[:3], numbers[3:]))
    total = a + b
    assert total == b + a
    assert total.prompt_tokens - b.prompt_tokens == a.prompt_tokens
    assert (total.completion_tokens, total.calls) == (numbers[1] + numbers[4], numbers[2] + numbers[5])
    assert a + Usage() == a


def test_states_that_are_finished() -> None:
    assert {s for s in TaskState if not s.finished} == {TaskState.QUEUED, TaskState.RUNNING}


def test_a_prediction_without_a_score_has_no_score_key() -> None:
    known = Prediction(task_id=1, model_version="v", result=({"id": "x"},), score=0.0)
    assert known.to_label_studio() == {"task": 1, "model_version": "v", "result": [{"id": "x"}], "score": 0.0}
    assert "score" not in replace(known, score=None).to_label_studio()


def test_values_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Outcome(state=TaskState.DONE).score = 1.0  # type: ignore[misc]
