"""`prelabel run` and `prelabel status`."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from backend.cli_common import JsonOption, ProjectOption, open_parts, warn
from backend.cli_show import batch_waiting, err, job_as_json, line, print_json, show_counts, show_job, show_status
from backend.core.errors import ProjectUnknown, QueueError
from backend.ports.store import READING, Counts, JobRow
from backend.services.batch_numbers import batch_numbers
from backend.services.summaries import in_words, summary
from backend.wiring import Parts

_POLL_S = 0.5
_NO_WORKER_S = 10.0
_SHORT_READING_S = 3.0


class Lane(StrEnum):
    LIVE = "live"
    BATCH = "batch"


def run_command(
    project: ProjectOption,
    task: Annotated[
        list[int] | None, typer.Option(help="Only this task; may be given several times.", metavar="ID")
    ] = None,
    lane: Annotated[
        Lane, typer.Option(help="How the model is asked: live, or batch, through the endpoint's batch API.")
    ] = Lane.LIVE,
    wait: Annotated[bool, typer.Option("--wait", help="Show progress and end when all is written.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Pre-annotate the tasks that lack a prediction of the current version."""
    parts = open_parts()
    job_id = parts.start_run(project, task or None, lane=lane.value)
    warning = parts.model_warning(project)
    if not as_json:
        warn(warning)
    if wait:
        try:
            _wait(parts, job_id, quiet=as_json)
        except KeyboardInterrupt:
            line(f"Job {job_id} goes on: prelabel status --project {project}", console=err)
            raise
    else:
        _wait_for_a_short_reading(parts, job_id)
    job = parts.store.job(job_id)
    assert job is not None  # it was made above, and jobs are never deleted
    told = {**summary(parts.store, job), "warning": warning}
    if as_json:
        print_json(told)
    else:
        _tell_run(parts, told, of_tasks=len(task or ()))
    if job.state == "stopped" or (wait and told["by_state"].get("failed")):
        raise typer.Exit(1)


def status_command(project: ProjectOption, as_json: JsonOption = False) -> None:
    """Tell where a project stands: version, tasks by state, tokens, events, jobs."""
    parts = open_parts()
    row = parts.store.project(project)
    if row is None:
        raise ProjectUnknown(
            f"Project {project} is not known here yet: connect it with "
            f"`prelabel connect --project {project} --backend-url URL`."
        )
    told: dict[str, Any] = {
        "project": project,
        "version": row.version,
        "agent": parts.projects.agents.of(row).reference,
        "agent_problem": row.agent_problem,
        "refused": list(row.refusals),
        **in_words(parts.store.counts(project, version=row.version)),
        "model_calls_of_all_versions": parts.store.calls(project),
        "webhook_events": parts.store.event_counts(project),
        "jobs": [
            {**job_as_json(job), "batch": batch_numbers(parts.store, job)} for job in parts.store.jobs(project, limit=5)
        ],
        **parts.operation.for_status(),
    }
    if as_json:
        print_json(told)
    else:
        show_status(told, row.label_config)


def _wait(parts: Parts, job_id: int, *, quiet: bool) -> None:
    """Until the job has ended and everything is written."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = quiet or not err.is_terminal  # where it is not a terminal, it would only print an empty line
    with Progress(*columns, console=err, disable=hidden, transient=True) as progress:
        bar = progress.add_task("pre-annotating", total=None)
        looked, hint = time.monotonic(), ""
        while True:
            job = parts.store.job(job_id)
            counts = parts.store.progress(job_id)
            assert job is not None  # it exists: the caller has just made it
            finished = sum(counts.states.values()) - counts.unfinished
            total = None if job.reading else sum(counts.states.values())
            progress.update(bar, total=total, completed=finished)
            if job.state == "stopped" or (job.state == "done" and not counts.undelivered):
                return
            progress.update(bar, description=_doing(parts, job, counts))
            if time.monotonic() - looked > _NO_WORKER_S:
                looked, before, hint = time.monotonic(), hint, _why_nothing_goes_on(parts)
                if hint and hint != before:
                    line(hint, console=err)
            time.sleep(_POLL_S)


def _doing(parts: Parts, job: JobRow, counts: Counts) -> str:
    """What a run is at, in words."""
    if job.reading:
        enlisted = sum(counts.states.values())
        return f"pre-annotating, {enlisted:,} tasks read so far" if enlisted else "reading tasks"
    if counts.undelivered and not counts.unfinished:
        return "writing back"
    batch = batch_numbers(parts.store, job)
    return batch_waiting(batch) if batch and batch["waiting"] else "pre-annotating"


def _wait_for_a_short_reading(parts: Parts, job_id: int) -> None:
    """In a small project a worker soon knows the job's tasks: then they can be told."""
    until = time.monotonic() + _SHORT_READING_S
    while time.monotonic() < until and not _why_nothing_goes_on(parts):
        job = parts.store.job(job_id)
        if job is None or not job.reading or job.state not in READING:
            return
        time.sleep(_POLL_S)


def _why_nothing_goes_on(parts: Parts) -> str:
    """A sentence while there is nobody to work; else nothing. A Redis that is away is waited for: the job is safe."""
    try:
        return "" if parts.queue.workers() else "No worker is running: start `prelabel worker` in another terminal."
    except QueueError as error:
        return str(error)


def _tell_run(parts: Parts, told: dict[str, Any], *, of_tasks: int) -> None:
    if told["state"] == "stopped":
        show_counts(told)
        line(f"Stopped: {told['reason']}", console=err)
    elif told["reading"]:
        line(f"Job {told['job']} queued: a worker reads which tasks lack a prediction of {told['version']}.")
        line(f"Follow it: prelabel status --project {told['project']}")
        if hint := _why_nothing_goes_on(parts):
            line(hint, console=err)
    elif told["tasks"] == 0:
        line(_nothing_to_do(parts, told, of_tasks=of_tasks))
    elif told["state"] == "done":
        show_job(told)
    else:
        line(f"Job {told['job']}: {told['tasks']} tasks queued as {told['version']}.")
        line(f"Follow it: prelabel status --project {told['project']}")


def _nothing_to_do(parts: Parts, told: dict[str, Any], *, of_tasks: int) -> str:
    """Why a run found no task. `of_tasks`: how many were named; 0: the whole project."""
    project, version = told["project"], told["version"]
    counts = parts.store.counts(project, version=version)
    under_way = counts.unfinished + counts.undelivered
    if under_way:
        return f"Nothing to add: {under_way} tasks are under way: prelabel status --project {project}"
    count = of_tasks or parts.labels.project(project).task_count
    if not count:
        return f"Nothing to do: project {project} has no tasks."
    return f"Nothing to do: all {count} tasks have a prediction of {version}."
