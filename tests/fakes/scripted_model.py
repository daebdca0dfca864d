"""An OpenAI-compatible Chat Completions server whose every answer is known beforehand.

`python -m tests.fakes.scripted_model --port 8090 --latency 0.3` or, in a test, `with ScriptedModel() as model:` and
`model.base_url`. It listens on 127.0.0.1 only.

    POST /v1/chat/completions   answered by `scripted_answers`, or as the script says
    POST /v1/embeddings         by words' first letters; none of the script but `api_key` holds for it
    GET  /v1/models, /health
    /v1/files, /v1/batches      the batch API, if `batches` is in the script (`scripted_batches.py`)
    GET  /counts                calls by outcome, and how many were in flight at once
    GET  /requests              the bodies received, oldest first
    POST /script                changes the script; unknown keys are refused with 400

Keys of a script (constructor arguments and `POST /script` alike; each one given replaces the former value):

    latency_s        seconds before every answer
    fail             {"status": 429, "count": 2, "retry_after": 1.5, "body": {...}}, or a list of such; the next
                     `count` calls get it (null: all calls). Status 0 closes the connection without an answer.
    refuse           any of json_schema, json_object, logprobs, max_tokens, temperature, seed, reasoning_effort, images:
                     400 naming it
    ignore           any of logprobs, images: accepted and left out, as some gateways do
    context_tokens   a longer prompt (4 characters a token) gets 400 "exceeds the available context size"
    reply            "scripted", "garbage", "cut" (finish_reason length), "filtered" (content_filter) or "empty"
    reply_count      how many replies that holds for; null: all
    text             answer exactly this text; null: none
    api_key          any other key gets 401; null: every key is good
    requests_per_minute, tokens_per_minute
                     how much is let through in any 60 s, by the time of arrival; the rest gets 429 at once, with the
                     `x-ratelimit-*` headers that every answer has then. What was refused uses nothing up
    max_in_flight    more calls at once than this get 429
    limit_headers    false: no answer tells of limits
    batches          how the batch API behaves, see `scripted_batches.py`; null: there is none (404)
    reset            true: counts and requests start again from nothing
"""

from __future__ import annotations

import argparse
import json
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.fakes.scripted_answers import JSON, ScriptedReply, answer, tokens
from tests.fakes.scripted_batches import BATCH_PATHS, ScriptedBatches
from tests.strict_schema import strict_faults

CHARACTERS_A_TOKEN = 4
TOKENS_AN_IMAGE = 85
MAX_KEPT_REQUESTS = 20_000
_REFUSABLE = (
    "json_schema",
    "json_object",
    "logprobs",
    "max_tokens",
    "temperature",
    "seed",
    "reasoning_effort",
    "images",
)
_GARBAGE = ("I'd rather not say.", '{"sentiment": ', "}{ \0 [1, 2", "It could be both, honestly.", "[]", "null")


@dataclass
class Script:
    """How the server behaves now; see the module's docstring for each key."""

    latency_s: float = 0.0
    fail: list[dict[str, JSON]] = field(default_factory=list)
    refuse: Sequence[str] = ()
    ignore: Sequence[str] = ()
    context_tokens: int | None = None
    reply: str = "scripted"
    reply_count: int | None = None
    text: str | None = None
    api_key: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_in_flight: int | None = None
    limit_headers: bool = True
    batches: dict[str, JSON] | None = None

    def change(self, changes: Mapping[str, JSON]) -> None:
        unknown = set(changes) - {f.name for f in fields(self)}
        if unknown:
            raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}")
        if not set(changes.get("refuse") or ()) <= set(_REFUSABLE):
            raise ValueError(f"refuse takes any of {', '.join(_REFUSABLE)}")
        if changes.get("reply", "scripted") not in ("scripted", "garbage", "cut", "filtered", "empty"):
            raise ValueError("reply is not one of the five")
        for name, value in changes.items():
            if name == "fail":
                value = [dict(f) for f in (value if isinstance(value, list) else [value] if value else [])]
            setattr(self, name, value)

    def next_failure(self) -> dict[str, JSON] | None:
        if not self.fail:
            return None
        failure = self.fail[0]
        if failure.get("count", 1) is not None:
            failure["count"] = failure.get("count", 1) - 1
            if failure["count"] <= 0:
                self.fail.pop(0)
        return failure

    def next_reply(self) -> str:
        kind = self.reply
        if kind != "scripted" and self.reply_count is not None:
            self.reply_count -= 1
            if self.reply_count <= 0:
                self.reply, self.reply_count = "scripted", None
        return kind


@dataclass(frozen=True)
class Answer:
    """One HTTP answer and the name it is counted under. Status 0: close the connection."""

    outcome: str
    status: int
    body: JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class ScriptedModel:
    """The server, in threads of this process. Use it as a context manager, or `start` and `stop` it."""

    def __init__(self, *, port: int = 0, model: str = "scripted", **script: Any) -> None:
        self.model = model
        self.script = Script()
        self.script.change(script)
        self.requests: deque[dict[str, JSON]] = deque(maxlen=MAX_KEPT_REQUESTS)
        self.embedded: deque[dict[str, JSON]] = deque(maxlen=MAX_KEPT_REQUESTS)  # what /v1/embeddings was asked
        self.outcomes: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()  # answered calls, by what was asked: the messages as JSON
        self.in_flight = self.most_in_flight = 0
        self.window = SlidingWindow()
        self.batches = ScriptedBatches(self._answer_row)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.model = self

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._server.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client has closed it already
        if self._thread is not None:
            self._thread.join(5)

    def serve(self) -> None:
        """Serve in this thread until interrupted."""
        self._server.serve_forever(0.1)

    def change(self, **changes: JSON) -> None:
        """Change the script while the server runs."""
        with self._lock:
            if changes.pop("reset", False):
                self.requests.clear()
                self.outcomes.clear()
                self.paid.clear()
                self.most_in_flight = self.in_flight
                self.window = SlidingWindow()
            self.script.change(changes)

    def counts(self) -> dict[str, JSON]:
        with self._lock:
            answered = sum(n for name, n in self.outcomes.items() if not name[0].isdigit())
            return {
                "calls": sum(self.outcomes.values()),
                "answered": answered,
                "outcomes": dict(self.outcomes),
                "in_flight": self.in_flight,
                "most_in_flight": self.most_in_flight,
                "let_through": {"requests": self.window.requests, "tokens": self.window.tokens},
            }

    def complete(self, body: JSON, key: str | None) -> Answer:
        """Answer one Chat Completions call."""
        with self._lock:
            self.requests.append(body)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            latency_s = self.script.latency_s
            refused, headers = self._admit(body)
            if refused is not None:
                self.outcomes["429"] += 1
                self.in_flight -= 1
                return refused
        try:
            time.sleep(latency_s)
            with self._lock:
                reply = self._decide(body, key)
                self.outcomes[reply.outcome] += 1
                if reply.status == 200:
                    self.paid[json.dumps(body["messages"])] += 1
            return replace(reply, headers={**headers, **reply.headers})
        finally:
            with self._lock:
                self.in_flight -= 1

    def _answer_row(self, body: JSON) -> tuple[int, JSON]:
        """A request that came in a batch: answered as a call, and counted by `batches` only."""
        with self._lock:
            found = self._decide(body, self.script.api_key)
        return found.status, found.body

    def _admit(self, body: JSON) -> tuple[Answer | None, Mapping[str, str]]:
        """A refusal because of a limit, and the headers of an answer. What it will use is known beforehand."""
        script = self.script
        limits = {"requests": script.requests_per_minute, "tokens": script.tokens_per_minute}
        if script.max_in_flight is None and not any(limits.values()):
            return None, {}
        now = time.monotonic()
        needs = {"requests": 1, "tokens": _used_tokens(body) if script.tokens_per_minute else 0}
        left = {what: None if limit is None else limit - self.window.used(what, now) for what, limit in limits.items()}
        short = [what for what, room in left.items() if room is not None and room < needs[what]]
        crowded = script.max_in_flight is not None and self.in_flight > script.max_in_flight
        headers: dict[str, str] = {}
        if not short and not crowded:
            self.window.add(now, needs)
            left = {what: None if room is None else room - needs[what] for what, room in left.items()}
        for what, limit in limits.items():
            room = left[what]
            if script.limit_headers and limit is not None and room is not None:
                headers[f"x-ratelimit-limit-{what}"] = str(limit)
                headers[f"x-ratelimit-remaining-{what}"] = str(room)
                headers[f"x-ratelimit-reset-{what}"] = f"{60_000 * (limit - room) // limit}ms"
        if not short and not crowded:
            return None, headers
        if short and script.limit_headers:
            headers["Retry-After"] = "1"
        told = f"Rate limit reached for {' and '.join(short) or 'calls in flight'}."
        return replace(_error(429, told, type_="rate_limit_error", code="rate_limit_exceeded"), headers=headers), {}

    def _decide(self, body: JSON, key: str | None) -> Answer:
        failure = self.script.next_failure()
        if failure is not None:
            return _failure(failure)
        if self.script.api_key is not None and key != self.script.api_key:
            return _error(401, "Incorrect API key provided.", code="invalid_api_key")
        refusal = _refusal(body, self.script.refuse)
        if refusal is not None:
            return refusal
        prompt_tokens = sum(_prompt_tokens(m.get("content")) for m in body["messages"]) + 1
        limit = self.script.context_tokens
        if limit is not None and prompt_tokens > limit:
            return _error(
                400,
                f"the request ({prompt_tokens} tokens) exceeds the available context size ({limit} tokens), "
                "try increasing it",
                type_="exceed_context_size_error",
            )
        return self._completion(body, prompt_tokens)

    def _completion(self, body: JSON, prompt_tokens: int) -> Answer:
        kind = self.script.next_reply()
        sees = "images" not in self.script.ignore
        reply = answer(body["messages"], body.get("response_format"), sees_images=sees)
        finish_reason = {"cut": "length", "filtered": "content_filter"}.get(kind, "stop")
        if self.script.text is not None:
            reply = ScriptedReply(text=self.script.text, labels=())
        elif kind == "garbage":
            reply = ScriptedReply(text=_GARBAGE[self.outcomes["garbage"] % len(_GARBAGE)], labels=())
        elif kind == "cut":
            reply = ScriptedReply(text=reply.text[: len(reply.text) // 2], labels=())
        elif kind in ("filtered", "empty"):
            reply = ScriptedReply(text="", labels=())
        listed = tokens(reply, int(body.get("top_logprobs") or 0))
        logprobs = {"content": listed} if body.get("logprobs") and "logprobs" not in self.script.ignore else None
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": reply.text, "refusal": None},
            "logprobs": logprobs,
            "finish_reason": finish_reason,
        }
        return Answer(
            "ok" if kind == "scripted" else kind,
            200,
            {
                "id": f"chatcmpl-{sum(self.outcomes.values())}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": body.get("model", self.model),
                "choices": [choice],
                "usage": {
                    "prompt_tokens": prompt_tokens,
                    "completion_tokens": len(listed),
                    "total_tokens": prompt_tokens + len(listed),
                },
            },
        )


class SlidingWindow:
    """What was let through in the last 60 s, and in all."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, int]] = deque()  # when, tokens
        self._recent_tokens = 0
        self.requests = self.tokens = 0

    def used(self, what: str, now: float) -> int:
        while self._recent and self._recent[0][0] <= now - 60.0:
            self._recent_tokens -= self._recent.popleft()[1]
        return len(self._recent) if what == "requests" else self._recent_tokens

    def add(self, now: float, used: Mapping[str, int]) -> None:
        self._recent.append((now, used["tokens"]))
        self._recent_tokens += used["tokens"]
        self.requests += 1
        self.tokens += used["tokens"]


def _used_tokens(body: JSON) -> int:
    """What the scripted answer to this will use; 0 for a call that will be refused."""
    if _refusal(body, ()) is not None:
        return 0
    prompt_tokens = sum(_prompt_tokens(m.get("content")) for m in body["messages"]) + 1
    return prompt_tokens + len(tokens(answer(body["messages"], body.get("response_format")), 0))


def _prompt_tokens(content: JSON) -> int:
    if not isinstance(content, list):
        return len(str(content)) // CHARACTERS_A_TOKEN
    texts = sum(len(part.get("text", "")) // CHARACTERS_A_TOKEN for part in content)
    return int(texts + TOKENS_AN_IMAGE * sum(part.get("type") == "image_url" for part in content))


def _has_images(messages: Sequence[JSON]) -> bool:
    lists = [m["content"] for m in messages if isinstance(m, dict) and isinstance(m.get("content"), list)]
    return any(part.get("type") == "image_url" for parts in lists for part in parts)


def _failure(failure: Mapping[str, JSON]) -> Answer:
    status = int(failure.get("status", 500))
    headers = {"Retry-After": str(failure["retry_after"])} if failure.get("retry_after") is not None else {}
    body = failure.get("body", _error(status, f"Scripted failure {status}.").body)
    return Answer(str(status), status, body, headers)


def _refusal(body: JSON, refuse: Sequence[str]) -> Answer | None:
    """400 for a call that the endpoint does not understand or was told to refuse."""
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not messages or body.get("stream"):
        return _error(400, "Invalid request: messages are needed, and streaming is not offered.")
    if "images" in refuse and _has_images(messages):
        return _error(400, "Invalid content: this model does not support image input.", param="messages")
    response_format = body.get("response_format") or {}
    kind = response_format.get("type")
    if kind in refuse:
        return _error(
            400, f"Invalid parameter: 'response_format' of type '{kind}' is not supported.", param="response_format"
        )
    if kind == "json_schema":
        faults = strict_faults(response_format.get("json_schema", {}).get("schema"))
        if faults:
            return _error(400, f"Invalid schema for response_format: {faults[0]}.", param="response_format")
    if "top_logprobs" in body and not 0 <= (body["top_logprobs"] or 0) <= 20:
        return _error(400, "Invalid value for 'top_logprobs': at most 20.", param="top_logprobs")
    for name in ("logprobs", "max_tokens", "temperature", "seed", "reasoning_effort"):
        given = body.get(name) is not None and not (name == "logprobs" and body[name] is False)
        if name in refuse and given:
            hint = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
            message = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
            return _error(400, message, param=name, code="unsupported_parameter")
    return None


def _error(
    status: int,
    message: str,
    *,
    type_: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
) -> Answer:
    body = {"error": {"message": message, "type": type_, "param": param, "code": code}}
    return Answer(str(status), status, body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512
    model: ScriptedModel

    def __init__(self, *args: Any) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(*args)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Workers ask it too while a unit test runs, in which this process may open no socket: `accept` would raise,
        and end the thread. The listening socket was made by the class that is allowed."""
        connection, address = self.socket._accept()  # type: ignore[attr-defined]
        found = type(self.socket)(self.socket.family, self.socket.type, fileno=connection)
        found.settimeout(None)
        return found, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        model = self.server.model
        path = self.path.partition("?")[0].rstrip("/")
        if path == "/v1/models":
            entry = {"id": model.model, "object": "model", "created": 0, "owned_by": "tests"}
            self.send(200, {"object": "list", "data": [entry]})
        elif path == "/counts":
            self.send(200, model.counts())
        elif path == "/requests":
            self.send(200, list(model.requests))
        elif path == "/health":
            self.send(200, {"status": "ok"})
        elif path.startswith(BATCH_PATHS):
            self.batch_call("GET", b"")
        else:
            self.send(404, _error(404, f"No such path: {path}").body)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith(BATCH_PATHS):
            self.batch_call("POST", content)
            return
        try:
            body = json.loads(content or b"{}")
        except ValueError:
            self.send(400, _error(400, "The body is not JSON.").body)
            return
        if self.path == "/v1/chat/completions":
            self.complete(body)
        elif self.path == "/v1/embeddings":
            self.embed(body)
        elif self.path == "/script":
            self.change(body)
        else:
            self.send(404, _error(404, f"No such path: {self.path}").body)

    def embed(self, body: JSON) -> None:
        """A vector counts a text's words by their first letters: texts with like words are alike."""
        key = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        model = self.server.model
        if model.script.api_key not in (None, key):
            self.send(401, _error(401, "Incorrect API key provided.").body)
            return
        model.embedded.append(body)
        letters = "abcdefghijklmnopqrstuvwxyz"
        rows = [[float(sum(w.startswith(c) for w in text.lower().split())) for c in letters] for text in body["input"]]
        data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)]
        used = sum(len(text) // CHARACTERS_A_TOKEN + 1 for text in body["input"])
        usage = {"prompt_tokens": used, "total_tokens": used}
        self.send(200, {"object": "list", "model": body["model"], "data": data, "usage": usage})

    def do_DELETE(self) -> None:
        self.batch_call("DELETE", b"")

    def batch_call(self, method: str, content: bytes) -> None:
        model = self.server.model
        key = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        if model.script.batches is None:
            self.send(404, _error(404, f"No such path: {self.path}").body)
        elif model.script.api_key not in (None, key):
            self.send(401, _error(401, "Incorrect API key provided.").body)
        elif model.script.batches.get("breaks") and self.path.endswith("/content"):
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b'{"custom_id": ')
            self.close_connection = True
        else:
            kind = self.headers.get("Content-Type") or ""
            self.send(*model.batches.call(method, self.path, content, kind, model.script.batches))

    def complete(self, body: JSON) -> None:
        key = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        answer = self.server.model.complete(body, key)
        if answer.status == 0:
            self.close_connection = True
        else:
            self.send(answer.status, answer.body, answer.headers)

    def change(self, changes: JSON) -> None:
        try:
            self.server.model.change(**changes)
        except (TypeError, ValueError) as error:
            self.send(400, {"error": str(error)})
        else:
            self.send(200, self.server.model.counts())

    def send(self, status: int, body: JSON, headers: Mapping[str, str] | None = None) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: a run makes thousands of calls."""


def main() -> None:
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible endpoint.")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--model", default="scripted")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--refuse", action="append", default=[], choices=_REFUSABLE)
    parser.add_argument("--ignore", action="append", default=[], choices=["logprobs", "images"])
    parser.add_argument("--context-tokens", type=int)
    parser.add_argument("--reply", default="scripted", choices=["scripted", "garbage", "cut", "filtered", "empty"])
    parser.add_argument("--text", help="answer exactly this")
    parser.add_argument("--api-key", help="refuse every other key")
    parser.add_argument("--requests-per-minute", type=int)
    parser.add_argument("--tokens-per-minute", type=int)
    parser.add_argument("--max-in-flight", type=int)
    parser.add_argument("--no-limit-headers", dest="limit_headers", action="store_false")
    options = vars(parser.parse_args())
    options["latency_s"] = options.pop("latency")
    model = ScriptedModel(**options)
    print(f"scripted model: {model.base_url}", flush=True)
    try:
        model.serve()
    except KeyboardInterrupt:
        model.stop()


if __name__ == "__main__":
    main()
