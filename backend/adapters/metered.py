"""The store and Label Studio's API as workers use them: what they get to see is counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic

from backend.adapters.label_studio import LabelStudioApi
from backend.adapters.sql.store import SqlStore
from backend.core.errors import (
    LabelStudioError,
    LabelStudioNotFound,
    LabelStudioUnauthorized,
    LabelStudioUnreachable,
)
from backend.core.values import Outcome, Prediction
from backend.ports.meters import (
    TASK_FAILURES,
    TASKS_FINISHED,
    WRITEBACK_CALL_SECONDS,
    WRITEBACK_FAILURES,
    WRITEBACK_PREDICTIONS,
    Meters,
)

_FAILURES = {
    LabelStudioUnreachable: "unreachable",
    LabelStudioUnauthorized: "unauthorized",
    LabelStudioNotFound: "not_found",
}


class MeteredStore(SqlStore):
    """Counts the outcomes that are stored."""

    def __init__(self, url: str, *, meters: Meters) -> None:
        super().__init__(url)
        self._meters = meters

    def save_outcomes(self, outcomes: Sequence[tuple[int, str, Outcome]]) -> None:
        super().save_outcomes(outcomes)
        for _, _, outcome in outcomes:
            self._meters.add(TASKS_FINISHED, outcome.state.value)
            if outcome.error_class is not None:
                self._meters.add(TASK_FAILURES, outcome.error_class)


class MeteredLabelStudio(LabelStudioApi):
    """Counts the predictions that are written, and times the calls that do it."""

    def __init__(self, url: str, key: str, *, meters: Meters) -> None:
        super().__init__(url, key)
        self._meters = meters

    def import_predictions(self, project_id: int, predictions: Sequence[Prediction]) -> int:
        with self._timed():
            created = super().import_predictions(project_id, predictions)
        self._meters.add(WRITEBACK_PREDICTIONS, by=created)
        return created

    def update_prediction(self, prediction_id: int, prediction: Prediction) -> None:
        with self._timed():
            super().update_prediction(prediction_id, prediction)
        self._meters.add(WRITEBACK_PREDICTIONS)

    def create_prediction(self, prediction: Prediction) -> int:
        with self._timed():
            created = super().create_prediction(prediction)
        self._meters.add(WRITEBACK_PREDICTIONS)
        return created

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = monotonic()
        try:
            yield
        except LabelStudioError as error:
            self._meters.add(WRITEBACK_FAILURES, _FAILURES.get(type(error), "refused"))
            raise
        finally:
            self._meters.observe(WRITEBACK_CALL_SECONDS, monotonic() - started)
