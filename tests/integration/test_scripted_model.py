"""The scripted endpoint answers as the real ones do, and as its script says."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_socket import disable_socket, enable_socket

from tests.fakes.scripted_model import ScriptedModel, SlidingWindow

pytestmark = pytest.mark.integration

MESSAGES = [
    {"role": "user", "content": 'Data "text":\n~~~\nI love it\n~~~\n\n"mood": exactly one of these:\n- good\n- bad'}
]
SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string", "enum": ["negative", "positive"]}},
    "required": ["mood"],
    "additionalProperties": False,
}
STRICT = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(model="m") as running:
        yield running


@pytest.fixture
def client(model: ScriptedModel) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=model.base_url.removesuffix("/v1"), timeout=10) as opened:
        yield opened


def ask(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json={"model": "m", "messages": MESSAGES, **body})


def test_an_answer_has_the_shape_of_the_api(client: httpx.Client) -> None:
    answer = ask(client, response_format=STRICT, logprobs=True, top_logprobs=2).json()
    (choice,) = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": '{"mood": "positive"}', "refusal": None}
    assert choice["finish_reason"] == "stop"
    listed = choice["logprobs"]["content"]
    assert "".join(t["token"] for t in listed) == choice["message"]["content"]
    assert all(len(t["top_logprobs"]) <= 2 and t["logprob"] <= 0 for t in listed)
    assert answer["usage"]["completion_tokens"] == len(listed)
    assert answer["model"] == "m"


def test_without_a_schema_the_prompts_own_list_is_answered(client: httpx.Client) -> None:
    message = ask(client).json()["choices"][0]
    assert message["message"]["content"] == '{"mood": "good"}'
    assert message["logprobs"] is None


def test_models_and_health(client: httpx.Client) -> None:
    assert [m["id"] for m in client.get("/v1/models").json()["data"]] == ["m"]
    assert client.get("/health").status_code == 200
    assert client.get("/nothing").status_code == 404


@pytest.mark.parametrize(
    ("refuse", "body", "param"),
    [
        ("json_schema", {"response_format": STRICT}, "response_format"),
        ("json_object", {"response_format": {"type": "json_object"}}, "response_format"),
        ("logprobs", {"logprobs": True}, "logprobs"),
        ("max_tokens", {"max_tokens": 5}, "max_tokens"),
        ("temperature", {"temperature": 0}, "temperature"),
        ("seed", {"seed": 0}, "seed"),
    ],
)
def test_what_it_refuses_it_names(
    client: httpx.Client, model: ScriptedModel, refuse: str, body: dict[str, Any], param: str
) -> None:
    assert ask(client, **body).status_code == 200
    model.change(refuse=[refuse])
    refused = ask(client, **body)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param
    assert param in refused.json()["error"]["message"]
    assert ask(client).status_code == 200


def test_a_schema_outside_the_strict_subset_is_refused(client: httpx.Client) -> None:
    loose = {"type": "json_schema", "json_schema": {"name": "x", "schema": {**SCHEMA, "minProperties": 1}}}
    assert "minProperties" in ask(client, response_format=loose).json()["error"]["message"]


def test_failures_are_as_many_as_asked_for(client: httpx.Client, model: ScriptedModel) -> None:
    model.change(fail=[{"status": 429, "count": 2, "retry_after": 1.5}, {"status": 402, "body": {"error": "no money"}}])
    answers = [ask(client) for _ in range(4)]
    assert [a.status_code for a in answers] == [429, 429, 402, 200]
    assert answers[0].headers["retry-after"] == "1.5"
    assert answers[2].json() == {"error": "no money"}
    assert model.counts()["outcomes"] == {"429": 2, "402": 1, "ok": 1}
    assert model.counts()["answered"] == 1


def test_a_failure_without_end(client: httpx.Client, model: ScriptedModel) -> None:
    model.change(fail={"status": 500, "count": None})
    assert {ask(client).status_code for _ in range(5)} == {500}
    model.change(fail=[])
    assert ask(client).status_code == 200


def test_a_closed_connection(client: httpx.Client, model: ScriptedModel) -> None:
    model.change(fail={"status": 0})
    with pytest.raises(httpx.RemoteProtocolError):
        ask(client)
    assert ask(client).status_code == 200


@pytest.mark.parametrize(
    ("reply", "finish_reason"),
    [("garbage", "stop"), ("cut", "length"), ("filtered", "content_filter"), ("empty", "stop")],
)
def test_bad_replies(client: httpx.Client, model: ScriptedModel, reply: str, finish_reason: str) -> None:
    model.change(reply=reply, reply_count=1)
    first, second = ask(client, response_format=STRICT).json(), ask(client, response_format=STRICT).json()
    assert first["choices"][0]["finish_reason"] == finish_reason
    assert first["choices"][0]["message"]["content"] != '{"mood": "positive"}'
    assert second["choices"][0]["message"]["content"] == '{"mood": "positive"}'


def test_fixed_text_null_logprobs_key_and_context(client: httpx.Client, model: ScriptedModel) -> None:
    model.change(text="fixed", ignore=["logprobs"])
    choice = ask(client, logprobs=True, top_logprobs=3).json()["choices"][0]
    assert (choice["message"]["content"], choice["logprobs"]) == ("fixed", None)
    model.change(context_tokens=5)
    assert "exceeds the available context size" in ask(client).json()["error"]["message"]
    model.change(context_tokens=None, api_key="right")
    assert ask(client).status_code == 401
    right = client.post("/v1/chat/completions", json={"messages": MESSAGES}, headers={"Authorization": "Bearer right"})
    assert right.status_code == 200


def test_the_script_is_changed_over_http(client: httpx.Client, model: ScriptedModel) -> None:
    ask(client)
    assert client.post("/script", json={"text": "new"}).json()["calls"] == 1
    assert ask(client).json()["choices"][0]["message"]["content"] == "new"
    assert len(client.get("/requests").json()) == len(model.requests) == 2
    for wrong in ({"nope": 1}, {"reply": "nope"}, {"refuse": ["nope"]}, [1]):
        assert client.post("/script", json=wrong).status_code == 400
    assert client.post("/script", json={"reset": True}).json()["calls"] == 0
    assert client.get("/counts").json()["outcomes"] == {}


def test_a_sliding_limit_of_requests(client: httpx.Client, model: ScriptedModel) -> None:
    model.change(requests_per_minute=2)
    assert [ask(client).status_code for _ in range(4)] == [200, 200, 429, 429]
    refused = ask(client)
    assert refused.headers["x-ratelimit-limit-requests"] == "2"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["retry-after"] == "1"
    assert model.counts()["let_through"]["requests"] == 2
    assert model.counts()["outcomes"] == {"ok": 2, "429": 3}


def test_a_sliding_limit_of_tokens_counts_what_answers_report(client: httpx.Client, model: ScriptedModel) -> None:
    used = ask(client).json()["usage"]["total_tokens"]
    model.change(tokens_per_minute=2 * used + 1, reset=True)
    answers = [ask(client) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[1].headers["x-ratelimit-remaining-tokens"] == "1"
    assert model.counts()["let_through"] == {"requests": 2, "tokens": 2 * used}


def test_the_window_slides() -> None:
    window = SlidingWindow()
    window.add(0.0, {"tokens": 5})
    window.add(30.0, {"tokens": 7})
    assert [window.used("tokens", at) for at in (59.9, 60.0, 89.9, 90.0)] == [12, 7, 7, 0]
    assert (window.requests, window.tokens) == (2, 12)


def test_a_limit_of_calls_in_flight_that_is_not_told(client: httpx.Client, model: ScriptedModel) -> None:
    model.change(max_in_flight=0, requests_per_minute=100, limit_headers=False)
    refused = ask(client)
    assert refused.status_code == 429
    assert not [name for name in refused.headers if name.startswith(("x-ratelimit", "retry-after"))]
    assert model.counts()["in_flight"] == 0


def test_calls_run_at_the_same_time(model: ScriptedModel) -> None:
    model.change(latency_s=0.3)
    began = time.perf_counter()
    threads = [
        threading.Thread(target=lambda: httpx.post(model.base_url + "/chat/completions", json={"messages": MESSAGES}))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.perf_counter() - began >= 0.3
    assert model.counts()["most_in_flight"] > 1
    assert model.counts()["answered"] == 8


def test_it_answers_while_this_process_may_open_no_socket(model: ScriptedModel) -> None:
    """A worker that lives as long as the session asks it in the middle of any test."""
    program = f"import urllib.request as u; print(u.urlopen('{model.base_url}/models', timeout=5).status)"
    disable_socket(allow_unix_socket=True)
    try:
        for _ in range(2):
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
            assert (done.stdout, done.stderr) == ("200\n", "")
    finally:
        enable_socket()


def test_as_a_process_of_its_own(repository: Path) -> None:
    command = [sys.executable, "-m", "tests.fakes.scripted_model", "--text", "hello", "--refuse", "seed"]
    with subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            base_url = process.stdout.readline().rpartition(" ")[2].strip()
            with httpx.Client(base_url=base_url.removesuffix("/v1"), timeout=10) as client:
                assert ask(client).json()["choices"][0]["message"]["content"] == "hello"
                assert ask(client, seed=1).status_code == 400
        finally:
            process.terminate()
