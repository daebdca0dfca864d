"""Annotations as the API gives them, in odd forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from backend.adapters.label_studio import LabelStudioApi
from backend.core.errors import LabelStudioError

TIME = "2026-05-01T12:00:00.000001Z"
ANNOTATION = {"id": 5, "result": [], "created_at": TIME, "updated_at": TIME}


def api(answer: Callable[[httpx.Request], Any]) -> LabelStudioApi:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answer(request)))
    return LabelStudioApi("http://label-studio", "a-key", transport=transport)


def read(**annotation: Any) -> Any:
    task = {"id": 1, "data": {"text": "x"}, "annotations": [{**ANNOTATION, **annotation}], "predictions": []}
    (found,) = api(lambda _: {"tasks": [task]}).annotated_tasks(1, [1])
    return found.annotations[0]


def test_what_is_missing_is_unknown() -> None:
    found = read()
    assert (found.annotator_id, found.updated_by, found.lead_time_s, found.parent_prediction) == (None,) * 4
    assert (found.was_cancelled, found.ground_truth, found.result) == (False, False, [])
    assert found.created_at == datetime(2026, 5, 1, 12, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({"completed_by": {"id": 3, "email": "a@b"}}, "annotator_id", 3),
        ({"completed_by": "3"}, "annotator_id", None),
        ({"lead_time": 2}, "lead_time_s", 2.0),
        ({"lead_time": -2}, "lead_time_s", None),
        ({"lead_time": "2"}, "lead_time_s", None),
        ({"result": None}, "result", []),
        ({"updated_at": "2026-05-01T14:00:00+02:00"}, "updated_at", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ({"updated_at": "2026-05-01T12:00:00"}, "updated_at", datetime(2026, 5, 1, 12, tzinfo=UTC)),
    ],
)
def test_odd_values(given: dict[str, Any], name: str, value: Any) -> None:
    assert getattr(read(**given), name) == value


@pytest.mark.parametrize("wrong", [{"id": None, "created_at": None}, {"created_at": "soon"}, {"updated_at": 5}])
def test_what_label_studio_never_answers_is_told_in_one_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(LabelStudioError, match=r"does not answer as Label Studio does"):
        read(**wrong)


@pytest.mark.parametrize("task", ["x", {"data": {}}, {"id": 1, "annotations": ["x"]}, {"id": 1, "predictions": [{}]}])
def test_strange_tasks_are_told_too(task: Any) -> None:
    with pytest.raises(LabelStudioError, match=r"does not answer as Label Studio does"):
        list(api(lambda _: {"tasks": [task]}).annotated_tasks(1, [1]))


def test_a_moment_is_sent_in_utc() -> None:
    asked: list[httpx.Request] = []
    labels = api(lambda request: asked.append(request) or {"tasks": []})
    assert list(labels.annotation_counts(1, since=datetime(2026, 5, 1, 12, tzinfo=UTC))) == []
    query = json.loads(asked[0].url.params["query"])
    assert query["filters"]["items"][1]["value"] == "2026-05-01T12:00:00.000000Z"
