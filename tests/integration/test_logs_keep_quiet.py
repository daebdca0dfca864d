"""No task text, reply, prompt or key comes into any log, however things fail: real processes, at DEBUG."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.adapters.rq_queue import RedisQueue
from backend.adapters.sql.store import SqlStore
from backend.core.values import Task
from backend.services.jobs import enqueue_job
from backend.settings import Settings
from backend.wiring import Parts
from scripts.places import ROOT
from scripts.processes import Running, free_port, process_env, start_process
from scripts.services import Redis, http_answers
from tests.fakes.installation import CONFIG
from tests.integration.test_worker_processes import eventually

pytestmark = pytest.mark.integration
MARKER = "MARKER-qlhd"
PROJECT, BROKEN = 1, 99


def answer(number: int) -> tuple[int, dict[str, str], bytes]:
    """The model's answers by turns: of every kind, each with the marker in whatever can hold it."""
    reply = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": MARKER}}]}
    good = {**reply, "id": "x", "object": "chat.completion", "created": 1, "model": MARKER, "usage": None}
    error = json.dumps({"error": {"message": f"{MARKER} quotes your prompt", "code": MARKER}}).encode()
    kinds: list[tuple[int, dict[str, str], bytes]] = [
        (200, {}, json.dumps(good).encode()),
        (400, {}, error),
        (500, {"x-request-id": MARKER}, error),
        (429, {"retry-after": "0"}, error),
        (200, {}, f"{MARKER} no JSON".encode()),
        (302, {"location": f"/elsewhere?token={MARKER}"}, b""),
        (200, {}, json.dumps({**good, "choices": [{"message": MARKER}]}).encode()),
        (422, {}, error),
    ]
    return kinds[number % len(kinds)]


class Hostile(BaseHTTPRequestHandler):
    """A model below /v1, and at everything else a Label Studio that quotes what it was sent."""

    turns = count()

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        status, headers, content = 400, {}, json.dumps({"detail": f"{MARKER} {body.decode()}"}).encode()
        if self.path.startswith("/v1/chat"):
            status, headers, content = answer(next(self.turns))
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = answer

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def hostile_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def environment(redis: Redis, tmp_path: Path) -> Iterator[dict[str, str]]:
    with hostile_server() as url:
        RedisQueue(redis.url).connection.flushdb()
        yield {
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": redis.url,
            "DATABASE_URL": f"sqlite:///{tmp_path / 'prelabel.sqlite3'}",
            "LABEL_STUDIO_URL": url,
            "LABEL_STUDIO_API_KEY": f"key{MARKER}",
            "OPENAI_BASE_URL": f"{url}/v1",
            "OPENAI_API_KEY": f"key{MARKER}",
            "PRELABEL_CONFIDENCE": "logprob",
            "PRELABEL_LOG_LEVEL": "DEBUG",
        }
        RedisQueue(redis.url).connection.flushdb()


def started(name: str, arguments: list[str], environment: dict[str, str], folder: Path, **more: Any) -> Any:
    argv = [sys.executable, "-m", "backend", *arguments]
    return start_process(name, argv, process_env(environment), folder=folder, **more)


def queue_a_job(environment: dict[str, str]) -> tuple[SqlStore, int]:
    given = {field.alias: environment[str(field.alias)] for field in Settings.model_fields.values()
             if field.alias in environment}  # fmt: skip
    parts = Parts(Settings(**given))  # type: ignore[arg-type]
    parts.store.migrate()
    row, _ = parts.projects.remember(PROJECT, CONFIG.replace("praise", MARKER))
    assert row.version is not None
    job_id = parts.store.create_job(PROJECT, row.version, "run")
    tasks = [Task(id=n, project_id=PROJECT, data={"text": f"{MARKER} {n}"}) for n in range(1, 25)]
    parts.store.enlist(job_id, tasks, absent=True)
    broken = parts.store.create_job(PROJECT, row.version, "run")
    parts.store.enlist(broken, [Task(id=BROKEN, project_id=PROJECT, data={"text": MARKER})], absent=True)
    for queued in (job_id, broken):
        enqueue_job(parts.store, parts.queue, queued, chunk_size=8, interactive=False)
    return parts.store, job_id


def lines_of(process: Running) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.log.read_text(encoding="utf-8").splitlines()]


def test_the_worker(environment: dict[str, str], redis: Redis, tmp_path: Path) -> None:
    store, job_id = queue_a_job(environment)
    with store.begin() as connection:  # one that cannot be read at all: an error inside the database's driver
        connection.exec_driver_sql(f"UPDATE records SET data = '{MARKER} no JSON' WHERE task_id = {BROKEN}")
    queue = RedisQueue(redis.url)
    with started("worker", ["worker"], environment, tmp_path) as worker:
        eventually(lambda: "a queue message failed" in worker.log.read_text(), "Label Studio's refusal is told", 60)
        eventually(lambda: "internal error" in worker.log.read_text(), "the broken record is told", 60)
        eventually(lambda: sum(store.progress(job_id).states.values()) > 8, "tasks are worked on", 60)
    told = worker.log.read_text(encoding="utf-8")
    assert [line for line in told.splitlines() if MARKER in line] == []
    lines = lines_of(worker)
    assert {"model call is tried again", "a queue message failed"} <= {line["event"] for line in lines}
    of_tasks = [line for line in lines if line["event"] == "model call is tried again"]
    assert all({"job", "task", "message"} <= set(line) for line in of_tasks)
    assert any("traceback" in line for line in lines)  # places only
    in_redis = b"".join(queue.connection.dump(key) or b"" for key in queue.connection.scan_iter("rq:results*"))
    assert MARKER.encode() not in in_redis
    queue.close()
    store.close()


def test_the_service(environment: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    arguments = ["serve", "--host", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    task = {"id": 7, "data": {"text": MARKER}}
    with (
        started("serve", arguments, environment, tmp_path, ready=http_answers(f"{url}/health")) as service,
        httpx.Client(base_url=url, headers={"authorization": f"Token {MARKER}"}, timeout=30) as client,
    ):
        client.post("/setup", json={"project": f"{PROJECT}.1", "schema": CONFIG})
        client.post("/predict", json={"project": PROJECT, "tasks": [task], "label_config": CONFIG})
        client.post("/predict", json={"project": PROJECT, "tasks": [{"id": MARKER, "data": MARKER}]})
        client.post("/predict", content=f"{MARKER} no JSON")
        client.post("/webhook", json={"action": "PROJECT_UPDATED", "project": {"id": PROJECT}, "task": task})
        client.post("/webhook", json={"action": [MARKER]})
        assert client.get("/metrics").status_code == 200
        assert MARKER not in client.get("/metrics").text
    told = service.log.read_text(encoding="utf-8")
    assert MARKER not in told
    lines = [line for line in lines_of(service) if line["event"] == "request done"]
    (opened, *_) = [line for line in lines if line["path"] == "/predict"]
    assert (opened["project"], opened["task"], opened["status"]) == (PROJECT, 7, 200)
    assert opened["seconds"] >= 0


def test_with_the_setting_prompts_and_replies_are_there(environment: dict[str, str], tmp_path: Path) -> None:
    store, _ = queue_a_job(environment)
    with started("worker", ["worker"], {**environment, "PRELABEL_LOG_CONTENT": "true"}, tmp_path) as worker:
        eventually(lambda: '"event": "prompt"' in worker.log.read_text(), "a prompt is told", 60)
    lines = lines_of(worker)
    assert MARKER in str(next(line for line in lines if line["event"] == "prompt"))
    assert any(line["level"] == "warning" and "prompts, replies" in line["event"] for line in lines)
    store.close()
