"""The part of Label Studio's API that a job needs, for benchmarks: tasks as many as wished, predictions recorded.

`python -m tests.fakes.recording_sink --port 8091 --tasks 5000 --config FILE.xml`, in a process of its own, with one
project, number 1. Task n's data is made when it is asked for. Of predictions it keeps the task ids.

    GET /recorded   predictions, tasks that have any, when the first and the last came (of the monotonic clock), CPU
                    seconds used
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.fakes.lean_http import JSON, Answer, Call, as_json, cpu_s, serve

PROJECT = 1


def task_text(number: int) -> str:
    """The text of task `number`: each its own, so that none is answered from the cache of replies."""
    return (
        f"Order {number}: the parcel came {number % 9 + 1} days late and nobody at the desk knew why, but the staff "
        "were kind about it and the lamp itself works very well. We would order here again."
    )


class RecordingSink:
    def __init__(self, tasks: int, config: str) -> None:
        self._tasks = tasks
        self._project: dict[str, JSON] = {
            "id": PROJECT,
            "title": "Bench",
            "label_config": config,
            "expert_instruction": "",
            "model_version": "",
            "task_number": tasks,
        }
        self._recorded: Counter[int] = Counter()
        self._first_at: float | None = None
        self._last_at: float | None = None

    def handle(self, call: Call) -> Answer:
        url = urlsplit(call.target)
        if url.path == f"/api/projects/{PROJECT}/import/predictions":
            return self._record([item["task"] for item in json.loads(call.body)])
        if url.path == "/api/tasks":
            asked = parse_qs(url.query)
            return as_json(self._page(json.loads(asked["query"][0]), int(asked["page_size"][0])))
        if url.path == f"/api/projects/{PROJECT}":
            if call.method == "PATCH":
                self._project |= json.loads(call.body)
            return as_json(self._project)
        if url.path in ("/api/ml", "/api/webhooks/", "/api/dm/views"):
            return as_json([])
        if url.path == "/api/version":
            return as_json({"release": "1.23.2"})
        if url.path == "/recorded":
            return as_json(
                {
                    "predictions": self._recorded.total(),
                    "tasks": len(self._recorded),
                    "first_at": self._first_at,
                    "last_at": self._last_at,
                    "cpu_s": cpu_s(),
                }
            )
        return as_json({"detail": f"No such path: {url.path}"}, status=404)

    def _page(self, query: JSON, size: int) -> JSON:
        found = self._chosen(query, size)
        return {"tasks": [{"id": n, "data": {"text": task_text(n)}} for n in found], "total": self._tasks}

    def _chosen(self, query: JSON, size: int) -> Sequence[int]:
        if "selectedItems" in query:
            return [n for n in query["selectedItems"]["included"] if 1 <= n <= self._tasks]
        items = {item["filter"].rpartition(":")[2]: item["value"] for item in query["filters"]["items"]}
        lacking = "predictions_model_versions" in items
        found = []
        for number in range(int(items.get("id", 0)) + 1, self._tasks + 1):
            if not (lacking and number in self._recorded):
                found.append(number)
                if len(found) == size:
                    break
        return found

    def _record(self, task_ids: Sequence[int]) -> Answer:
        if any(not 1 <= n <= self._tasks for n in task_ids):
            return as_json({"detail": "task ID not found in project"}, status=400)
        self._recorded.update(task_ids)
        self._last_at = time.monotonic()
        self._first_at = self._first_at or self._last_at
        return as_json({"created": len(task_ids)}, status=201)


def main() -> None:
    parser = argparse.ArgumentParser(description="A Label Studio that only records predictions.")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--tasks", type=int, required=True)
    parser.add_argument("--config", type=Path, required=True, help="the labeling config's file")
    asked = parser.parse_args()
    config = re.sub(r"\s+", " ", asked.config.read_text(encoding="utf-8"))
    asyncio.run(serve(asked.port, RecordingSink(asked.tasks, config).handle))


if __name__ == "__main__":
    main()
