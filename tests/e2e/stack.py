"""What the end-to-end tests run against: the product's processes and commands, and projects of a real Label Studio."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scripts.demo_project import Prediction, Project, Tab, call
from scripts.processes import Running, start_process
from scripts.product import PROGRAM, Product
from scripts.services import LabelStudio
from tests.fakes.scripted_model import ScriptedModel

Row = Mapping[str, Any]
COMMAND_LIMIT_S = 120.0
DEADLINE_S = 2.0  # how long /predict may wait here; shorter than the default, to save time
_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A command of the product that has ended."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """What it printed with --json."""
        return dict(json.loads(self.out))

    @property
    def only_sentence(self) -> str:
        """What a failed command told a person: one line, no traceback."""
        assert self.code == 1, f"ended with code {self.code}: {self.out} {self.err}"
        lines = [line for line in (self.out + self.err).splitlines() if line.strip()]
        assert len(lines) == 1, f"more than one line: {lines}"
        assert lines[0].startswith("prelabel: ")
        return lines[0]


class Labeling(Project):
    """A project of Label Studio, as its owner and its annotators use it."""

    def import_rows(self, rows: Sequence[Row]) -> list[int]:
        """Import tasks; their ids, in the order of the rows."""
        known = set(self.task_ids())
        self.call("POST", f"/api/projects/{self.id}/import", json=[dict(row) for row in rows])
        return [task_id for task_id in self.task_ids() if task_id not in known]

    def task_ids(self) -> list[int]:
        return sorted(row["id"] for row in self.rows())

    def open_task(self, task_id: int) -> dict[str, Any]:
        """As the editor does: Label Studio asks the backend when the task has no prediction."""
        return dict(self.call("GET", f"/api/tasks/{task_id}/", params={"project": self.id}))

    def delete_task(self, task_id: int) -> None:
        self.call("DELETE", f"/api/tasks/{task_id}/")

    def change(self, **fields: Any) -> None:
        """Save project settings."""
        self.call("PATCH", f"/api/projects/{self.id}/", json=fields)

    def change_data(self, task_id: int, data: Row) -> None:
        self.call("PATCH", f"/api/tasks/{task_id}/", json={"data": dict(data)})

    def webhooks(self) -> list[dict[str, Any]]:
        return list(self.call("GET", "/api/webhooks/", params={"project": self.id}))

    def tab(self) -> Tab:
        found = self.uncertain_first()
        assert found is not None, f"no tab is sorted by score: {self.tabs()}"
        return found

    def of_version(self, version: str) -> dict[int, Prediction]:
        """The prediction of `version` of each task that has one; asserts that none has two."""
        found = [p for p in self.predictions() if p.model_version == version]
        by_task = {p.task: p for p in found}
        assert len(by_task) == len(found), f"{len(found) - len(by_task)} duplicates in project {self.id}"
        return by_task


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One installation of the product beside a Label Studio."""

    label_studio: LabelStudio
    model: ScriptedModel
    product: Product

    def prelabel(self, *arguments: object, **settings: str) -> Finished:
        """Run a command; `settings` change its environment."""
        argv = [str(PROGRAM), *map(str, arguments)]
        done = subprocess.run(
            argv,
            env=self.product.env | settings,
            cwd=self.product.folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return Finished(code=done.returncode, out=done.stdout, err=done.stderr)

    def answer(self, *arguments: object, **settings: str) -> dict[str, Any]:
        """The JSON of a command that succeeds."""
        done = self.prelabel(*arguments, "--json", **settings)
        assert done.code == 0, f"{arguments} ended with code {done.code}: {done.out} {done.err}"
        return done.answer

    def project(self, title: str, config: str, rows: Sequence[Row] = ()) -> Labeling:
        """A new project with tasks, not connected."""
        body = {"title": title, "label_config": config}
        project = Labeling(self.label_studio, call(self.label_studio, "POST", "/api/projects", json=body)["id"])
        if rows:
            project.import_rows(rows)
        return project

    def connect(self, project: Project, *options: str) -> dict[str, Any]:
        return self.answer("connect", "--project", project.id, "--backend-url", self.product.url, *options)

    def run(self, project: Project) -> dict[str, Any]:
        return self.answer("run", "--project", project.id, "--wait")

    def pre_annotated(self, title: str, config: str, row: Row, answer: Mapping[str, Any]) -> Labeling:
        """A project with one task and the prediction of a model that answers that."""
        project = self.project(title, config, [row])
        self.connect(project)
        self.model.change(text=json.dumps(answer, ensure_ascii=False))
        told = self.run(project)
        self.model.change(text=None)
        assert told["by_state"] == {"done": 1}, told
        return project

    @contextmanager
    def waiting_run(self, project: Project) -> Iterator[Running]:
        """`prelabel run --wait` in the background."""
        argv = [str(PROGRAM), "run", "--project", str(project.id), "--wait", "--json"]
        with start_process("run", argv, self.product.env, folder=self.product.folder) as running:
            yield running

    def status(self, project: Project) -> dict[str, Any]:
        return self.answer("status", "--project", project.id)

    def doctor(self, project: Project, **settings: str) -> dict[str, Any]:
        return self.prelabel("doctor", "--project", project.id, "--json", **settings).answer

    def model_calls(self) -> int:
        return int(self.model.counts()["calls"])

    @contextmanager
    def beside(
        self, name: str, settings: Mapping[str, str], *, database: int, serve: bool = False, worker: bool = True
    ) -> Iterator[Stack]:
        """A second installation: its own folder, SQLite file and Redis `database`, the rest as here but `settings`."""
        folder = self.product.folder.parent / name
        own = {
            "DATABASE_URL": f"sqlite:///{folder / 'prelabel.sqlite3'}",
            "REDIS_URL": f"{self.product.settings['REDIS_URL'].rpartition('/')[0]}/{database}",
        }
        product = Product(folder=folder, settings={**self.product.settings, **own, **settings})
        folder.mkdir(parents=True)
        with ExitStack() as running:
            service = running.enter_context(product.start_service(wait=False)) if serve else None
            if worker:
                running.enter_context(product.start_worker())
            if service is not None:
                service.wait_ready()
            yield replace(self, product=product)


def eventually(condition: Callable[[], object], what: str, limit_s: float = 20.0) -> None:
    """Wait until `condition` holds; fail with `what` when it does not within the limit."""
    limit = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < limit, f"not within {limit_s:.0f} s: {what}"
        time.sleep(_POLL_S)


def logs(folder: Path, lines: int = 25) -> Iterator[tuple[str, str]]:
    """The end of each service's log below `folder`."""
    for log in sorted(folder.rglob("*.log")):
        yield str(log), "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
