"""The queue in memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from backend.core.errors import QueueError
from backend.core.values import JSON
from backend.ports.queue import QueueLevel, QueueServer


@dataclass(frozen=True, kw_only=True)
class Message:
    """One queue message: the name of a work function of `backend.worker` and its arguments."""

    id: str
    work: str  # "annotate_chunk", "enlist", "sync_project", "auto_start", "write_back", "batch_step", "check_project",
    # "look_at_annotations", "catch_up", "refit"
    arguments: tuple[JSON, ...]
    interactive: bool = True


class MemoryQueue:
    """`backend.ports.queue.Queue`: messages wait in `messages` until `run_all`; those for later in `later`."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()
        self.later: deque[Message] = deque()
        self.delays: list[float] = []  # of the chunks that were to come later
        self.reachable = True
        self.worker_count = 1
        self.checked: set[int] = set()  # projects that were compared with Label Studio lately
        self.caught_up: set[int] = set()  # projects whose annotations were read lately
        self.comparisons: dict[int, datetime] = {}  # when the last of a project began
        self.working: set[str] = set()  # messages that somebody is at
        self.started_with: list[Mapping[str, str]] = []  # what each worker tells of its settings
        self.failed: dict[str, int] = {}  # class of the error -> messages that were given up
        self.oldest_s: float | None = None  # how long the first message has waited
        self.told = QueueServer(keeps=True, evicts=False, ahead_s=0.0)
        self._passed_over: set[str] = set()  # steps of batches beside which another may wait
        self._locks: dict[tuple[str, int], threading.Lock] = {}
        self._lock = threading.Lock()
        self._last_id = 0

    def ping(self) -> None:
        if not self.reachable:
            raise QueueError("Redis cannot be used: check REDIS_URL and that the server is running.")

    def enqueue_chunk(self, job_id: int, task_ids: Sequence[int], *, interactive: bool, delay_s: float = 0.0) -> None:
        self._enqueue("annotate_chunk", job_id, list(task_ids), interactive=interactive)
        if delay_s:
            self.delays.append(delay_s)
            self.later.append(self.messages.pop())

    def enqueue_enlisting(self, job_id: int, read_to: int | None) -> None:
        self.ping()
        if not any(m.work == "enlist" and m.arguments == (job_id,) for m in self.messages):
            self._enqueue("enlist", job_id, interactive=False)

    def enqueue_sync(self, project_id: int) -> None:
        self.ping()
        if not any(m.work == "sync_project" and m.arguments == (project_id,) for m in self.messages):
            self._enqueue("sync_project", project_id)

    def sync_started(self, project_id: int) -> None:
        """Nothing to note: a message that is being worked on no longer waits."""
        self.ping()

    def enqueue_auto_start(self, project_id: int, task_ids: Sequence[int]) -> None:
        self._enqueue("auto_start", project_id, list(task_ids))

    def enqueue_write_back(self, project_id: int, *, at_once: bool = False) -> None:
        self.ping()
        if not any(m.work == "write_back" and m.arguments == (project_id,) for m in [*self.messages, *self.later]):
            self._enqueue("write_back", project_id, interactive=False)
            if not at_once:
                self.later.append(self.messages.pop())

    def enqueue_check(self, project_id: int) -> None:
        self.ping()
        if project_id not in self.checked:
            self.checked.add(project_id)
            self._enqueue("check_project", project_id, interactive=False)

    def enqueue_annotations(self, project_id: int, task_ids: Sequence[int], annotation_ids: Sequence[int]) -> None:
        self._enqueue("look_at_annotations", project_id, list(task_ids), list(annotation_ids))

    def enqueue_catch_up(self, project_id: int) -> None:
        self.ping()
        if project_id not in self.caught_up:
            self.caught_up.add(project_id)
            self._enqueue("catch_up", project_id, interactive=False)

    def enqueue_refit(self, project_id: int) -> None:
        self.ping()
        if not any(m.work == "refit" and m.arguments == (project_id,) for m in self.messages):
            self._enqueue("refit", project_id, interactive=False)

    def refit_started(self, project_id: int) -> None:
        """Nothing to note: a message that is being worked on no longer waits."""
        self.ping()

    def checked_at(self, project_id: int) -> datetime | None:
        self.ping()
        return self.comparisons.get(project_id)

    def set_checked(self, project_id: int, began: datetime) -> None:
        self.ping()
        self.comparisons[project_id] = began

    @contextmanager
    def at_work(self, claimant: str) -> Iterator[None]:
        self.ping()
        self.working.add(claimant)
        try:
            yield
        finally:
            self.working.discard(claimant)

    def silent(self, claimants: Collection[str]) -> set[str]:
        self.ping()
        return set(claimants) - self.working

    def jobs_named(self) -> set[int]:
        self.ping()
        return {m.arguments[0] for m in [*self.messages, *self.later] if m.work == "annotate_chunk"}

    @contextmanager
    def sweeper_lock(self) -> Iterator[Callable[[], None] | None]:
        with self.writer_lock(-1) as keep:
            yield keep

    def writer_at(self, project_id: int) -> bool:
        self.ping()
        return self._is_locked(("writer", project_id))

    def write_back_started(self, project_id: int) -> None:
        """Nothing to note: a message that is being worked on no longer waits."""
        self.ping()

    def enqueue_batch_step(self, job_id: int, *, after: int = 0, delay_s: float = 0.0) -> None:
        self.ping()
        waiting = [m for m in [*self.messages, *self.later] if m.id not in self._passed_over]
        if not any(m.work == "batch_step" and m.arguments[0] == job_id for m in waiting):
            self._enqueue("batch_step", job_id, after, interactive=False)
            if delay_s:
                self.later.append(self.messages.pop())

    def batch_step_started(self, job_id: int) -> None:
        """What waits now keeps no other away."""
        self.ping()
        waiting = [*self.messages, *self.later]
        self._passed_over |= {m.id for m in waiting if m.work == "batch_step" and m.arguments[0] == job_id}

    def a_while_passes(self) -> None:
        """What was to come later waits among the messages now."""
        self.messages += self.later
        self.later.clear()

    def depth(self) -> dict[str, int]:
        self.ping()
        interactive = sum(m.interactive for m in self.messages)
        return {"interactive": interactive, "bulk": len(self.messages) - interactive}

    def levels(self) -> Mapping[str, QueueLevel]:
        later = sum(m.interactive for m in self.later)
        return {
            name: QueueLevel(
                waiting=waiting,
                started=0,
                scheduled=later if name == "interactive" else len(self.later) - later,
                failed=0,
                oldest_s=self.oldest_s if waiting else None,
                workers=self.worker_count,
            )
            for name, waiting in self.depth().items()
        }

    def failures(self) -> Mapping[str, int]:
        self.ping()
        return self.failed

    def server(self) -> QueueServer:
        self.ping()
        return self.told

    def workers(self) -> int:
        self.ping()
        return self.worker_count

    def bulk_workers(self) -> int:
        return self.workers()

    def workers_started_with(self) -> list[Mapping[str, str]]:
        self.ping()
        return self.started_with

    def writer_lock(self, project_id: int) -> AbstractContextManager[Callable[[], None] | None]:
        return self._locked(("writer", project_id))

    def batch_lock(self, job_id: int) -> AbstractContextManager[Callable[[], None] | None]:
        return self._locked(("batch", job_id))

    def batch_at(self, job_id: int) -> bool:
        self.ping()
        return self._is_locked(("batch", job_id))

    def _is_locked(self, name: tuple[str, int]) -> bool:
        lock = self._locks.get(name)
        return lock is not None and lock.locked()

    @contextmanager
    def _locked(self, name: tuple[str, int]) -> Iterator[Callable[[], None] | None]:
        self.ping()
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        got = lock.acquire(blocking=False)
        try:
            yield partial(self._keep, name, lock) if got else None
        finally:
            if got:
                lock.release()

    def _keep(self, name: tuple[str, int], lock: threading.Lock) -> None:
        self.ping()
        if self._locks.get(name) is not lock:
            raise QueueError("A lock ran out: another worker may be at it.")

    def lose_locks(self) -> None:
        """Redis comes back empty: who has a lock loses it."""
        self._locks.clear()

    def run_all(self, handler: Callable[[Message], None]) -> int:
        """Hand every message to `handler` until none waits; returns how many. One that raises waits again."""
        done = 0
        while self.messages:
            message = self.messages.popleft()
            try:
                handler(message)
            except BaseException:
                self.messages.appendleft(message)
                raise
            done += 1
        return done

    def _enqueue(self, work: str, *arguments: JSON, interactive: bool = True) -> None:
        self.ping()
        with self._lock:
            self._last_id += 1
            message = Message(id=f"message-{self._last_id}", work=work, arguments=arguments, interactive=interactive)
        self.messages.append(message)
