"""`prelabel run` and `prelabel status`."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli_common import JsonOption, ProjectOption, open_parts, warn
from backend.cli_follow import follow, why_nothing_goes_on
from backend.cli_select import selection_of
from backend.cli_show import err, job_as_json, line, print_json, show_counts, show_estimate, show_job, show_status
from backend.core.errors import ProjectUnknown, not_connected
from backend.ports.store import READING, JobLimits, JobRow
from backend.services.batch_numbers import batch_numbers
from backend.services.selection import MISSING, Selection
from backend.services.summaries import in_words
from backend.wiring import Parts

_POLL_S = 0.5
_SHORT_READING_S = 3.0
_GOES_ON = {"fault": "The job goes on by itself once that is mended; no other run is needed."}  # by who paused it

TokensOption = Annotated[
    int | None, typer.Option(min=1, help="Spend at most so many tokens, prompts and answers.", metavar="N")
]
UsdOption = Annotated[float | None, typer.Option(help="Spend at most so many US dollars.", metavar="X")]
PaceOption = Annotated[int | None, typer.Option(min=1, help="At most so many model calls a minute.", metavar="N")]


class Lane(StrEnum):
    LIVE = "live"
    BATCH = "batch"


def run_command(
    project: ProjectOption,
    everything: Annotated[bool, typer.Option("--all", help="All tasks; answered ones keep their answer.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Ask anew what is answered.")] = False,
    tab: Annotated[str | None, typer.Option(help="Of this Data Manager tab.", metavar="ID|TITLE")] = None,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter", help="'data.lang = en', or Data Manager filters as JSON; several hold all.", metavar="FILTER"
        ),
    ] = None,
    task: Annotated[
        list[int] | None, typer.Option(help="Only this task; may be given several times.", metavar="ID")
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(help="Another agent than the project's; its predictions stand beside.", metavar="NAME[@HASH]"),
    ] = None,
    lane: Annotated[
        Lane, typer.Option(help="How the model is asked: live, or batch, through the endpoint's batch API.")
    ] = Lane.LIVE,
    ids_file: Annotated[Path | None, typer.Option(help="Only the tasks whose ids are in it.", metavar="FILE")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="At most N of them, by chance.", metavar="N")] = None,
    seed: Annotated[int, typer.Option(help="Another seed takes another sample.", metavar="S")] = 0,
    below: Annotated[
        float | None, typer.Option(help="Those with a score below it, asked anew.", metavar="SCORE")
    ] = None,
    differ: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Those that two agents or versions answered differently, asked anew.", metavar="A B"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what it would take; do nothing.")] = False,
    budget_usd: UsdOption = None,
    budget_tokens: TokensOption = None,
    max_per_minute: PaceOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show progress and end when all is written.")] = False,
    progress_json: Annotated[
        bool, typer.Option("--progress-json", help="With --wait: progress as JSON lines on stderr.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Pre-annotate tasks: by default those that lack a prediction of the current version."""
    parts = open_parts()
    parts.need_key()
    selection = selection_of(
        parts.labels,
        parts.store,
        project,
        everything=everything,
        again=again,
        tab=tab,
        filters=filters or (),
        task_ids=task or (),
        ids_file=ids_file,
        below=below,
        differ=differ,
        sample=sample,
        seed=seed,
    )
    limits = JobLimits(budget_tokens=budget_tokens, budget_usd=budget_usd, per_minute=max_per_minute)
    if dry_run:
        _estimate(parts, project, selection, limits, agent, as_json=as_json)
        return
    job_id = parts.start_run(project, selection, None if limits == JobLimits() else limits, agent=agent, lane=lane)
    warning = parts.model_warning(project)
    if not as_json:
        warn(warning)
    if wait:
        wait_for(parts, job_id, quiet=as_json, json_lines=progress_json)
    else:
        _wait_for_a_short_reading(parts, job_id)
    job = parts.store.job(job_id)
    assert job is not None  # it was made above, and jobs are never deleted
    told = {**parts.summary(job), "paused_by": job.paused_by, "warning": warning}
    if as_json:
        print_json(told)
    else:
        _tell_run(parts, told, selection)
    if _is_unfinished(job, told, wait=wait):
        raise typer.Exit(1)


def wait_for(parts: Parts, job_id: int, *, quiet: bool, json_lines: bool) -> None:
    """Follow a job; Ctrl-C ends the following, not the job."""
    try:
        follow(parts, job_id, quiet=quiet, json_lines=json_lines)
    except KeyboardInterrupt:
        line(f"Job {job_id} goes on: prelabel jobs show {job_id} --follow", console=err)
        raise


def _estimate(
    parts: Parts, project: int, selection: Selection, limits: JobLimits, agent: str | None, *, as_json: bool
) -> None:
    told = parts.estimate(project, selection, limits, agent).as_json()
    if as_json:
        print_json(told)
    else:
        show_estimate(told)


def _is_unfinished(job: JobRow, told: dict[str, Any], *, wait: bool) -> bool:
    """Whether a person or a script must look: the job stopped, or was waited for and has not done everything."""
    if job.state == "stopped":
        return True
    return wait and (job.state != "done" or bool(told["by_state"].get("failed") or told["outdated"]))


def status_command(project: ProjectOption, as_json: JsonOption = False) -> None:
    """Tell where a project stands: version, tasks by state, tokens, events, jobs."""
    parts = open_parts()
    row = parts.store.project(project)
    if row is None:
        raise ProjectUnknown(not_connected(project))
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


def _wait_for_a_short_reading(parts: Parts, job_id: int) -> None:
    """In a small project a worker soon knows the job's tasks: then they can be told."""
    until = time.monotonic() + _SHORT_READING_S
    while time.monotonic() < until and not why_nothing_goes_on(parts):
        job = parts.store.job(job_id)
        if job is None or not job.reading or job.state not in READING:
            return
        time.sleep(_POLL_S)


def _tell_run(parts: Parts, told: dict[str, Any], selection: Selection) -> None:
    if told["state"] in ("stopped", "stopped at budget"):
        show_counts(told)
        line(f"{told['state'].capitalize()}: {told['reason']}", console=err)
    elif told["state"] == "paused":
        show_counts(told)
        line(f"Paused: {told['reason']} {_GOES_ON.get(told['paused_by'], '')}".rstrip(), console=err)
    elif told["reading"]:
        line(f"Job {told['job']} queued: a worker reads which tasks it is about, for {told['version']}.")
        line(f"Follow it: prelabel jobs show {told['job']} --follow")
        if hint := why_nothing_goes_on(parts):
            line(hint, console=err)
    elif told["tasks"] == 0:
        line(_nothing_to_do(parts, told, selection))
    elif told["state"] in ("done", "cancelled"):
        show_job(told)
    else:
        line(f"Job {told['job']}: {told['tasks']} tasks queued as {told['version']}.")
        line(f"Follow it: prelabel jobs show {told['job']} --follow")


def _nothing_to_do(parts: Parts, told: dict[str, Any], selection: Selection) -> str:
    """Why a run found no task."""
    project, version = told["project"], told["version"]
    counts = parts.store.counts(project, version=version)
    under_way = counts.unfinished + counts.undelivered
    if under_way:
        return f"Nothing to add: {under_way} tasks are under way: prelabel status --project {project}"
    if selection.view is not None or selection.keep != MISSING:
        return f"Nothing to do: no task of project {project} is selected."
    count = parts.labels.project(project).task_count
    if not count:
        return f"Nothing to do: project {project} has no tasks."
    return f"Nothing to do: all {count} tasks have a prediction of {version}."
