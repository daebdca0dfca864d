"""The demo's project, through Label Studio's own HTTP API: what a person would do with a browser."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from scripts.services import LabelStudio

# Short hints: a small model on two cores reads 75 tokens a second.
CONFIG = """<View>
  <Text name="text" value="$text"/>
  <Choices name="sentiment" toName="text" choice="single" showInline="true">
    <Choice value="positive" hint="praise or thanks"/>
    <Choice value="negative" hint="complaint"/>
    <Choice value="neutral" hint="only facts, no opinion"/>
  </Choices>
  <Choices name="topic" toName="text" choice="single" showInline="true">
    <Choice value="delivery" hint="shipping, courier"/>
    <Choice value="product" hint="how it works, quality"/>
    <Choice value="price" hint="cost, value"/>
    <Choice value="service" hint="support, staff"/>
    <Choice value="other" hint="none of these"/>
  </Choices>
</View>"""


class LabelStudioError(Exception):
    """Label Studio refused a request."""


@dataclass(frozen=True, kw_only=True)
class Example:
    text: str
    expected: dict[str, str]  # control name -> the label that a person would choose


@dataclass(frozen=True, kw_only=True)
class Prediction:
    id: int
    task: int
    model_version: str
    score: float | None
    result: list[dict[str, Any]]

    @property
    def labels(self) -> dict[str, str]:
        """Control name -> chosen label."""
        return {region["from_name"]: region["value"]["choices"][0] for region in self.result}


@dataclass(frozen=True, kw_only=True)
class Tab:
    id: int
    title: str
    url: str


def examples() -> list[Example]:
    """The texts of demo_texts.json, written for this project."""
    rows = json.loads((Path(__file__).parent / "demo_texts.json").read_text(encoding="utf-8"))
    return [Example(text=row.pop("text"), expected=row) for row in rows]


class Project:
    """One project of a Label Studio."""

    def __init__(self, server: LabelStudio, project_id: int) -> None:
        self.server = server
        self.id = project_id

    @property
    def url(self) -> str:
        return f"{self.server.url}/projects/{self.id}/data"

    def call(self, method: str, path: str, **options: Any) -> Any:
        return call(self.server, method, path, **options)

    def import_texts(self, texts: Sequence[str]) -> None:
        self.call("POST", f"/api/projects/{self.id}/import", json=[{"text": text} for text in texts])

    def details(self) -> dict[str, Any]:
        return dict(self.call("GET", f"/api/projects/{self.id}"))

    def backends(self) -> list[dict[str, Any]]:
        return list(self.call("GET", "/api/ml", params={"project": self.id}))

    def predictions(self) -> list[Prediction]:
        rows = self.call("GET", "/api/predictions", params={"project": self.id})
        fields = ("id", "task", "model_version", "score", "result")
        return [Prediction(**{field: row[field] for field in fields}) for row in rows]

    def tabs(self) -> list[dict[str, Any]]:
        return list(self.call("GET", "/api/dm/views", params={"project": self.id}))

    def uncertain_first(self) -> Tab | None:
        """The tab that sorts by score, lowest first."""
        for tab in self.tabs():
            if tab["data"].get("ordering") == ["tasks:predictions_score"]:
                return Tab(id=tab["id"], title=tab["data"].get("title", ""), url=f"{self.url}?tab={tab['id']}")
        return None

    def rows(self, tab: Tab | None = None) -> list[dict[str, Any]]:
        """The tasks as Data Manager shows them, in the order of the tab."""
        where: dict[str, int] = {"view": tab.id} if tab else {}
        params = {"project": self.id, "fields": "all", "page": 1, "page_size": 500} | where
        return list(self.call("GET", "/api/tasks", params=params)["tasks"])

    def retrieve_predictions(self) -> None:
        """The action "Retrieve Predictions" on all tasks."""
        params = {"id": "retrieve_tasks_predictions", "project": self.id}
        everything = {"selectedItems": {"all": True, "excluded": []}}
        self.call("POST", "/api/dm/actions", params=params, json=everything)

    def submit(self, prediction: Prediction) -> None:
        """An annotation that confirms the prediction, as the editor sends it."""
        body = {"result": prediction.result, "lead_time": 2.5, "parent_prediction": prediction.id}
        self.call("POST", f"/api/tasks/{prediction.task}/annotations/", params={"project": self.id}, json=body)


def create_project(server: LabelStudio, title: str, config: str = CONFIG) -> Project:
    created = call(server, "POST", "/api/projects", json={"title": title, "label_config": config})
    return Project(server, created["id"])


def call(server: LabelStudio, method: str, path: str, **options: Any) -> Any:
    """One request with the user's token."""
    headers = {"Authorization": f"Token {server.token}"}
    # The action "Retrieve Predictions" answers only when the backend has.
    response = httpx.request(method, server.url + path, headers=headers, timeout=130, trust_env=False, **options)
    if response.is_error:
        raise LabelStudioError(
            f"Label Studio answered {response.status_code} to {method} {path}: {response.text[:300]}"
        )
    return response.json() if response.content else None


def label_counts(predictions: Sequence[Prediction]) -> dict[str, Counter[str]]:
    """Control name -> how often each label was chosen."""
    counts: dict[str, Counter[str]] = {}
    for prediction in predictions:
        for control, label in prediction.labels.items():
            counts.setdefault(control, Counter())[label] += 1
    return counts


def right_labels(project: Project) -> dict[str, int]:
    """Control name -> on how many texts the model chose what a person would."""
    expected = {example.text: example.expected for example in examples()}
    text_of = {row["id"]: row["data"]["text"] for row in project.rows()}
    right: Counter[str] = Counter()
    for prediction in project.predictions():
        wanted = expected[text_of[prediction.task]]
        right.update(control for control, label in prediction.labels.items() if wanted.get(control) == label)
    return dict(right)
