"""Faults by name: each is really done to a running installation, and says what became of the work."""

import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx

from scripts import machine
from scripts.benchmarks.fault_site import CONFIG, IN_FLIGHT, LATENCY_S, Result, Site, wait_until
from scripts.benchmarks.report import BenchError, SkippedError
from scripts.demo_project import LabelStudioError, Project
from scripts.processes import kill_session
from tests.integration.postgresql import new_postgresql

TASKS = 60
HELD_S = 8.0  # how long something is away or refuses


def worker_killed(site: Site) -> Result:
    work = site.project(TASKS)
    work.run()
    work.answered(12)
    work.kill("worker")
    site.start_worker()
    work.ended()
    return work.recovered()


def child_killed(site: Site) -> Result:
    work = site.project(TASKS)
    work.run()
    work.answered(12)
    work.in_flight = IN_FLIGHT
    site.kill_work_horse()
    work.ended()
    return work.recovered()


def worker_stopped(site: Site) -> Result:
    """SIGTERM: nothing is paid again, not even what was in flight."""
    work = site.project(TASKS)
    work.run()
    work.answered(12)
    site.stop("worker")
    site.start_worker()
    work.ended()
    return work.recovered()


def service_killed(site: Site) -> Result:
    """While Label Studio asks it for tasks that somebody has just opened."""
    site.start_service()
    work = site.project(5)
    work.connect()
    site.model.change(latency_s=3.0)
    work.version = str(site.product.command("status", "--project", str(work.project.id))["version"])
    opened = [threading.Thread(target=_open, args=(work.project, task)) for task in work.texts]
    for thread in opened:
        thread.start()
    wait_until(lambda: site.model.in_flight, "an opened task is asked")
    site.kill("service")
    for thread in opened:
        thread.join()
    site.start_service()
    work.ended()
    try:
        return work.recovered()
    finally:
        site.stop("service")


def redis_killed(site: Site) -> Result:
    return _redis_away(site, emptied=False)


def redis_emptied(site: Site) -> Result:
    return _redis_away(site, emptied=True)


def label_studio_killed(site: Site) -> Result:
    """Within a call that writes predictions, as the store knows."""
    work = site.project(200)
    site.model.change(latency_s=0.02)
    work.run()
    with closing(site.store()) as store:
        wait_until(lambda: store.counts(work.project.id).deliveries.get("claimed"), "predictions are being written")
    site.kill("label-studio")
    time.sleep(HELD_S)
    site.start_label_studio()
    work.ended()
    return work.recovered()


def database_restarted(site: Site) -> Result:
    """PostgreSQL, killed and started again."""
    binaries = machine.postgresql()
    if binaries is None:
        raise SkippedError("no PostgreSQL server: apt-get install postgresql")
    with new_postgresql(binaries) as server:
        first = server.started(durable=True)
        running = first.__enter__()
        url = server.new_database()
        with site.with_settings({"DATABASE_URL": url}):
            work = site.project(TASKS)
            work.run()
            work.answered(12)
            kill_session(running.process.pid)
            first.__exit__(None, None, None)
            time.sleep(HELD_S)
            with server.started(durable=True):
                work.ended()
                return work.recovered()


def database_locked(site: Site) -> Result:
    """SQLite, held by somebody for longer than anybody waits for it."""
    work = site.project(TASKS)
    work.run()
    work.answered(12)
    path = site.product.settings["DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(35)
        connection.execute("ROLLBACK")
    work.ended()
    return work.recovered()


def key_refused(site: Site) -> Result:
    return _refusing(site, {"status": 401, "count": None}, pauses=True)


def quota_exhausted(site: Site) -> Result:
    return _refusing(site, {"status": 402, "count": None}, pauses=True)


def model_away(site: Site) -> Result:
    """Connections are closed without an answer."""
    return _refusing(site, {"status": 0, "count": None}, pauses=True)


def limited_with_retry_after(site: Site) -> Result:
    return _refusing(site, {"status": 429, "count": None, "retry_after": 3})


def limited_without_retry_after(site: Site) -> Result:
    return _refusing(site, {"status": 429, "count": None})


def slow_replies(site: Site) -> Result:
    """One round of replies that take a minute each; the seconds count from their arrival."""
    work = site.project(20)
    site.model.change(latency_s=60.0)
    work.run()
    wait_until(lambda: site.model.in_flight, "calls are in flight")
    time.sleep(2.0)  # all that may be in flight are
    site.model.change(latency_s=LATENCY_S)
    wait_until(lambda: site.model.counts()["answered"], "they are answered", 90)
    work.ended()
    return work.recovered()


def cut_replies(site: Site) -> Result:
    return _unreadable(site, "cut")


def garbage_replies(site: Site) -> Result:
    return _unreadable(site, "garbage")


def task_deleted(site: Site) -> Result:
    work = site.project(TASKS)
    work.run()
    work.answered(4)
    for task in (min(work.texts), max(work.texts)):
        work.project.call("DELETE", f"/api/tasks/{task}/")
        del work.texts[task]
    work.ended()
    return work.recovered()


def task_edited(site: Site) -> Result:
    """The answers to the old texts must not stay: what is not about the new ones counts as lost."""
    work = site.project(TASKS)
    work.run()
    work.answered(30)
    edited = [*list(work.texts)[:2], *list(work.texts)[-2:]]  # answered already, and not yet
    for task in edited:
        data = {"text": f"{work.texts[task]} Terrible, awful."}
        work.project.call("PATCH", f"/api/tasks/{task}/", json={"data": data})
    work.ended()

    def about_the_new() -> bool:
        labels = {p.task: p.labels.get("sentiment") for p in work.project.predictions()}
        return all(labels.get(task) == "negative" for task in edited)

    wait_until(about_the_new, "edited tasks have an answer to their new text", 120)
    return work.recovered()


def task_annotated(site: Site) -> Result:
    work = site.project(TASKS)
    work.run()
    work.answered(4)
    region = {"from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": ["neutral"]}}
    for task in (min(work.texts), max(work.texts)):
        work.project.call("POST", f"/api/tasks/{task}/annotations/", json={"result": [region]})
    work.ended()
    return work.recovered()


def config_changed(site: Site) -> Result:
    """With `--auto-start` a new run begins by itself, and nothing is written under a version that is not its own."""
    site.start_service()
    try:
        work = site.project(TASKS)
        work.connect("--auto-start")
        work.run()
        first = work.version
        work.answered(12)
        changed = CONFIG.replace('<Choice value="neutral"/>', '<Choice value="neutral"/><Choice value="unclear"/>')
        work.project.call("PATCH", f"/api/projects/{work.project.id}/", json={"label_config": changed})
        work.ended()

        def current() -> str:
            version = str(work.project.details()["model_version"] or "")
            return version if version != first else "none yet"

        return work.recovered(version=current)
    finally:
        site.stop("service")


def disk_full(site: Site) -> Result:
    """The file system of the SQLite file has no room left for a while."""
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(site.folder / "disk"))
        stack.enter_context(site.with_settings({"DATABASE_URL": f"sqlite:///{disk}/prelabel.sqlite3"}))
        work = site.project(TASKS)
        work.run()
        work.answered(12)
        filler = disk / "filler"
        _fill(filler)
        time.sleep(2 * HELD_S)
        told = site.process("worker").log.read_text()
        filler.unlink()
        work.ended()
        if "is full" not in told:
            raise BenchError("the worker did not say that the disk is full")
        return work.recovered()


FAULTS: dict[str, Callable[[Site], Result]] = {
    "kill -9 of a worker": worker_killed,
    "kill -9 of a worker's child": child_killed,
    "SIGTERM of a worker": worker_stopped,
    "kill -9 of the service": service_killed,
    "kill -9 of Redis": redis_killed,
    "Redis emptied": redis_emptied,
    "kill -9 of Label Studio, writing": label_studio_killed,
    "PostgreSQL killed and restarted": database_restarted,
    "SQLite held for 35 s": database_locked,
    "key refused (401)": key_refused,
    "quota exhausted (402)": quota_exhausted,
    "model away": model_away,
    "limited (429, Retry-After)": limited_with_retry_after,
    "limited (429)": limited_without_retry_after,
    "replies take 60 s": slow_replies,
    "replies cut off": cut_replies,
    "replies are garbage": garbage_replies,
    "tasks deleted": task_deleted,
    "tasks edited": task_edited,
    "tasks annotated": task_annotated,
    "labeling config changed": config_changed,
    "disk full": disk_full,
}


def _redis_away(site: Site, *, emptied: bool) -> Result:
    work = site.project(TASKS)
    work.run()
    work.answered(12)
    work.kill("redis")
    time.sleep(2.0)
    if emptied:
        site.empty_redis()
    site.start_redis()
    work.ended()
    return work.recovered()


def _refusing(site: Site, failure: dict[str, object], *, pauses: bool = False) -> Result:
    work = site.project(TASKS)
    work.run()
    work.answered(12)
    site.model.change(fail=[failure])
    if pauses:
        work.state_is("paused")
    time.sleep(HELD_S)
    site.model.change(fail=[])
    work.ended()
    return work.recovered()


def _unreadable(site: Site, reply: str) -> Result:
    """A few: they are written empty, with score 0, and counted."""
    work = site.project(TASKS)
    site.model.change(reply=reply, reply_count=10)
    work.run()
    work.answered(12)
    work.ended()
    return work.recovered()


def _open(project: Project, task: int) -> None:
    """As the editor does; Label Studio waits for the service meanwhile."""
    try:
        project.call("GET", f"/api/tasks/{task}/", params={"project": project.id})
    except (httpx.HTTPError, LabelStudioError):
        return


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of a few megabytes. Only root may make one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        raise SkippedError("a small file system cannot be mounted here: only root may")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 512, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
