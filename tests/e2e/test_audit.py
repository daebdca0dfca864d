"""The blind audit in a real Label Studio: a slice without predictions until it has been annotated; and the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.configs import FEEDBACK
from tests.e2e.stack import Labeling, Stack, eventually

WORDS = ("great", "awful", "blue", "cheap")


def region(control: str, label: str) -> dict[str, Any]:
    return {"from_name": control, "to_name": "text", "type": "choices", "value": {"choices": [label]}}


def annotate(project: Labeling, task_id: int, sentiment: str, topic: str) -> None:
    """As an annotator who saw no prediction."""
    body = {"result": [region("sentiment", sentiment), region("topic", topic)], "lead_time": 3.5}
    project.call("POST", f"/api/tasks/{task_id}/annotations/", params={"project": project.id}, json=body)


def test_a_slice_is_annotated_unseen_and_tells_what_the_labels_are_worth(stack: Stack, tmp_path: Path) -> None:
    rows = [{"text": f"Number {n} was {WORDS[n % 4]}.", "lang": "en" if n % 2 else "de"} for n in range(60)]
    project = stack.project("Audit", FEEDBACK, rows)
    stack.connect(project)
    begun = stack.answer("audit", "begin", "--project", project.id, "-n", 20)
    assert (begun["on"], begun["withheld"]) == (True, 0)

    told = stack.run(project)
    version = told["version"]
    predictions = project.of_version(version)
    blind = sorted(set(project.task_ids()) - set(predictions))
    assert told["by_state"] == {"done": 60}
    assert (told["withheld"], told["written"]) == (len(blind), 60 - len(blind))
    assert 5 < len(blind) < 40
    before = stack.model_calls()
    assert project.open_task(blind[0])["predictions"] == []
    assert stack.run(project)["by_state"].get("queued") is None
    project.retrieve_predictions()
    assert set(project.of_version(version)) == set(predictions)
    assert stack.model_calls() == before

    answers = stack.answer("report", "--project", project.id)
    assert answers["versions"][0]["accuracy"] is None
    assert "blind audit" in answers["versions"][0]["warning"]

    for task_id in blind:
        annotate(project, task_id, "positive", "delivery")
    for task_id in sorted(predictions)[:5]:
        project.submit(predictions[task_id])
    eventually(lambda: len(project.of_version(version)) == 60, "annotated audit tasks get their predictions", 60)
    report = stack.answer("report", "--project", project.id)
    (figures,) = report["versions"]
    shown = project.of_version(version)
    right = sum(shown[task_id].labels == {"sentiment": "positive", "topic": "delivery"} for task_id in blind)
    assert (figures["accuracy"]["n"], figures["accuracy"]["share"]) == (len(blind), right / len(blind))
    assert figures["confirmed"]["n"] == 5
    assert figures["confirmed"]["share"] == 1.0
    assert report["audit"]["annotated_blind"] == len(blind)
    assert set(figures["slices"]["lang"]) == {"de", "en"}

    page = tmp_path / "report.html"
    told_to_people = stack.prelabel("report", "--project", project.id, "--html", page)
    assert told_to_people.code == 0
    assert "accuracy" in told_to_people.out
    assert version in page.read_text(encoding="utf-8")


def test_what_is_certified_is_accepted_and_taken_back(stack: Stack) -> None:
    rows = [{"text": f"Number {n} was {WORDS[n % 4]}."} for n in range(80)]
    known = stack.project("Known", FEEDBACK, rows)
    stack.run(known)
    texts = {row["id"]: row["data"]["text"] for row in known.rows()}
    labels = {texts[prediction.task]: prediction.labels for prediction in known.predictions()}

    project = stack.project("Certified", FEEDBACK, rows)
    stack.answer("audit", "begin", "--project", project.id, "-n", 40)
    version = stack.run(project)["version"]
    refused = stack.prelabel("certify", "--project", project.id)
    assert refused.code == 1
    assert "tasks of the random audit is annotated yet" in refused.out

    shown = project.of_version(version)
    before = stack.answer("audit", "show", "--project", project.id)
    assert before["drawn"] == before["withheld"] == before["to_annotate"] == 80 - len(shown)
    longer = stack.answer("audit", "begin", "--project", project.id, "-n", 5)
    assert (longer["drawn"], longer["withheld"]) == (before["drawn"] + 5, before["withheld"] + 5)
    left = project.of_version(version)
    assert (len(left), set(left) < set(shown)) == (len(shown) - 5, True)
    stack.run(project)
    assert set(project.of_version(version)) == set(left)

    shown = left
    blind = {row["id"]: row["data"]["text"] for row in project.rows() if row["id"] not in shown}
    for task_id, text in blind.items():
        annotate(project, task_id, labels[text]["sentiment"], labels[text]["topic"])
    told = stack.answer("certify", "--project", project.id, "--max-error", 0.25)
    assert (told["certified"], told["audited"], told["errors"]) == (True, len(blind), 0)
    assert told["accepted"] + told["to_check"] == 80 - len(blind)
    assert told["accepted"] > 0

    accepted = stack.answer("certify", "--project", project.id, "--max-error", 0.25, "--accept")["accepted_now"]
    annotated = [row["id"] for row in project.rows() if row["total_annotations"]]
    assert (accepted, len(annotated)) == (told["accepted"], len(blind) + accepted)
    counted = stack.answer("verifications", "--project", project.id)["outcomes"]
    assert counted == {"accepted": accepted, "blind": len(blind)}
    again = stack.prelabel("certify", "--project", project.id, "--max-error", 0.25, "--accept")
    assert f"Nothing new to accept: all {accepted} that may be accepted are annotations already" in again.out
    assert stack.answer("certify", "--project", project.id, "--undo")["undone"] == accepted
    assert {row["id"] for row in project.rows() if row["total_annotations"]} == set(blind)


def test_a_project_that_is_not_there_is_told_in_one_sentence(stack: Stack) -> None:
    for command in (
        ("run",),
        ("run", "--dry-run"),
        ("connect", "--backend-url", stack.product.url),
        ("audit", "begin"),
    ):
        told = stack.prelabel(command[0], *command[1:], "--project", 999_999)
        assert told.code == 1
        assert "Label Studio has no project 999999 (or the key may not see it): check --project." in told.err, command
    for command in (("report",), ("status",), ("certify",), ("scores",), ("verifications",)):
        told = stack.prelabel(*command, "--project", 999_999)
        assert told.code == 1
        assert "Project 999999 is not known here: check --project, or connect it" in told.err, command
