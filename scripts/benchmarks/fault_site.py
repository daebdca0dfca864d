"""An installation whose parts can be killed and started again: for the faults that `fault_cases.py` does to it."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.adapters.sql.store import SqlStore
from backend.ports.store import JobRow
from scripts.benchmarks.report import BenchError
from scripts.demo_project import Project, call
from scripts.processes import Running, all_processes, free_port, kill_session
from scripts.product import Product, settings
from scripts.services import LabelStudio, Redis, start_label_studio, start_redis
from tests.fakes.scripted_model import ScriptedModel

CONFIG = """<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text">
<Choice value="positive"/><Choice value="negative"/><Choice value="neutral"/></Choices></View>"""
LIMIT_S = 150.0  # within it all must be well again, whatever the figure
LATENCY_S = 0.3
IN_FLIGHT = 8  # most calls of one worker; an answer on its way back is among them, which the model does not count
POLL_S = 0.25
PROBE = "Is the sky blue?"  # of the calls that find out what an endpoint takes: known to be repeated


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a fault did."""

    tasks: int
    lost: int
    duplicated: int
    paid_twice: int
    seconds: float  # from the end of the fault until everything was written

    @property
    def holds(self) -> bool:
        return not (self.lost or self.duplicated or self.paid_twice) and self.seconds <= 60


class Site:
    """One installation, and the services that it stands on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, ExitStack] = {}
        self._processes: dict[str, Running] = {}
        self._redis_port, self._label_studio_port = free_port(), free_port()
        self.model = ScriptedModel()
        self.label_studio: LabelStudio
        self.redis: Redis
        self.product: Product
        self.titles = 0

    # --- parts ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.model.start()
        self.start_redis()
        self.start_label_studio()
        own = {
            "OPENAI_BASE_URL": self.model.base_url,
            "OPENAI_API_KEY": "scripted",
            "PRELABEL_MODEL": self.model.model,
            "PRELABEL_CONFIDENCE": "logprob",  # one call a task
            "PRELABEL_CHUNK_SIZE": "20",
        }
        prelabel = self.folder / "prelabel"
        self.product = Product(folder=prelabel, settings=settings(self.label_studio, self.redis, prelabel) | own)
        self.start_worker()

    def start_redis(self) -> None:
        context = start_redis(self.folder / "redis", persist=True, port=self._redis_port)
        self.redis = self._enter("redis", context)
        self._processes["redis"] = self.redis.process

    def start_label_studio(self) -> None:
        context = start_label_studio(self.folder / "label-studio", port=self._label_studio_port)
        self.label_studio = self._enter("label-studio", context)
        self._processes["label-studio"] = self.label_studio.process

    def start_worker(self) -> None:
        self._processes["worker"] = self._enter("worker", self.product.start_worker())

    def start_service(self) -> None:
        self._processes["service"] = self._enter("service", self.product.start_service())

    def process(self, name: str) -> Running:
        return self._processes[name]

    def kill(self, name: str) -> None:
        """kill -9 of the process and of all that it started."""
        kill_session(self._processes[name].process.pid)
        self._running.pop(name).close()

    def stop(self, name: str) -> None:
        """SIGTERM, and wait until it has ended by itself."""
        running = self._processes[name]
        running.process.terminate()
        running.process.wait(60)
        self._running.pop(name).close()

    def kill_work_horse(self) -> None:
        """The fork of a worker that is at a message: a grandchild of the process that watches."""
        leader = self._processes["worker"].process.pid

        def found() -> list[int]:
            pids = [pid for pid in all_processes() if _session(pid) == leader]
            return [pid for pid in pids if (p := _parent(pid)) not in (leader, 0) and _session(p) == leader]

        wait_until(found, "a worker has a message in hand")
        os.kill(found()[0], signal.SIGKILL)

    def empty_redis(self) -> None:
        shutil.rmtree(self.folder / "redis" / "appendonlydir")

    def close(self) -> None:
        for name in ("service", "worker", "label-studio", "redis"):
            if name in self._running:
                self._running.pop(name).close()
        self.model.stop()

    def _enter(self, name: str, context: Any) -> Any:
        self._running[name] = ExitStack()
        return self._running[name].enter_context(context)

    @contextmanager
    def with_settings(self, changes: Mapping[str, str]) -> Iterator[None]:
        """Another installation in place of this one: its own folder, and what is changed."""
        self.stop("worker")
        before, folder = self.product, self.folder / f"prelabel-{free_port()}"
        folder.mkdir()
        self.product = Product(folder=folder, settings={**before.settings, **changes})
        self.start_worker()
        try:
            yield
        finally:
            if "worker" in self._running:
                self.stop("worker")  # killed, it would be taken for alive by the next run, with other settings
            self.product = before
            self.start_worker()

    # --- what is looked at ----------------------------------------------------------------------------------------

    def store(self) -> SqlStore:
        return SqlStore(self.product.settings["DATABASE_URL"])

    def project(self, tasks: int) -> "Work":
        """A project whose texts are asked about for the first time, and a model that counts from now on."""
        self.titles += 1
        title = f"Fault {self.titles}"
        found = call(self.label_studio, "POST", "/api/projects", json={"title": title, "label_config": CONFIG})
        project = Project(self.label_studio, found["id"])
        texts = [f"Parcel {self.titles}-{n} was handed over on a weekday." for n in range(tasks)]
        project.import_texts(texts)
        self.model.change(reset=True, latency_s=LATENCY_S, fail=[], reply="scripted", reply_count=None)
        ids = sorted(row["id"] for row in project.rows())
        return Work(site=self, project=project, texts=dict(zip(ids, texts, strict=True)))


@dataclass(kw_only=True)
class Work:
    """A project that is being pre-annotated while something happens."""

    site: Site
    project: Project
    texts: dict[int, str]  # of the tasks that must have a prediction in the end
    in_flight: int = 0  # most model calls at the moment of a kill: they may be paid again
    version: str = ""
    _ended: float = field(default=0.0)

    def run(self) -> None:
        self.version = str(self.site.product.command("run", "--project", str(self.project.id))["version"])

    def connect(self, *options: str) -> None:
        url = self.site.product.url
        self.site.product.command("connect", "--project", str(self.project.id), "--backend-url", url, *options)

    def answered(self, count: int) -> None:
        """Wait until the model has answered so many."""
        wait_until(lambda: self.site.model.counts()["answered"] >= count, f"{count} calls are answered")

    def kill(self, name: str) -> None:
        self.in_flight += IN_FLIGHT
        self.site.kill(name)

    def job(self) -> JobRow:
        store = self.site.store()
        try:
            return store.jobs(self.project.id, limit=1)[0]
        finally:
            store.close()

    def state_is(self, state: str) -> None:
        wait_until(lambda: self.job().state == state, f"the job is {state}")

    def ended(self) -> None:
        """The fault is over: from here the seconds count."""
        self._ended = time.monotonic()

    def recovered(self, *, version: Callable[[], str] | None = None) -> Result:
        """Wait until every task has a prediction and nobody works any more; count them."""
        limit = time.monotonic() + LIMIT_S
        while True:
            self.version = version() if version else self.version
            found = [p.task for p in self.project.predictions() if p.model_version == self.version]
            if set(self.texts) <= set(found) or time.monotonic() > limit:
                break
            time.sleep(POLL_S)
        seconds = time.monotonic() - self._ended
        time.sleep(3.0)  # whoever would write a second time has begun by now
        found = [p.task for p in self.project.predictions() if p.model_version == self.version]
        repeated = sum(n - 1 for asked, n in self.site.model.paid.items() if PROBE not in asked)
        return Result(
            tasks=len(self.texts),
            lost=len(set(self.texts) - set(found)) + self._failed(),
            duplicated=len(found) - len(set(found)),
            paid_twice=max(0, repeated - self.in_flight),
            seconds=seconds,
        )

    def _failed(self) -> int:
        store = self.site.store()
        try:
            return store.counts(self.project.id, version=self.version).states.get("failed", 0)
        finally:
            store.close()


def wait_until(condition: Callable[[], object], what: str, limit_s: float = 60.0) -> None:
    limit = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > limit:
            raise BenchError(f"not within {limit_s:.0f} s: {what}")
        time.sleep(0.05)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return 0


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return 0
