"""How a running installation stands, one line each, with the next step: the part of `doctor` that alarms point to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from backend.core.errors import PrelabelError, QueueError
from backend.ports.clock import Clock
from backend.ports.governor import GovernorLevel, Levels
from backend.ports.overview import Disk, PausedJob
from backend.ports.queue import Queue, QueueLevel
from backend.ports.store import Store
from backend.services.doctor import Check

OLD_MESSAGE_S = 300.0  # with no worker on its queue
OPENED_WAITS_S = 60.0  # somebody has a task open for so long
LATE_DELIVERY = timedelta(minutes=5)
MOST_SKEW_S = 5.0
LEAST_FREE_BYTES = 1_000_000_000
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """The parts to be looked at. `limits` raises `QueueError`; `endpoint` is that of the settings."""

    store: Store
    queue: Queue
    limits: Callable[[], Levels]
    endpoint: str
    requests_are_set: bool
    tokens_are_set: bool
    logs_content: bool
    clock: Clock

    def checks(self) -> Iterator[Check]:
        """Each is looked at even if one before it is wrong. Without Redis or database, whose own lines say so, what
        they would tell is left out."""
        for look in (self._queues, self._failed, self._limits, self._server, self._jobs, self._written, self._disk):
            try:
                yield from look()
            except PrelabelError:
                continue
        if self.logs_content:
            detail = "PRELABEL_LOG_CONTENT IS ON: prompts and replies may be in the log; unset it and restart."
            yield Check(name="log content", status="note", detail=detail)

    def for_status(self) -> dict[str, Any]:
        """Limits and queues as JSON; where Redis is away, what it would tell is empty and `problem` says so."""
        try:
            limits, queues, problem = self._by_name(), self.queue.levels(), None
        except QueueError as error:
            limits, queues, problem = {}, {}, str(error)
        return {
            "model_limits": {m: {**asdict(level), "in_words": self._words(level)} for m, level in limits.items()},
            "queues": {name: asdict(level) for name, level in queues.items()},
            "problem": problem,
        }

    def _by_name(self) -> Mapping[str, GovernorLevel]:
        """By the model, and the endpoint where it is not that of the settings."""
        return {
            model if endpoint == self.endpoint else f"{model} at {endpoint}": level
            for (endpoint, model), level in self.limits().items()
        }

    def _words(self, level: GovernorLevel) -> str:
        return limit_in_words(level, requests_are_set=self.requests_are_set, tokens_are_set=self.tokens_are_set)

    def _queues(self) -> Iterator[Check]:
        for name, level in self.queue.levels().items():
            told = _queue_in_words(level)
            if not level.workers:
                stuck = (level.oldest_s or 0.0) > OLD_MESSAGE_S
                step = f"start `prelabel worker --{name} 1` (each machine's worker has one of each by default)."
                detail = f"{told}; no worker listens: {step}"
                yield Check(name=f"{name} queue", status="wrong" if stuck else "note", detail=detail)
            elif name == "interactive" and (level.oldest_s or 0.0) > OPENED_WAITS_S:
                detail = f"{told}: start more workers for it, `prelabel worker --interactive 2`."
                yield Check(name=f"{name} queue", status="note", detail=detail)
            else:
                yield Check(name=f"{name} queue", status="ok", detail=told)

    def _failed(self) -> Iterator[Check]:
        failures = self.queue.failures()
        if not failures:
            yield Check(name="failed messages", status="ok", detail="none")
            return
        told = ", ".join(f"{n} {kind}" for kind, n in failures.items())
        detail = (
            f"{told}: the log has each under `a queue message failed`; when the cause is gone, `prelabel run` again."
        )
        yield Check(name="failed messages", status="note", detail=detail)

    def _limits(self) -> Iterator[Check]:
        for model, level in self._by_name().items():
            told = self._words(level)
            if level.paused_s:
                detail = f"{model}: {told}; the endpoint asked for the pause, and the work goes on after it by itself."
                yield Check(name="model limit", status="note", detail=detail)
            else:
                yield Check(name="model limit", status="ok", detail=f"{model}: {told}")

    def _server(self) -> Iterator[Check]:
        server = self.queue.server()
        faults = []
        if server.keeps is False:
            faults.append("it keeps nothing over a restart: start it with `--appendonly yes`")
        if server.evicts:
            faults.append("it throws queue messages away when it is full: set `maxmemory-policy noeviction`")
        if abs(server.ahead_s) > MOST_SKEW_S:
            side = "ahead of" if server.ahead_s > 0 else "behind"
            faults.append(f"its clock is {abs(server.ahead_s):.0f} s {side} this machine's: set both by NTP")
        unknown = "; it does not tell whether it persists" if server.keeps is None else ", append-only"
        if faults:
            yield Check(name="redis server", status="note", detail=f"{'; '.join(faults)}.")
        else:
            yield Check(name="redis server", status="ok", detail=f"clock within {MOST_SKEW_S:.0f} s{unknown}")

    def _jobs(self) -> Iterator[Check]:
        paused = self.store.paused_jobs()
        if not paused:
            yield Check(name="jobs", status="ok", detail="none is paused")
        for job in paused:
            yield Check(name="jobs", status="note", detail=_paused_in_words(job))

    def _written(self) -> Iterator[Check]:
        late = self.store.late_deliveries(self.clock() - LATE_DELIVERY)
        if not late:
            yield Check(name="write-back", status="ok", detail="nothing waits for longer than five minutes")
            return
        detail = (
            f"{late} predictions have waited for longer than five minutes: "
            "look at the label studio lines here; when it answers, `prelabel run` writes them."
        )
        yield Check(name="write-back", status="note", detail=detail)

    def _disk(self) -> Iterator[Check]:
        disk = self.store.disk()
        if disk is None:
            return
        faults = _disk_faults(disk)
        detail = f"{disk.free_bytes / 1e9:.1f} GB are free in {disk.folder}"
        if faults:
            yield Check(name="disk", status="note", detail=f"{detail}: {'; '.join(faults)}.")
        else:
            yield Check(name="disk", status="ok", detail=detail)


def limit_in_words(level: GovernorLevel, *, requests_are_set: bool, tokens_are_set: bool) -> str:
    """ "600 requests a minute learnt, 12 in flight, paused for 20 s"."""
    told = []
    for limit, used, what, is_set in (
        (level.requests_per_minute, level.requests_used, "requests", requests_are_set),
        (level.tokens_per_minute, level.tokens_used, "tokens", tokens_are_set),
    ):
        if limit is not None:
            told.append(f"{limit:,} {what} a minute {'set' if is_set else 'learnt'}, {used:,} used")
    if not told:
        told.append("no limit a minute is known")
    bound = f" of at most {level.window:,}" if level.window is not None else ""
    told.append(f"{level.in_flight:,}{bound} in flight")
    if level.paused_s:
        told.append(f"paused for {level.paused_s:.0f} s")
    return ", ".join(told)


def _queue_in_words(level: QueueLevel) -> str:
    age = f", the first for {level.oldest_s:.0f} s" if level.oldest_s is not None else ""
    return (
        f"{level.waiting} waiting{age}, {level.started} in hand, {level.scheduled} for later, {level.workers} workers"
    )


def _paused_in_words(job: PausedJob) -> str:
    what = f"job {job.id} of project {job.project_id} is paused: {(job.reason or 'no reason is known').rstrip('.')}"
    if job.paused_by == "fault":
        return f"{what}; it goes on when that is well again, or at once with `prelabel jobs resume {job.id}`."
    return f"{what}; `prelabel jobs resume {job.id}` lets it go on."


def _disk_faults(disk: Disk) -> list[str]:
    faults = []
    if disk.free_bytes < LEAST_FREE_BYTES:
        faults.append("make room, or the workers stop when it is full")
    if disk.filesystem in _NETWORK:
        kind = disk.filesystem
        faults.append(
            f"SQLite loses data on a network folder ({kind}): move the file to a local disk, or use PostgreSQL"
        )
    return faults
