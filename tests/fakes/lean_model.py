"""A scripted Chat Completions endpoint that costs next to nothing, for benchmarks of what calls it.

`python -m tests.fakes.lean_model --port 8090 --latency 0.3`, in a process of its own. It answers after exactly the
latency what `scripted_model` would: to the first prompt with a schema, and to every further one with that schema the
same again. What depends on the prompt, and whatever can go wrong, is for `scripted_model`.

    POST /v1/chat/completions   the answer, with token probabilities where they are asked for
    GET  /v1/models, /health
    GET  /counts                calls, answers, most in flight, when the first came and the last answer left (of the
                                monotonic clock, which all processes of a machine share), CPU seconds used
    POST /reset                 counts from nothing
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from tests.fakes.lean_http import JSON, Answer, Call, as_json, cpu_s, serve
from tests.fakes.scripted_answers import answer, tokens


class LeanModel:
    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._answers: dict[str, bytes] = {}
        self._reset()

    def _reset(self) -> None:
        self._calls = self._answered = self._most_in_flight = 0
        self._first_at: float | None = None
        self._last_at: float | None = None
        self._cpu_s = cpu_s()

    def handle(self, call: Call) -> Answer:
        if call.target == "/v1/chat/completions":
            return self._complete(json.loads(call.body))
        if call.target == "/counts":
            return as_json(self._counts())
        if call.target == "/reset":
            self._reset()
            return as_json(self._counts())
        if call.target in ("/health", "/v1/models"):
            return as_json({"object": "list", "data": [{"id": "scripted", "object": "model", "owned_by": "tests"}]})
        return as_json({"error": {"message": f"No such path: {call.target}"}}, status=404)

    def _counts(self) -> JSON:
        return {
            "calls": self._calls,
            "answered": self._answered,
            "most_in_flight": self._most_in_flight,
            "first_at": self._first_at,
            "last_at": self._last_at,
            "cpu_s": cpu_s() - self._cpu_s,
        }

    def _complete(self, body: JSON) -> Answer:
        self._calls += 1
        if self._first_at is None:
            self._first_at = time.monotonic()
        self._most_in_flight = max(self._most_in_flight, self._calls - self._answered)
        top = int(body.get("top_logprobs") or 0) if body.get("logprobs") else None
        key = json.dumps([body.get("response_format"), top])
        if key not in self._answers:
            self._answers[key] = json.dumps(completion(body, top)).encode()
        return Answer(body=self._answers[key], delay_s=self._latency_s, sent=self._sent)

    def _sent(self) -> None:
        self._answered += 1
        self._last_at = time.monotonic()


def completion(body: JSON, top: int | None) -> JSON:
    """The body of an answer; `top` alternatives a token, None: no token probabilities."""
    reply = answer(body["messages"], body.get("response_format"))
    listed = tokens(reply, top or 0)
    prompt_tokens = sum(len(str(m["content"])) for m in body["messages"]) // 4
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": reply.text, "refusal": None},
        "logprobs": None if top is None else {"content": listed, "refusal": None},
        "finish_reason": "stop",
    }
    return {
        "id": "chatcmpl-lean",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "scripted",
        "choices": [choice],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": len(listed),
            "total_tokens": prompt_tokens + len(listed),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="A scripted endpoint that costs next to nothing.")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    asked = parser.parse_args()
    asyncio.run(serve(asked.port, LeanModel(asked.latency).handle))


if __name__ == "__main__":
    main()
