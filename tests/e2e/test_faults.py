"""Something is away while the work is to be done: one sentence, nothing lost, the rest goes on."""

from __future__ import annotations

import time

import httpx

from scripts.processes import free_port
from tests.e2e.configs import FEEDBACK, FEEDBACK_ROWS
from tests.e2e.stack import Labeling, Stack, eventually
from tests.fakes.scripted_model import ScriptedModel


def test_a_model_that_is_down_stops_the_run_and_a_later_run_finishes_it(stack: Stack) -> None:
    port = free_port()
    with stack.beside("model-down", {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1"}, database=1) as other:
        project = other.project("Model down", FEEDBACK, FEEDBACK_ROWS[:6])
        stopped = other.prelabel("run", "--project", project.id, "--wait")
        assert stopped.code == 1
        sentence = f"Stopped: The model endpoint http://127.0.0.1:{port}/v1 cannot be reached: check OPENAI_BASE_URL"
        assert sentence in stopped.err
        assert project.predictions() == []
        assert other.status(project)["by_state"] == {"queued": 6}
        with ScriptedModel(port=port):
            told = other.run(project)
        assert told["by_state"] == {"done": 6}
        assert sorted(project.of_version(told["version"])) == project.task_ids()


def test_a_model_that_fails_for_a_while_loses_nothing(stack: Stack) -> None:
    project = stack.project("Model stumbles", FEEDBACK, FEEDBACK_ROWS)
    stack.model.change(fail=[{"status": 503, "count": 3}, {"status": 0, "count": 2}])
    told = stack.run(project)
    assert told["by_state"] == {"done": len(FEEDBACK_ROWS)}
    assert sorted(project.of_version(told["version"])) == project.task_ids()


def test_unreadable_replies_are_written_with_score_0(stack: Stack) -> None:
    project = stack.project("Garbage", FEEDBACK, FEEDBACK_ROWS[:3])
    version = stack.connect(project)["version"]
    stack.model.change(reply="garbage")
    told = stack.run(project)
    assert told["invalid_replies"] == 3
    assert [(p.score, p.result) for p in project.of_version(version).values()] == [(0, [])] * 3
    assert [row["predictions_score"] for row in project.rows(project.tab())] == [0, 0, 0]


def test_tasks_that_are_deleted_meanwhile_do_not_hold_up_the_others(stack: Stack) -> None:
    project = stack.project("Deleted meanwhile", FEEDBACK, FEEDBACK_ROWS)
    tasks = project.task_ids()
    stack.model.change(latency_s=1.0)
    calls = stack.model_calls()
    version = stack.answer("run", "--project", project.id)["version"]
    eventually(lambda: stack.model_calls() + stack.model.counts()["in_flight"] > calls, "the first task is asked")
    for task_id in (tasks[0], tasks[-1]):
        project.delete_task(task_id)
    eventually(lambda: sorted(project.of_version(version)) == tasks[1:-1], "every other task has its prediction")
    eventually(lambda: stack.status(project)["jobs"][0]["state"] == "done", "the job ends")
    told = stack.status(project)
    assert told["by_state"] == {"done": len(tasks) - 2, "deleted": 2}
    assert told["undelivered"] == 0


def test_without_redis_a_run_says_so_and_queues_nothing(stack: Stack, feedback: Labeling) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    jobs = len(stack.status(feedback)["jobs"])
    done = stack.prelabel("run", "--project", feedback.id, REDIS_URL=nowhere)
    assert "Redis cannot be used" in done.only_sentence
    assert "check REDIS_URL" in done.only_sentence
    assert len(stack.status(feedback)["jobs"]) == jobs
    checks = {check["name"]: check for check in stack.doctor(feedback, REDIS_URL=nowhere)["checks"]}
    assert checks["redis"]["status"] == checks["workers"]["status"] == "wrong"
    assert checks["connection"]["status"] == "ok"


def test_without_redis_annotators_go_on(stack: Stack) -> None:
    """The service stays up, Label Studio keeps it connected, and a task can still be opened."""
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    with stack.beside("redis-down", {"REDIS_URL": nowhere}, database=2, serve=True, worker=False) as other:
        project = other.project("No Redis", FEEDBACK, FEEDBACK_ROWS[:1])
        other.connect(project)
        started = time.monotonic()
        assert project.open_task(project.task_ids()[0])["predictions"] == []
        assert time.monotonic() - started < 5
        assert project.backends()[0]["state"] == "CO"
        body = {"tasks": project.rows(), "project": f"{project.id}.1", "label_config": FEEDBACK}
        refused = httpx.post(f"{other.product.url}/predict", json=body, auth=other.product.auth, trust_env=False)
        assert refused.status_code == 503
        assert set(refused.json()) == {"error", "id"}
        assert "Redis cannot be used" in refused.json()["error"]


def test_an_unreachable_label_studio_is_one_sentence(stack: Stack, feedback: Labeling) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    done = stack.prelabel("run", "--project", feedback.id, LABEL_STUDIO_URL=nowhere)
    assert f"Label Studio cannot be reached at {nowhere}: check LABEL_STUDIO_URL" in done.only_sentence
