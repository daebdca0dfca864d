"""New tasks: Label Studio tells of them; they are pre-annotated by themselves only in projects that want it."""

from __future__ import annotations

import time

from tests.e2e.configs import FEEDBACK, FEEDBACK_ROWS
from tests.e2e.stack import Stack, eventually


def test_imported_tasks_are_pre_annotated_by_themselves_where_that_is_wanted(stack: Stack) -> None:
    project = stack.project("By itself", FEEDBACK)
    version = stack.connect(project, "--auto-start")["version"]
    tasks = project.import_rows(FEEDBACK_ROWS[:5])
    eventually(lambda: sorted(project.of_version(version)) == tasks, "all imported tasks have a prediction")
    calls = stack.model_calls()
    assert stack.run(project)["tasks"] == 0
    assert stack.model_calls() == calls


def test_imported_tasks_wait_for_a_run_where_it_is_not(stack: Stack) -> None:
    project = stack.project("On demand", FEEDBACK)
    stack.connect(project, "--auto-start")
    stack.connect(project)  # a repair keeps what was chosen before
    stack.connect(project, "--no-auto-start")
    calls = stack.model_calls()
    project.import_rows(FEEDBACK_ROWS[:5])
    eventually(lambda: stack.status(project)["webhook_events"].get("TASKS_CREATED"), "the event was noted")
    time.sleep(2)
    assert project.predictions() == []
    assert stack.model_calls() == calls
