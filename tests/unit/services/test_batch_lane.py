"""The batch lane: rounds, what is salvaged, and that nothing is asked twice, whatever is killed where."""

from __future__ import annotations

from tests.fakes.installation import Installation


def test_a_job_goes_through_one_batch() -> None:
    installation = Installation(cached=True)
    project_id, task_ids = installation.project("good", "bad", "fine", "good")
    job_id = installation.jobs.start_run(project_id, lane="batch")
    installation.work_off()
    assert installation.batch_endpoint.finish() == 1
    installation.queue.a_while_passes()
    installation.work_off()
    moods = [["positive"], ["negative"], ["positive"], ["positive"]]
    assert installation.choices(project_id) == dict(zip(task_ids, moods, strict=True))
    job = installation.store.job(job_id)
    assert job is not None
    assert job.state == "done"
    assert installation.model.requests == []
    assert len(installation.batch_endpoint.answered) == 3
