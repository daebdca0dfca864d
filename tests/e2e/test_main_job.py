"""From imported texts to annotators who see them pre-annotated, least certain first: what Label Studio itself says."""

from __future__ import annotations

import time

import pytest

from scripts.demo_check import setup_version
from tests.e2e.configs import FEEDBACK, FEEDBACK_AND_ANGRY, FEEDBACK_ROWS
from tests.e2e.stack import DEADLINE_S, Labeling, Stack, eventually


def assert_told_everywhere(stack: Stack, project: Labeling, version: str) -> None:
    """Label Studio compares the version in these places, and shows no score unless they agree."""
    assert setup_version(stack.product, project) == version
    assert [backend["title"] for backend in project.backends()] == [version]
    assert project.details()["model_version"] == version


def test_every_task_has_one_prediction_of_the_version_that_is_told_everywhere(stack: Stack, feedback: Labeling) -> None:
    version = stack.status(feedback)["version"]
    assert_told_everywhere(stack, feedback, version)
    predictions = feedback.predictions()
    assert {p.model_version for p in predictions} == {version}
    assert sorted(p.task for p in predictions) == feedback.task_ids()
    assert [set(p.labels) for p in predictions] == [{"sentiment", "topic"}] * len(predictions)
    texts = {row["id"]: row["data"]["text"] for row in feedback.rows()}
    by_text = {texts[p.task]: p.labels for p in predictions}
    assert by_text["The delivery was great, thanks!"] == {"sentiment": "positive", "topic": "delivery"}
    assert by_text["Broken product, awful."] == {"sentiment": "negative", "topic": "product"}
    assert by_text["The price is 12 euros."] == {"sentiment": "neutral", "topic": "price"}


def test_the_tab_shows_the_unlabelled_tasks_ascending_by_score(stack: Stack, feedback: Labeling) -> None:
    shown = feedback.rows(feedback.tab())
    scores = [row["predictions_score"] for row in shown]
    assert feedback.tab().title == "Least certain first"
    assert {row["id"] for row in shown} == {row["id"] for row in feedback.rows() if not row["total_annotations"]}
    assert None not in scores
    assert scores == sorted(scores)
    assert len(set(scores)) > len(scores) / 2
    assert all(0 < score <= 1 for score in scores)


def test_the_score_is_the_lower_one_of_the_two_labels(feedback: Labeling) -> None:
    for prediction in feedback.predictions():
        assert prediction.score is not None
        lowest = min(region["score"] for region in prediction.result)  # regions carry three digits
        assert prediction.score == pytest.approx(lowest, abs=0.0005)


def test_retrieving_predictions_again_asks_no_model_and_adds_nothing(stack: Stack, feedback: Labeling) -> None:
    before, count = stack.model_calls(), len(feedback.predictions())
    feedback.retrieve_predictions()
    feedback.retrieve_predictions()
    time.sleep(2)  # longer than a queued task takes to its first call
    assert stack.model_calls() == before
    assert len(feedback.predictions()) == count


def test_a_second_run_finds_nothing_to_do(stack: Stack, feedback: Labeling) -> None:
    before, count = stack.model_calls(), len(feedback.predictions())
    told = stack.run(feedback)
    assert (told["tasks"], told["state"]) == (0, "done")
    assert (stack.model_calls(), len(feedback.predictions())) == (before, count)


def test_a_new_task_that_is_opened_shows_its_prediction_at_once(stack: Stack, feedback: Labeling) -> None:
    version = stack.status(feedback)["version"]
    (task_id,) = feedback.import_rows([{"text": "A wonderful product"}])
    before, started = stack.model_calls(), time.monotonic()
    opened = feedback.open_task(task_id)
    assert time.monotonic() - started < DEADLINE_S
    assert [(p["model_version"], len(p["result"])) for p in opened["predictions"]] == [(version, 2)]
    assert opened["predictions"][0]["score"] > 0
    again = feedback.open_task(task_id)
    time.sleep(1)  # a write-back of the same record would come now
    assert [p["id"] for p in again["predictions"]] == [p["id"] for p in opened["predictions"]]
    assert len([p for p in feedback.predictions() if p.task == task_id]) == 1
    assert stack.model_calls() == before + 1


def test_a_slow_model_keeps_nobody_waiting_and_its_answer_comes_later(stack: Stack, feedback: Labeling) -> None:
    (task_id,) = feedback.import_rows([{"text": "An excellent price"}])
    stack.model.change(latency_s=DEADLINE_S + 1)
    started = time.monotonic()
    opened = feedback.open_task(task_id)
    assert opened["predictions"] == []
    assert time.monotonic() - started < DEADLINE_S + 1.5
    eventually(lambda: feedback.open_task(task_id)["predictions"], "the late prediction is written back")
    time.sleep(1)
    assert len(feedback.open_task(task_id)["predictions"]) == 1


def test_retrieving_for_new_tasks_is_answered_at_once_and_written_back(stack: Stack, feedback: Labeling) -> None:
    """ "Retrieve predictions" over more tasks than somebody waits for: Label Studio is told "later"."""
    new = feedback.import_rows([{"text": f"The product number {n} is good"} for n in range(5)])
    stack.model.change(latency_s=0.5)
    started = time.monotonic()
    feedback.retrieve_predictions()
    assert time.monotonic() - started < DEADLINE_S
    version = stack.status(feedback)["version"]
    eventually(lambda: set(new) <= set(feedback.of_version(version)), "all new tasks have a prediction")


def test_a_submitted_annotation_reaches_the_webhook(stack: Stack, feedback: Labeling) -> None:
    def received() -> int:
        return int(stack.status(feedback)["webhook_events"].get("ANNOTATION_CREATED", 0))

    before, prediction = received(), feedback.predictions()[0]
    feedback.submit(prediction)
    annotation = feedback.open_task(prediction.task)["annotations"][-1]
    assert annotation["parent_prediction"] == prediction.id
    eventually(lambda: received() > before, "the webhook was called")


def test_a_new_label_makes_a_new_version_everywhere(stack: Stack) -> None:
    project = stack.project("New label", FEEDBACK, FEEDBACK_ROWS[:4])
    old = stack.connect(project)["version"]
    stack.run(project)
    project.change(label_config=FEEDBACK_AND_ANGRY)
    told = stack.run(project)
    new = told["version"]
    assert new != old
    assert told["by_state"] == {"done": 4}
    assert_told_everywhere(stack, project, new)
    assert sorted(project.of_version(new)) == project.task_ids()
    shown = [row["predictions_score"] for row in project.rows(project.tab())]
    assert None not in shown
    assert shown == sorted(shown)


def test_a_changed_config_is_told_everywhere_without_a_run(stack: Stack) -> None:
    """Twice in a row: the second change must not be lost because the first was just seen."""
    project = stack.project("Changed twice", FEEDBACK, FEEDBACK_ROWS[:1])
    first = stack.connect(project)["version"]
    project.change(label_config=FEEDBACK_AND_ANGRY)
    eventually(lambda: project.details()["model_version"] != first, "the project holds the second version")
    second = project.details()["model_version"]
    project.change(label_config=FEEDBACK_AND_ANGRY.replace("angry", "furious"))
    eventually(lambda: project.details()["model_version"] not in (first, second), "the project holds the third version")
    assert_told_everywhere(stack, project, project.details()["model_version"])


def test_instructions_are_part_of_the_version_and_of_the_prompt(stack: Stack) -> None:
    project = stack.project("Instructed", FEEDBACK, FEEDBACK_ROWS[:1])
    before = stack.connect(project)["version"]
    project.change(expert_instruction="<p>Sarcasm counts as <b>negative</b>.</p>")
    told = stack.run(project)
    assert told["version"] != before
    assert "Sarcasm counts as negative." in stack.model.requests[-1]["messages"][-1]["content"]
