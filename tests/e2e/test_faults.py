"""Something is away while the work is to be done: one sentence, nothing lost, the rest goes on."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from backend.adapters.rq_queue import RedisQueue
from scripts.processes import free_port, kill_session
from scripts.services import start_redis
from tests.e2e.configs import FEEDBACK, FEEDBACK_ROWS
from tests.e2e.stack import Labeling, Stack, eventually
from tests.fakes.scripted_model import ScriptedModel

PROBE = 1  # a new installation finds out by one call what the endpoint takes


def test_a_model_that_is_down_pauses_the_run_which_goes_on_with_it(stack: Stack) -> None:
    port = free_port()
    with stack.beside("model-down", {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1"}, database=1) as other:
        project = other.project("Model down", FEEDBACK, FEEDBACK_ROWS[:6])
        paused = other.prelabel("run", "--project", project.id, "--wait")
        assert paused.code == 1
        sentence = f"Paused: The model endpoint http://127.0.0.1:{port}/v1 cannot be reached: check OPENAI_BASE_URL"
        assert sentence in paused.err
        assert "The job goes on by itself" in paused.err
        assert project.predictions() == []
        assert other.status(project)["by_state"] == {"queued": 6}
        with ScriptedModel(port=port):
            eventually(lambda: other.status(project)["by_state"] == {"done": 6}, "it goes on", limit_s=60)
            eventually(lambda: len(project.predictions()) == 6, "all is written")
        version = other.status(project)["version"]
        assert sorted(project.of_version(version)) == project.task_ids()


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
    stack.model.change(latency_s=3.0)
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


def test_a_run_over_the_tasks_of_a_killed_worker_ends_when_they_are_done(stack: Stack) -> None:
    """Nothing is lost or written twice; what was answered before the kill is not asked again."""
    settings = {"PRELABEL_CONCURRENCY": "2"}
    with stack.beside("killed", settings, database=3, worker=False) as other:
        project = other.project("Killed", FEEDBACK, FEEDBACK_ROWS)
        stack.model.change(latency_s=0.5)
        calls = stack.model_calls()
        with other.product.start_worker("killed-worker") as worker:
            version = other.answer("run", "--project", project.id)["version"]
            eventually(lambda: stack.model_calls() >= calls + 4, "some are answered")
            kill_session(worker.process.pid)
        stack.model.change(latency_s=0.0)
        with other.waiting_run(project) as run:
            eventually(lambda: len(other.status(project)["jobs"]) == 2, "the second run has taken the tasks over")
            with other.product.start_worker():
                eventually(lambda: not run.alive, "the second run ends", limit_s=60)
            assert run.process.returncode == 0, run.log_tail()
        assert sorted(project.of_version(version)) == project.task_ids()
        assert [job["state"] for job in other.status(project)["jobs"]] == ["done", "done"]
        eventually(lambda: stack.model.counts()["in_flight"] == 0, "the killed worker's calls are over")
        assert stack.model_calls() - calls <= PROBE + len(FEEDBACK_ROWS) + 2  # again only what was in flight


def undelivered(stack: Stack, project: Labeling) -> int | None:
    """None while the command does not know the project yet: its run has only just begun."""
    told = stack.prelabel("status", "--project", project.id, "--json")
    return int(told.answer["undelivered"]) if told.code == 0 else None


def test_answers_are_delivered_when_a_writer_died_and_redis_was_restarted(stack: Stack, tmp_path: Path) -> None:
    """The dead writer's lock is in the append-only file; no other run is needed."""
    with ExitStack() as services, ExitStack() as first:
        port = first.enter_context(start_redis(tmp_path, persist=True)).port
        settings = {"REDIS_URL": f"redis://127.0.0.1:{port}/0"}
        other = services.enter_context(stack.beside("restarted", settings, database=0))
        project = other.project("Restarted", FEEDBACK, FEEDBACK_ROWS)
        calls = stack.model_calls()
        queue = RedisQueue(settings["REDIS_URL"])
        queue.connection.set(f"prelabel:writer:{project.id}", "of a writer that died")
        run = services.enter_context(other.waiting_run(project))
        eventually(lambda: undelivered(other, project) == len(FEEDBACK_ROWS), "all is answered")
        assert project.predictions() == []
        first.close()
        time.sleep(1)
        services.enter_context(start_redis(tmp_path, persist=True, port=port))
        assert queue.connection.pexpire(f"prelabel:writer:{project.id}", 1_000)
        eventually(lambda: not run.alive, "the run ends", limit_s=90)
        assert run.process.returncode == 0, run.log_tail()
        version = other.status(project)["version"]
        assert sorted(project.of_version(version)) == project.task_ids()
        assert stack.model_calls() - calls == PROBE + len(FEEDBACK_ROWS)
        queue.close()


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
