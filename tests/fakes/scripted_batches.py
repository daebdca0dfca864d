"""The batch API of a scripted endpoint: `/v1/files` and `/v1/batches`, as OpenAI documents them.

Keys of a script (`ScriptedModel(batches={...})`; `{}`: there is a batch API, and a batch ends as soon as it is asked):

    looks     how often a batch is looked at before it ends, 0 at first
    ends      "completed", "expired" (what is left has an error `batch_expired`), "failed" (nothing is answered)
    answered  how many of a batch's requests are answered before it ends like that; null: all
    bad       {row number: kind} of the first batch, a kind one of "error" (500), "refused" (400), "garbage" (no JSON),
              "stranger" (another custom id), "cut" (finish_reason length), "nothing" (no line), "twice",
              "unreadable" (an answer without a label)
    metadata  false: is not kept
    page      true: every address is answered with a page for a browser
    breaks    true: a file breaks off while it is read
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

from werkzeug.formparser import parse_form_data

JSON = Any
BATCH_PATHS = ("/v1/files", "/v1/batches")
_OPEN = ("validating", "in_progress", "finalizing")


@dataclass
class File:
    id: str
    name: str
    content: bytes
    purpose: str

    def told(self) -> JSON:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": int(time.time()),
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


@dataclass
class Created:
    told: dict[str, JSON]
    looks: int = 0
    rows: list[JSON] = field(default_factory=list)


class ScriptedBatches:
    """What is at the endpoint. `answer` gives status and body for the body of one request."""

    def __init__(self, answer: Callable[[JSON], tuple[int, JSON]]) -> None:
        self._answer = answer
        self.files: dict[str, File] = {}
        self.batches: dict[str, Created] = {}
        self.answered: Counter[str] = Counter()  # custom id -> how often it was answered well
        self.bodies: list[JSON] = []  # of all requests that came in batches
        self._last = 0

    def call(self, method: str, target: str, content: bytes, kind: str, script: Mapping[str, JSON]) -> tuple[int, JSON]:
        """Status and body of one HTTP request."""
        if script.get("page"):
            return 200, "<html><body>Welcome</body></html>"
        url = urlsplit(target)
        parts = url.path.strip("/").split("/")[1:]
        if parts[0] == "files":
            return self._files(method, parts[1:], content, kind)
        return self._batches(method, parts[1:], content, parse_qs(url.query), script)

    def _files(self, method: str, parts: list[str], content: bytes, kind: str) -> tuple[int, JSON]:
        if not parts and method == "POST":
            environ = {
                "REQUEST_METHOD": "POST",
                "CONTENT_TYPE": kind,
                "CONTENT_LENGTH": str(len(content)),
                "wsgi.input": BytesIO(content),
            }
            _, form, files = parse_form_data(environ)
            with files["file"].stream as sent:
                kept = self._keep(files["file"].filename or "", sent.read(), form["purpose"])
            return 200, kept.told()
        if not parts:
            return 200, {"object": "list", "data": [f.told() for f in self.files.values()], "has_more": False}
        if parts[0] not in self.files:
            return 404, _error("No such File object")
        if method == "DELETE":
            del self.files[parts[0]]
            return 200, {"id": parts[0], "object": "file", "deleted": True}
        if parts[1:] == ["content"]:
            return 200, self.files[parts[0]].content.decode()
        return 200, self.files[parts[0]].told()

    def _batches(
        self, method: str, parts: list[str], content: bytes, query: Mapping[str, list[str]], script: Mapping[str, JSON]
    ) -> tuple[int, JSON]:
        if not parts and method == "POST":
            return self._create(json.loads(content), script)
        if not parts:
            newest = [b.told for b in reversed(self.batches.values())]
            after = query.get("after", [""])[0]
            if after:
                newest = newest[[b["id"] for b in newest].index(after) + 1 :]
            most = int(query.get("limit", ["20"])[0])
            page = newest[:most]
            return 200, {"object": "list", "data": page, "has_more": len(newest) > most}
        batch = self.batches.get(parts[0])
        if batch is None:
            return 404, _error("No batch found with this id")
        if parts[1:] == ["cancel"]:
            if batch.told["status"] not in _OPEN:
                return 409, _error("Cannot cancel a batch that has ended")
            batch.told["status"] = "cancelling"
        elif batch.told["status"] == "cancelling":
            self._end(batch, {**script, "ends": "cancelled"})
        elif batch.told["status"] in _OPEN:
            batch.looks += 1
            if batch.looks > script.get("looks", 0):
                self._end(batch, script)
            else:
                batch.told["status"] = "in_progress"
        return 200, batch.told

    def _create(self, body: JSON, script: Mapping[str, JSON]) -> tuple[int, JSON]:
        file = self.files.get(body["input_file_id"])
        if file is None or file.purpose != "batch" or body["endpoint"] != "/v1/chat/completions":
            return 400, _error("Invalid input_file_id or endpoint")
        rows = [json.loads(line) for line in file.content.splitlines()]
        ids = [row["custom_id"] for row in rows]
        fine = all(row["method"] == "POST" and row["url"] == body["endpoint"] for row in rows)
        if not rows or len(set(ids)) != len(ids) or not fine:
            return 400, _error("Invalid input file")
        self.bodies += [row["body"] for row in rows]
        told = {
            "id": self._id("batch"),
            "object": "batch",
            "endpoint": body["endpoint"],
            "input_file_id": file.id,
            "completion_window": body["completion_window"],
            "status": "validating",
            "created_at": int(time.time()),
            "metadata": body.get("metadata") if script.get("metadata", True) else None,
            "request_counts": {"total": len(rows), "completed": 0, "failed": 0},
            "output_file_id": None,
            "error_file_id": None,
        }
        self.batches[told["id"]] = Created(told=told, rows=rows)
        return 200, told

    def _end(self, batch: Created, script: Mapping[str, JSON]) -> None:
        ends = script.get("ends", "completed")
        most = script.get("answered")
        first = batch is next(iter(self.batches.values()))
        bad = {int(number): kind for number, kind in script.get("bad", {}).items()} if first else {}
        good: list[str] = []
        wrong: list[str] = []
        if ends == "failed":
            batch.told["errors"] = {"object": "list", "data": [{"code": "token_limit_exceeded", "message": "x"}]}
            most = 0
        for number, row in enumerate(batch.rows):
            if most is not None and number >= most:
                if ends == "expired":
                    wrong.append(_line(row["custom_id"], None, error={"code": "batch_expired", "message": "x"}))
                continue
            self._row(row, bad.get(number, ""), good, wrong)
        for name, lines in (("output_file_id", good), ("error_file_id", wrong)):
            if lines:
                batch.told[name] = self._keep(name, "".join(lines).encode(), "batch_output").id
        total = len(batch.rows)
        batch.told["request_counts"] = {"total": total, "completed": len(good), "failed": len(wrong)}
        batch.told["status"] = ends

    def _row(self, row: JSON, kind: str, good: list[str], wrong: list[str]) -> None:
        custom_id = row["custom_id"]
        if kind in ("error", "refused"):
            wrong.append(_line(custom_id, {"error": {"message": "x"}}, status=500 if kind == "error" else 400))
            return
        status, body = self._answer(row["body"])
        if kind == "cut":
            body["choices"][0]["finish_reason"] = "length"
        if kind == "unreadable":
            body["choices"][0]["message"]["content"] = "I'd rather not say."
        if status != 200:
            wrong.append(_line(custom_id, body, status=status))
        elif kind == "garbage":
            good.append('{"custom_id": "' + custom_id + '", "response": {"status_code": 200, "bo\n')
        elif kind == "stranger":
            good.append(_line("f" * 64, body))
        elif kind != "nothing":
            good += [_line(custom_id, body)] * (2 if kind == "twice" else 1)
            self.answered[custom_id] += kind != "cut"

    def _keep(self, name: str, content: bytes, purpose: str) -> File:
        file = File(self._id("file"), name, content, purpose)
        self.files[file.id] = file
        return file

    def _id(self, what: str) -> str:
        self._last += 1
        return f"{what}-{self._last}"


def _line(custom_id: str, body: JSON, *, status: int = 200, error: JSON = None) -> str:
    response = None if body is None else {"status_code": status, "request_id": "r", "body": body}
    row = {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": error}
    return json.dumps(row, ensure_ascii=False) + "\n"


def _error(message: str) -> JSON:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
