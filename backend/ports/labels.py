"""Label Studio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from backend.core.values import JSON, Prediction, Task


@dataclass(frozen=True, kw_only=True)
class Project:
    """A Label Studio project, as far as pre-annotation needs it."""

    id: int
    title: str
    label_config: str
    instructions: str  # `expert_instruction`, often HTML
    model_version: str | None
    task_count: int


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A connected ML backend of a project."""

    id: int
    url: str
    title: str
    state: str  # "CO" connected, "DI" disconnected, "ER" error, "PR" predicting, "TR" training
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """A webhook of a project. `headers` are those that Label Studio sends along."""

    id: int
    url: str
    active: bool
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Tab:
    """A Data Manager tab."""

    id: int
    title: str
    data: Mapping[str, JSON]


@dataclass(frozen=True, kw_only=True)
class WrittenPrediction:
    """A prediction that is in Label Studio."""

    id: int
    task_id: int
    model_version: str | None


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """A submitted annotation, or a skipped task; drafts are none."""

    id: int
    result: JSON  # whatever was submitted
    annotator_id: int | None
    updated_by: int | None  # None: nobody but Label Studio itself, by an import or one of its actions
    lead_time_s: float | None
    parent_prediction: int | None  # that it was started from; None also when that one is deleted
    was_cancelled: bool  # the task was skipped
    ground_truth: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class HeldPrediction:
    """A prediction that Label Studio holds, with what it says."""

    id: int
    version: str | None
    result: JSON
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class AnnotatedTask:
    """A task with everything that was said of it."""

    id: int
    data: Mapping[str, JSON]  # all columns
    annotations: tuple[Annotation, ...]
    predictions: tuple[HeldPrediction, ...]


@dataclass(frozen=True, kw_only=True)
class NewTask:
    """A task that is imported together with a prediction: nobody sees the one without the other."""

    data: Mapping[str, JSON]  # all columns
    model_version: str
    result: tuple[Mapping[str, JSON], ...]
    score: float | None


class Labels(Protocol):
    """Label Studio's API. Every method raises a `LabelStudioError` whose message names the next step."""

    def version(self) -> str: ...

    def whoami(self) -> str:
        """The e-mail of the key's user."""
        ...

    def key_kind(self) -> str:
        """ "legacy token" or "personal access token"."""
        ...

    def people(self) -> Mapping[int, str]:
        """User -> name, or e-mail where there is no name; empty where the key's user may not see them."""
        ...

    def project(self, project_id: int) -> Project: ...

    def set_model_version(self, project_id: int, version: str) -> None: ...

    def set_project(self, project_id: int, fields: Mapping[str, JSON]) -> None: ...

    def tasks(
        self,
        project_id: int,
        variables: Sequence[str],
        *,
        ids: Sequence[int] | None = None,
        without_version: str | None = None,
        after: int = 0,
    ) -> Iterator[Task]:
        """Tasks with only the named data keys, page by page, in ascending order of their ids: those of `ids`, or those
        above `after`, of which `without_version` leaves those without a prediction of that version."""
        ...

    def task_ids(
        self,
        project_id: int,
        *,
        view: Mapping[str, JSON] | None = None,
        ids: Sequence[int] | None = None,
        without_version: str | None = None,
    ) -> Iterator[int]:
        """Ids of tasks in ascending order, each once: those that the Data Manager's `view` shows (its "filters" and
        "selectedItems"), or of `ids` those that exist, or all; with `without_version` only those that lack it."""
        ...

    def changed_tasks(self, project_id: int, variables: Sequence[str], *, since: datetime) -> Iterator[Task]:
        """Tasks that somebody changed after that moment, their data or their annotations; an import of predictions
        is no change."""
        ...

    def untouched(self, project_id: int) -> tuple[int, int]:
        """How many tasks have neither an annotation nor a prediction, and the highest id among them (0: none)."""
        ...

    def annotated_tasks(self, project_id: int, ids: Sequence[int]) -> Iterator[AnnotatedTask]:
        """Those of these tasks that exist, in ascending order, page by page, with their annotations and predictions."""
        ...

    def annotation_counts(self, project_id: int, *, since: datetime | None = None) -> Iterator[tuple[int, int]]:
        """(task, its annotations with the skipped ones), ascending: of the tasks that somebody changed after `since`,
        also those without any; or of all tasks that have any."""
        ...

    def annotation_total(self, project_id: int) -> int:
        """How many annotations the project has, with the skipped ones."""
        ...

    def version_counts(self, project_id: int) -> Mapping[str, int]:
        """How many predictions of each version there are."""
        ...

    def delete_version(self, project_id: int, version: str) -> None:
        """Delete all predictions of a version. Annotations that were started from them stay."""
        ...

    def import_predictions(self, project_id: int, predictions: Sequence[Prediction]) -> int:
        """Write in one call; returns how many were created. A task that is gone makes the whole call fail."""
        ...

    def predictions(self, project_id: int, task_id: int) -> list[WrittenPrediction]: ...

    def update_prediction(self, prediction_id: int, prediction: Prediction) -> None: ...

    def create_prediction(self, prediction: Prediction) -> int: ...

    def delete_prediction(self, prediction_id: int) -> None: ...

    def existing_tasks(self, project_id: int, ids: Sequence[int]) -> set[int]: ...

    def backends(self, project_id: int) -> list[Backend]: ...

    def address_refusals(self, backend_url: str) -> dict[str, str]:
        """Label Studio's own words against this address, under "backend" and "webhook"; empty when it takes both.
        Writes nothing."""
        ...

    def save_backend(self, project_id: int, backend_id: int | None, fields: Mapping[str, JSON]) -> Backend: ...

    def webhooks(self, project_id: int) -> list[Webhook]: ...

    def save_webhook(self, project_id: int, webhook_id: int | None, fields: Mapping[str, JSON]) -> None: ...

    def delete_webhook(self, webhook_id: int) -> None: ...

    def tabs(self, project_id: int) -> list[Tab]: ...

    def save_tab(self, project_id: int, tab_id: int | None, data: Mapping[str, JSON]) -> Tab: ...

    def accept_predictions(self, project_id: int, version: str, task_ids: Sequence[int]) -> None:
        """Turn the version's predictions of these tasks into annotations, by Label Studio's own action: of those that
        no annotation came from yet."""
        ...

    def delete_annotation(self, annotation_id: int) -> None: ...

    def newest_task(self, project_id: int) -> int:
        """The highest id of a task of the project; 0: it has none."""
        ...

    def import_tasks(self, project_id: int, tasks: Sequence[NewTask]) -> list[int]:
        """Make tasks in one call; their ids, in the same order."""
        ...

    def set_overlap(self, task_id: int, annotators: int) -> None:
        """So many people annotate the task before it counts as labelled."""
        ...

    def delete_tasks(self, project_id: int, task_ids: Sequence[int]) -> None:
        """With their annotations and predictions. What is gone already is passed over."""
        ...

    def fast_import(self, project_id: int) -> bool | None:
        """Whether the memory-efficient predictions import is on; None where it cannot be told. Writes nothing."""
        ...
