"""Sums over records: for `status`, the report and the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from backend.adapters.sql.database import Database
from backend.adapters.sql.schema import records
from backend.core.values import TaskState, Usage
from backend.ports.store import Counts


class SqlSums(Database):
    def counts(self, project_id: int, *, version: str | None = None, job_id: int | None = None) -> Counts:
        query = sa.select(
            *(records.c[name] for name in ("state", "delivery", "result", "fields", "notes", "error_class")),
            *(records.c[name] for name in ("prompt_tokens", "completion_tokens", "calls", "from_cache")),
        ).where(records.c.project_id == project_id)
        if version is not None:
            query = query.where(records.c.version == version)
        if job_id is not None:
            query = query.where(records.c.job_id == job_id)
        tally = _Tally()
        with self.begin(read_only=True) as connection:
            for row in connection.execution_options(yield_per=1000).execute(query).mappings():
                tally.add(row)
        return tally.counts()

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
                deliveries[delivery] += n
        return Counts(states=states, deliveries=deliveries)

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
        self._usage = Usage()

    def add(self, row: RowMapping) -> None:
        self._states[row["state"]] += 1
        self._deliveries[row["delivery"]] += 1
        if row["error_class"]:
            self._errors[row["error_class"]] += 1
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
            usage=self._usage,
        )


def _labels_of(region: Mapping[str, Any]) -> list[str]:
    """The classes that a region or a relation carries; free text and numbers are none."""
    value = region.get("value", region)
    for key in value:
        if key == "choices" or key.endswith("labels"):
            return [str(label) for label in value[key]]
    if "taxonomy" in value:
        return [" > ".join(path) for path in value["taxonomy"]]
    return [str(value[key]) for key in ("rating", "selected") if key in value]
