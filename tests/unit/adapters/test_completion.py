"""What is read of a Chat Completions answer, however odd it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.adapters.completion import read_completion
from backend.core.errors import ModelServerError
from backend.core.values import Reply, TokenLogprob, Usage

CHOICE = {"message": {"content": "yes"}, "finish_reason": "stop"}


def read(body: Any) -> Reply:
    return read_completion(json.dumps(body).encode(), endpoint="http://m/v1", latency_s=0.5)


def test_a_whole_answer() -> None:
    top = [{"token": "yes", "logprob": -0.1, "bytes": None}, {"token": "no", "logprob": -2}]
    logprobs = {"content": [{"token": "yes", "logprob": -0.1, "top_logprobs": top}]}
    usage = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
    assert read({"choices": [{**CHOICE, "logprobs": logprobs}], "usage": usage, "model": "m-1"}) == Reply(
        text="yes",
        finish_reason="stop",
        usage=Usage(prompt_tokens=11, completion_tokens=2, calls=1),
        model="m-1",
        tokens=(TokenLogprob(token="yes", logprob=-0.1, top=(("yes", -0.1), ("no", -2))),),
        latency_s=0.5,
    )


def test_what_is_left_out_is_unknown() -> None:
    assert read({"choices": [{"message": {}}]}) == Reply(
        text="", finish_reason=None, usage=Usage(calls=1), model="", latency_s=0.5
    )


def test_a_refusal_is_the_answer_where_there_is_no_other() -> None:
    assert read({"choices": [{"message": {"content": None, "refusal": "No."}}]}).text == "No."
    assert read({"choices": [{"message": {"content": "x", "refusal": "No."}}]}).text == "x"


@pytest.mark.parametrize(
    "body", [{}, [], None, 7, "x", {"choices": None}, {"choices": []}, {"choices": {}}, {"choices": [7]}]
)
def test_an_answer_without_a_choice(body: Any) -> None:
    with pytest.raises(ModelServerError, match="without a choice"):
        read(body)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b'{"choices": [', b"[" * 100_000])
def test_an_answer_that_is_no_json(body: bytes) -> None:
    with pytest.raises(ModelServerError, match="no JSON"):
        read_completion(body, endpoint="http://m/v1", latency_s=0.0)


@pytest.mark.parametrize(
    "content",
    [
        7,
        {},
        [],
        [7],
        [{"token": "yes"}],
        [{"token": None, "logprob": -1.0}],
        [{"token": "yes", "logprob": "-1.0"}],
        [{"token": "yes", "logprob": True}],
        [{"token": "yes", "logprob": float("nan")}],
        [{"token": "yes", "logprob": float("inf")}],
        [{"token": "yes", "logprob": 10**400}],
        [{"token": "yes", "logprob": -(10**400)}],
        [{"token": "yes", "logprob": 0.7}],
        [{"token": "yes", "logprob": -1.0, "top_logprobs": 7}],
        [{"token": "yes", "logprob": -1.0, "top_logprobs": [{"token": "yes"}]}],
    ],
)
def test_token_probabilities_that_are_none_are_left_out(content: Any) -> None:
    reply = read({"choices": [{**CHOICE, "logprobs": {"content": content}}]})
    assert (reply.text, reply.tokens) == ("yes", None)


def test_an_alternative_of_no_probability_is_one() -> None:
    top = [{"token": "yes", "logprob": 1e-7}, {"token": "no", "logprob": float("-inf")}]
    reply = read(
        {"choices": [{**CHOICE, "logprobs": {"content": [{"token": "yes", "logprob": 0, "top_logprobs": top}]}}]}
    )
    assert reply.tokens == (TokenLogprob(token="yes", logprob=0.0, top=(("yes", 0.0), ("no", -9999.0))),)


@pytest.mark.parametrize(
    "usage",
    [
        *(None, [], {"prompt_tokens": None}, {"prompt_tokens": "9"}, {"prompt_tokens": -5}),
        *({"prompt_tokens": 10**20, "completion_tokens": 2**31}, {"prompt_tokens": True}, {"prompt_tokens": 1e400}),
    ],
)
def test_a_usage_that_is_none_counts_no_tokens(usage: Any) -> None:
    assert read({"choices": [CHOICE], "usage": usage, "model": 7}).usage == Usage(calls=1)
