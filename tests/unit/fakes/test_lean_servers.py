"""The servers of the benchmarks answer what the real ones would."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from backend.adapters.completion import read_completion
from tests.fakes.lean_http import Call
from tests.fakes.lean_model import LeanModel
from tests.fakes.recording_sink import PROJECT, RecordingSink, task_text

SCHEMA = {
    "type": "object",
    "properties": {"mood": {"type": "string", "enum": ["bad", "good"]}},
    "required": ["mood"],
    "additionalProperties": False,
}


def asked(text: str, **options: Any) -> Call:
    schema = {"name": "annotation", "strict": True, "schema": SCHEMA}
    body = {
        "messages": [{"role": "user", "content": f'Data "text":\n~~~\n{text}\n~~~\n\n"mood": exactly one of these:'}],
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    return Call(method="POST", target="/v1/chat/completions", body=json.dumps({**body, **options}).encode())


def test_the_model_s_answer_fits_the_schema_and_has_probabilities_where_they_are_asked_for() -> None:
    model = LeanModel(latency_s=0.3)
    answer = model.handle(asked("We are happy.", logprobs=True, top_logprobs=5))
    reply = read_completion(answer.body, endpoint="", latency_s=answer.delay_s)
    assert json.loads(reply.text)["mood"] in ("bad", "good")
    assert reply.finish_reason == "stop"
    assert reply.latency_s == 0.3
    assert reply.tokens is not None
    assert "".join(token.token for token in reply.tokens) == reply.text
    assert any(len(token.top) > 1 for token in reply.tokens)
    assert read_completion(model.handle(asked("x")).body, endpoint="", latency_s=0).tokens is None


def test_calls_are_counted_until_their_answers_leave() -> None:
    model = LeanModel(latency_s=0.3)
    answers = [model.handle(asked("x")) for _ in range(3)]
    for answer in answers[:2]:
        assert answer.sent is not None
        answer.sent()
    counts = json.loads(model.handle(Call(method="GET", target="/counts", body=b"")).body)
    assert (counts["calls"], counts["answered"], counts["most_in_flight"]) == (3, 2, 3)
    assert counts["first_at"] <= counts["last_at"]


def page(sink: RecordingSink, *items: Any) -> list[int]:
    query = {"filters": {"conjunction": "and", "items": list(items)}}
    target = "/api/tasks?" + urlencode({"page_size": 3, "query": json.dumps(query)})
    tasks = json.loads(sink.handle(Call(method="GET", target=target, body=b"")).body)["tasks"]
    assert all(task["data"]["text"] == task_text(task["id"]) for task in tasks)
    return [task["id"] for task in tasks]


def test_the_sink_pages_tasks_and_knows_which_have_a_prediction() -> None:
    sink = RecordingSink(5, "<View/>")
    after = {"filter": "filter:tasks:id", "value": 1}
    lacking = {"filter": "filter:tasks:predictions_model_versions", "value": ["v"]}
    assert page(sink, after) == [2, 3, 4]
    path = f"/api/projects/{PROJECT}/import/predictions"
    sent = sink.handle(Call(method="POST", target=path, body=json.dumps([{"task": 2}, {"task": 4}]).encode()))
    assert (sent.status, json.loads(sent.body)) == (201, {"created": 2})
    assert page(sink, after, lacking) == [3, 5]
    refused = sink.handle(Call(method="POST", target=path, body=json.dumps([{"task": 6}]).encode()))
    assert refused.status == 400
    recorded = json.loads(sink.handle(Call(method="GET", target="/recorded", body=b"")).body)
    assert (recorded["predictions"], recorded["tasks"]) == (2, 2)
