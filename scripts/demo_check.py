"""Is the demo's end state what the product promises? Asked of Label Studio's own API, not of our store.

Each check raises CheckFailed with one sentence.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx

from scripts.demo_project import Prediction, Project, Tab, right_labels
from scripts.product import Product

SETTLE_S = 4  # longer than a queued job would wait before its first model call
WEBHOOK_LIMIT_S = 20


class CheckFailed(Exception):
    """Something is not as promised."""


def require(holds: bool, sentence: str) -> None:
    if not holds:
        raise CheckFailed(sentence)


def check(product: Product, project: Project, tasks: int) -> list[str]:
    """Everything, in an order in which a later check does not disturb an earlier one. Returns one line for each."""
    version = current_version(product, project)
    predictions = one_prediction_each(project, version, tasks)
    tab = sorted_tab(project, tasks)
    sensible_labels(project, tasks)
    calls = no_second_call(product, project, tasks)
    webhook_arrives(product, project, predictions[0])
    return [
        f"version {version!r} in /setup, the backend's title, the project and {tasks} predictions",
        f"one prediction for each of {tasks} tasks; tab {tab.title!r} ascending by score",
        f"a second retrieval made no call ({calls} before and after) and no duplicate",
        "a submitted annotation reached /webhook",
    ]


def current_version(product: Product, project: Project) -> str:
    """The one string that Label Studio compares in three places."""
    answered = setup_version(product, project)
    backends = project.backends()
    require(len(backends) == 1, f"the project has {len(backends)} backends, not 1")
    title, of_project = backends[0]["title"], project.details()["model_version"]
    require(title == answered, f"/setup answers version {answered!r}, the backend's title is {title!r}")
    require(of_project == answered, f"/setup answers version {answered!r}, the project's is {of_project!r}")
    return answered


def setup_version(product: Product, project: Project) -> str:
    """Asked as Label Studio asks."""
    body = {
        "project": f"{project.id}.{int(time.time())}",
        "schema": project.details()["label_config"],
        "hostname": project.server.url,
        "access_token": project.server.token,
        "extra_params": None,
    }
    response = httpx.post(f"{product.url}/setup", json=body, auth=product.auth, timeout=10, trust_env=False)
    require(response.status_code == httpx.codes.OK, f"/setup answered {response.status_code}: {response.text[:200]}")
    version = response.json().get("model_version")
    require(isinstance(version, str) and version != "", f"/setup answered the version {version!r}")
    return str(version)


def one_prediction_each(project: Project, version: str, tasks: int) -> list[Prediction]:
    predictions = project.predictions()
    foreign = Counter(p.model_version for p in predictions if p.model_version != version)
    require(not foreign, f"predictions carry other versions than {version!r}: {dict(foreign)}")
    per_task = Counter(p.task for p in predictions)
    require(len(per_task) == tasks, f"{len(per_task)} of {tasks} tasks have a prediction")
    double = [task for task, count in per_task.items() if count != 1]
    require(not double, f"{len(double)} tasks have more than one prediction, the first is task {double[:1]}")
    empty = [p.task for p in predictions if p.score is None]
    require(not empty, f"{len(empty)} predictions have no score, the first is of task {empty[:1]}")
    return predictions


def sorted_tab(project: Project, tasks: int) -> Tab:
    tab = project.uncertain_first()
    if tab is None:
        raise CheckFailed(f"no tab is sorted by score: {[t['data'].get('ordering') for t in project.tabs()]}")
    scores = [row["predictions_score"] for row in project.rows(tab)]
    require(len(scores) == tasks, f"the tab shows {len(scores)} of {tasks} tasks")
    missing = sum(score is None for score in scores)
    require(missing == 0, f"Data Manager shows no prediction score for {missing} of {tasks} tasks")
    require(scores == sorted(scores), f"the tab's scores are not ascending: {scores[:10]} ...")
    require(len(set(scores)) > 1, f"all scores are {scores[0]}: they order nothing")
    return tab


def sensible_labels(project: Project, tasks: int) -> None:
    """A loose bound: the small model gets most texts right; labels by chance or all the same do not."""
    right = right_labels(project).get("sentiment", 0)
    require(right >= 0.6 * tasks, f"only {right} of {tasks} texts got the sentiment that a person would choose")


def no_second_call(product: Product, project: Project, tasks: int) -> int:
    before = model_calls(product, project)
    require(before >= tasks, f"only {before} model calls are on record for {tasks} tasks")
    project.retrieve_predictions()
    time.sleep(SETTLE_S)
    after, count = model_calls(product, project), len(project.predictions())
    require(after == before, f"retrieving predictions again made {after - before} model calls")
    require(count == tasks, f"retrieving predictions again left {count} predictions for {tasks} tasks")
    return before


def model_calls(product: Product, project: Project) -> int:
    return int(status(product, project)["model_calls"])


def webhook_arrives(product: Product, project: Project, prediction: Prediction) -> None:
    def received() -> int:
        return int(status(product, project)["webhook_events"].get("ANNOTATION_CREATED", 0))

    before = received()
    project.submit(prediction)
    arrived = poll(lambda: received() > before, WEBHOOK_LIMIT_S)
    require(arrived, f"a submitted annotation did not reach /webhook within {WEBHOOK_LIMIT_S} s")


def status(product: Product, project: Project) -> dict[str, Any]:
    return product.command("status", "--project", str(project.id), limit_s=60)


def poll(condition: Callable[[], bool], limit_s: float) -> bool:
    """Ask `condition` until it holds or the time is over."""
    limit = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.3)
    return True
