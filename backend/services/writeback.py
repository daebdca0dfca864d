"""Write finished records to Label Studio: one writer a project, in batches that adapt, each prediction once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import monotonic, sleep

from backend.core.errors import LabelStudioError, LabelStudioUnauthorized, LabelStudioUnreachable, QueueError
from backend.ports.labels import Labels
from backend.ports.queue import Queue
from backend.ports.store import ProjectRow, Record, Store
from backend.services.current_scores import CurrentScores
from backend.services.golden_copies import GoldenCopies

_log = logging.getLogger(__name__)

FIRST_BATCH = 50
SMALLEST_BATCH, LARGEST_BATCH = 25, 5_000
_SHORT_CALL_S = 0.1  # what an annotator's submit may wait for: on SQLite about as long as one call
_LONG_CALL_S = 0.5  # a small batch takes so long only where a call's length has little to do with the batch
_BREATH = 2.0  # after a call, in lengths of it: who waits for the database gets it now
_LONGEST_BREATH_S = 5.0
_LONGEST_DRAIN_S = 240.0  # the queue ends a message after ten minutes; who writes back does nothing else


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How many predictions go into the next call, learnt from what the last ones cost."""

    size: int = FIRST_BATCH
    other: tuple[int, float] | None = None  # the last full call of another size: how many it held, and its seconds

    def after(self, sent: int, took_s: float) -> Pace:
        """Calls are to be short. Where their length has little to do with the batch (as with the memory-efficient
        import off, where one prediction takes as long as thousands), they are to be few."""
        if sent < self.size:
            return self
        if took_s <= _SHORT_CALL_S:
            size = self.size * 2 if took_s <= _SHORT_CALL_S / 2 else self.size
        elif self._mostly_fixed(sent, took_s):
            size = self.size * 2
        else:
            size = self.size // 2
        size = min(LARGEST_BATCH, max(SMALLEST_BATCH, size))
        return Pace(size=size, other=self.other if size == self.size else (sent, took_s))

    def _mostly_fixed(self, sent: int, took_s: float) -> bool:
        """Whether of two long calls the larger took not much longer: of twice the batch, less than 1.4 times."""
        (few, few_s), (many, many_s) = sorted((self.other or (sent, took_s), (sent, took_s)))
        return few_s > _LONG_CALL_S and (few == many or many_s < few_s * (1 + 0.4 * (many / few - 1)))


@dataclass(frozen=True, kw_only=True)
class Writer:
    """The write-back of one installation."""

    store: Store
    labels: Labels
    queue: Queue
    pause: Callable[[float], None] = sleep

    @cached_property
    def scores(self) -> CurrentScores:
        return CurrentScores(store=self.store)

    def write_back(self, project_id: int, *, longest_s: float = _LONGEST_DRAIN_S) -> int:
        """Write all that is due for the project; returns how many predictions. Another writer at it: 0 at once.

        What another worker finishes while this one holds the lock is seen either by the drain or by the look after
        the release. What is left even so - to another writer, which may be dead, or held for a request - has a message
        that comes back for it, so that no answer waits for the next run.
        """
        written, until = 0, monotonic() + longest_s
        while True:
            with self.queue.writer_lock(project_id) as keep:
                if keep is not None:
                    self.store.unclaim_deliveries(project_id)
                    written += self._drain(project_id, keep, until)
                    written += self._write_golden(project_id, keep)
            row = self.store.project(project_id)
            if row is None or row.version is None:
                return written
            versions = self._versions(row)
            due = any(self.store.due_deliveries(project_id, version) for version in versions)
            if keep is None or monotonic() > until or not due:
                if any(self.store.undelivered(project_id, version) for version in versions):
                    self.queue.enqueue_write_back(project_id)
                return written

    def _drain(self, project_id: int, keep: Callable[[], None], until: float) -> int:
        """Write what is due, a batch a call, until nothing is or the time is over."""
        pace, written = Pace(), 0
        while monotonic() <= until:
            row = self.store.project(project_id)
            if row is None or row.version is None:
                return written
            claimed = (self.store.claim_deliveries(project_id, version, pace.size) for version in self._versions(row))
            records = self.scores.brought_up(row, next(filter(None, claimed), []))
            if not records:
                return written
            keep()
            doubtful = self._may_be_there(project_id, [r for r in records if r.rewrite])
            plain = [r for r in records if r.id not in doubtful]
            started = monotonic()
            written += self._import(project_id, plain)
            took_s, full = monotonic() - started, len(plain) == pace.size
            for record in records:
                if record.id in doubtful:
                    written += self._replace(record)
            self._keep_or_doubt(keep, records)
            if full:  # there may be more
                pace = pace.after(len(plain), took_s)
                self.pause(min(took_s * _BREATH, _LONGEST_BREATH_S))
        return written

    def _write_golden(self, project_id: int, keep: Callable[[], None]) -> int:
        """Golden questions have no records, and are to look as all other tasks do."""
        row = self.store.project(project_id)
        keep()
        return 0 if row is None else GoldenCopies(store=self.store, labels=self.labels).write(row)

    def _keep_or_doubt(self, keep: Callable[[], None], records: Sequence[Record]) -> None:
        """Where the lock was lost meanwhile, another writer may have written the same: all are looked at again."""
        try:
            keep()
        except QueueError:
            self.store.doubt_deliveries([record.id for record in records])
            raise

    def _versions(self, row: ProjectRow) -> list[str]:
        """The current version, and those that jobs with an agent of their own make beside it."""
        return [*filter(None, [row.version]), *self.store.versions_beside(row.id)]

    def _may_be_there(self, project_id: int, doubtful: Sequence[Record]) -> set[int]:
        """The ids of those records that are looked at one by one. One question tells which tasks lack the version: a
        writer that died, or a Label Studio that did, leaves whole batches of them."""
        if len(doubtful) < 2:
            return {r.id for r in doubtful}
        ids, version = [r.task_id for r in doubtful], doubtful[0].shown_version
        absent = set(self.labels.task_ids(project_id, ids=ids, without_version=version))
        return {r.id for r in doubtful if r.task_id not in absent}

    def _import(self, project_id: int, records: Sequence[Record]) -> int:
        """One bulk call; where it is refused, find the deleted tasks and go on with the rest."""
        if not records:
            return 0
        try:
            created = self.labels.import_predictions(project_id, [r.prediction for r in records])
        except (LabelStudioUnreachable, LabelStudioUnauthorized):
            raise
        except LabelStudioError as error:
            return self._after_refusal(project_id, records, error)
        if created == len(records):
            for in_doubt in (False, True):
                self.store.set_delivery([r.id for r in records if r.rewrite is in_doubt], "written", in_doubt=in_doubt)
            return created
        _log.warning("import wrote fewer predictions than were sent", extra={"sent": len(records), "written": created})
        return sum(self._replace(record) for record in records)

    def _after_refusal(self, project_id: int, records: Sequence[Record], error: LabelStudioError) -> int:
        there = self.labels.existing_tasks(project_id, [r.task_id for r in records])
        gone = [r for r in records if r.task_id not in there]
        if gone:
            self.store.set_deleted([r.id for r in gone])
            return self._import(project_id, [r for r in records if r.task_id in there])
        if len(records) == 1:
            return self._refused(records[0], error)
        _log.warning("import refused a batch, sent one by one", extra={"project": project_id, "sent": len(records)})
        return sum(self._import(project_id, [record]) for record in records)

    def _replace(self, record: Record) -> int:
        """Leave exactly one prediction of the version on the task, this one. For records that may be there already."""
        try:
            found = self.labels.predictions(record.project_id, record.task_id)
            same = [p for p in found if p.model_version == record.shown_version]
            if same:
                self.labels.update_prediction(same[0].id, record.prediction)
                for extra in same[1:]:
                    self.labels.delete_prediction(extra.id)
            else:
                self.labels.create_prediction(record.prediction)
        except (LabelStudioUnreachable, LabelStudioUnauthorized):
            raise
        except LabelStudioError as error:
            if record.task_id not in self.labels.existing_tasks(record.project_id, [record.task_id]):
                self.store.set_deleted([record.id])
                return 0
            return self._refused(record, error)
        self.store.set_delivery([record.id], "written", in_doubt=record.rewrite and not same)
        return 1

    def _refused(self, record: Record, error: LabelStudioError) -> int:
        _log.error(
            "Label Studio refuses a prediction",
            extra={"task": record.task_id, "project": record.project_id, "status": error.status},
        )
        self.store.set_refused(record.id, f"Label Studio refuses the prediction (HTTP {error.status}).")
        return 0
