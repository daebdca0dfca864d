"""Write finished records to Label Studio: one writer a project, in batches that adapt, each prediction once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from backend.core.errors import LabelStudioError, LabelStudioUnauthorized, LabelStudioUnreachable
from backend.ports.labels import Labels
from backend.ports.queue import Queue
from backend.ports.store import Record, Store

_log = logging.getLogger(__name__)

FIRST_BATCH = 100
SMALLEST_BATCH, LARGEST_BATCH = 25, 2_000
_SHORT_CALL_S = 0.3  # an annotator's submit waits about as long as one call


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How many predictions go into the next call, learnt from what the last ones cost."""

    size: int = FIRST_BATCH
    last: tuple[int, float] | None = None  # the last full call: how many it held, and its seconds

    def after(self, sent: int, took_s: float) -> Pace:
        """Grow while a call is short, or while its length has little to do with the batch (as with the
        memory-efficient import off, where one prediction takes as long as thousands); else shrink towards a short
        call."""
        if sent < self.size:
            return self
        if took_s > _SHORT_CALL_S and self.last is not None and self.last[0] == sent:
            return Pace(size=self.size, last=(sent, took_s))  # at a bound: nothing to compare with
        grow = took_s <= _SHORT_CALL_S or self.last is None or _mostly_fixed(self.last, (sent, took_s))
        size = min(LARGEST_BATCH, self.size * 2) if grow else max(SMALLEST_BATCH, self.size // 2)
        return Pace(size=size, last=(sent, took_s))


def _mostly_fixed(one: tuple[int, float], other: tuple[int, float]) -> bool:
    """Whether of two calls the larger took not much longer: twice the batch, less than 1.4 times the seconds."""
    (few, few_s), (many, many_s) = sorted((one, other))
    return many_s < few_s * (1 + 0.4 * (many / few - 1))


@dataclass(frozen=True, kw_only=True)
class Writer:
    """The write-back of one installation."""

    store: Store
    labels: Labels
    queue: Queue

    def write_back(self, project_id: int) -> int:
        """Write all that is due for the project; returns how many predictions. Another writer at it: 0 at once.

        What another worker finishes while this one holds the lock is seen either by the drain or by the look after
        the release. What is left even so - to another writer, which may be dead, or held for a request - has a message
        that comes back for it, so that no answer waits for the next run.
        """
        written = 0
        while True:
            with self.queue.writer_lock(project_id) as keep:
                if keep is not None:
                    self.store.unclaim_deliveries(project_id)
                    written += self._drain(project_id, keep)
            row = self.store.project(project_id)
            if row is None or row.version is None:
                return written
            if keep is None or not self.store.due_deliveries(project_id, row.version):
                if self.store.undelivered(project_id, row.version):
                    self.queue.enqueue_write_back(project_id)
                return written

    def _drain(self, project_id: int, keep: Callable[[], None]) -> int:
        pace, written = Pace(), 0
        while True:
            row = self.store.project(project_id)
            if row is None or row.version is None:
                return written
            records = self.store.claim_deliveries(project_id, row.version, pace.size)
            if not records:
                return written
            keep()
            doubtful = self._may_be_there(project_id, [r for r in records if r.rewrite])
            plain = [r for r in records if r.id not in doubtful]
            started = monotonic()
            written += self._import(project_id, plain)
            if plain:
                pace = pace.after(len(plain), monotonic() - started)
            for record in records:
                if record.id in doubtful:
                    written += self._replace(record)

    def _may_be_there(self, project_id: int, doubtful: Sequence[Record]) -> set[int]:
        """The ids of those records that are looked at one by one. One question tells which tasks lack the version: a
        writer that died, or a Label Studio that did, leaves whole batches of them."""
        if len(doubtful) < 2:
            return {r.id for r in doubtful}
        ids, version = [r.task_id for r in doubtful], doubtful[0].version
        absent = {task.id for task in self.labels.tasks(project_id, (), ids=ids, without_version=version)}
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
            self.store.set_delivery([r.id for r in records], "written")
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
            same = [p for p in found if p.model_version == record.version]
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
        self.store.set_delivery([record.id], "written")
        return 1

    def _refused(self, record: Record, error: LabelStudioError) -> int:
        _log.error(
            "Label Studio refuses a prediction",
            extra={"task": record.task_id, "project": record.project_id, "status": error.status},
        )
        self.store.set_refused(record.id, f"Label Studio refuses the prediction (HTTP {error.status}).")
        return 0
