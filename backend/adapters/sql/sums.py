"""Sums over records: for `status`, the report and the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from backend.adapters.sql.agents import is_written
from backend.adapters.sql.database import Database
from backend.adapters.sql.deliveries import WAITING
from backend.adapters.sql.schema import jobs, records
from backend.core.quantiles import Durations
from backend.core.values import TaskState, Usage
from backend.ports.audits import WITHHELD
from backend.ports.store import Counts

_BINS = 10
_SCORED = (TaskState.DONE.value, TaskState.EMPTY.value)  # of the others 0 is no probability

_ANSWERED = [state.value for state in TaskState if state.finished and state is not TaskState.DELETED]


class SqlSums(Database):
    def counts(self, project_id: int, *, version: str | None = None, job_id: int | None = None) -> Counts:
        query = sa.select(
            *(records.c[name] for name in ("state", "delivery", "result", "fields", "notes", "error_class")),
            *(records.c[name] for name in ("prompt_tokens", "completion_tokens", "calls", "from_cache")),
            *(records.c[name] for name in ("score", "latency_s")),
        ).where(records.c.project_id == project_id)
        if version is not None:
            query = query.where(records.c.version == version)
        if job_id is not None:
            query = query.where(records.c.job_id == job_id)
        tally = _Tally()
        with self.begin(read_only=True) as connection:
            for row in connection.execution_options(yield_per=1000).execute(query).mappings():
                tally.add(row)
        found = tally.counts()
        of = (project_id, version) if version is not None else None
        return replace(found, deliveries=self._with_outdated(found.deliveries, of=of, job_id=job_id))

    def progress(self, job_id: int) -> Counts:
        query = (
            sa.select(records.c.state, records.c.delivery, sa.func.count())
            .where(records.c.job_id == job_id)
            .group_by(records.c.state, records.c.delivery)
        )
        states: Counter[str] = Counter()
        deliveries: Counter[str] = Counter()
        with self.begin(read_only=True) as connection:
            for state, delivery, n in connection.execute(query):
                states[state] += n
                deliveries[_told(state, delivery)] += n
        return Counts(states=states, deliveries=self._with_outdated(deliveries, job_id=job_id))

    def _with_outdated(
        self, deliveries: Mapping[str, int], *, of: tuple[int, str] | None = None, job_id: int | None = None
    ) -> Mapping[str, int]:
        """The deliveries of a project's version or of a job: what waits is "outdated" where nobody writes the version
        any more. Of several versions they stay as they are."""
        waiting = sum(deliveries.get(name, 0) for name in WAITING)
        if not waiting or (of is None and job_id is None):
            return deliveries
        of_job = sa.select(jobs.c.project_id, jobs.c.version).where(jobs.c.id == job_id)
        with self.begin(read_only=True) as connection:
            project_id, version = of or connection.execute(of_job).one()
            if is_written(connection, project_id, version):
                return deliveries
        return {name: n for name, n in deliveries.items() if name not in WAITING} | {"outdated": waiting}

    def calls(self, project_id: int) -> int:
        query = sa.select(sa.func.coalesce(sa.func.sum(records.c.calls), 0)).where(records.c.project_id == project_id)
        with self.begin(read_only=True) as connection:
            return int(connection.execute(query).scalar_one())


class _Tally:
    """Sums over record rows."""

    def __init__(self) -> None:
        self._states: Counter[str] = Counter()
        self._deliveries: Counter[str] = Counter()
        self._labels: dict[str, Counter[str]] = {}
        self._rejected: Counter[str] = Counter()
        self._steps: Counter[str] = Counter()
        self._notes: Counter[str] = Counter()
        self._methods: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._classes: dict[str, Counter[str]] = {}
        self._scores = [0] * _BINS
        self._latency = Durations()
        self._usage = Usage()

    def add(self, row: RowMapping) -> None:
        self._states[row["state"]] += 1
        self._deliveries[_told(row["state"], row["delivery"])] += 1
        if row["error_class"]:
            self._errors[row["error_class"]] += 1
            self._classes.setdefault(row["state"], Counter())[row["error_class"]] += 1
        if row["state"] in _SCORED and row["score"] is not None:
            self._scores[min(_BINS - 1, int(row["score"] * _BINS))] += 1
        if row["calls"]:  # of the task's calls together
            self._latency.add(row["latency_s"] / row["calls"])
        if row["state"] != TaskState.DELETED.value:  # what is listed beside the tasks that are done is theirs
            for region in row["result"]:
                for label in _labels_of(region):
                    self._labels.setdefault(region.get("from_name", "relations"), Counter())[label] += 1
        self._notes.update(row["notes"])
        for field in row["fields"]:
            self._rejected.update(field["rejected"])
            if field["step"]:
                self._steps[field["step"]] += 1
            if field.get("method"):  # records of earlier versions have none
                self._methods[field["method"]] += 1
        self._usage += Usage(
            prompt_tokens=row["prompt_tokens"],
            completion_tokens=row["completion_tokens"],
            calls=row["calls"],
            from_cache=row["from_cache"],
        )

    def counts(self) -> Counts:
        return Counts(
            states=dict(self._states),
            deliveries=dict(self._deliveries),
            labels={control: dict(n.most_common()) for control, n in self._labels.items()},
            rejected=dict(self._rejected.most_common(20)),
            steps=dict(self._steps.most_common()),
            notes=dict(self._notes.most_common(20)),
            methods=dict(self._methods.most_common()),
            errors=dict(self._errors.most_common()),
            classes={state: dict(n.most_common()) for state, n in self._classes.items()},
            scores=tuple(self._scores) if any(self._scores) else (),
            latency=self._quantiles(),
            usage=self._usage,
        )

    def _quantiles(self) -> dict[str, float]:
        found = {f"p{share}": self._latency.quantile(share / 100) for share in (50, 90, 99)}
        return {name: seconds for name, seconds in found.items() if seconds is not None}


def _told(state: str, delivery: str) -> str:
    """The delivery that counts: of what is not answered yet nothing is withheld."""
    return "none" if delivery == WITHHELD and state not in _ANSWERED else delivery


def _labels_of(region: Mapping[str, Any]) -> list[str]:
    """The classes that a region or a relation carries; free text and numbers are none."""
    value = region.get("value", region)
    for key in value:
        if key == "choices" or key.endswith("labels"):
            return [str(label) for label in value[key]]
    if "taxonomy" in value:
        return [" > ".join(path) for path in value["taxonomy"]]
    return [str(value[key]) for key in ("rating", "selected") if key in value]
