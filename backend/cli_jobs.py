"""`prelabel jobs`: look at jobs, pause, resume, cancel them, and try again what failed."""

from __future__ import annotations

from typing import Annotated

import typer

from backend.cli_common import PROJECT_HELP, JsonOption, number, open_parts
from backend.cli_run import PaceOption, TokensOption, UsdOption, wait_for
from backend.cli_show import job_as_json, line, print_json, show_details, show_job, show_jobs
from backend.ports.store import JobLimits, JobRow
from backend.services.progress import state_in_words
from backend.wiring import Parts

jobs_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
JobArgument = Annotated[int, typer.Argument(help="The job's number.", metavar="JOB")]


@jobs_app.command("list", short_help="The newest jobs.")
def list_command(
    project: Annotated[
        int | None, typer.Option("--project", "-p", help=PROJECT_HELP, metavar="N", parser=number)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.", metavar="COUNT")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the newest jobs."""
    found = [job_as_json(job) for job in open_parts().store.jobs(project, limit)]
    if as_json:
        print_json({"jobs": found})
    elif found:
        show_jobs(found)
    else:
        line("There are no jobs yet: prelabel run --project N")


@jobs_app.command("show", short_help="A job in numbers.")
def show_command(
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", help="Show progress until it ends.")] = False,
    progress_json: Annotated[
        bool, typer.Option("--progress-json", help="With --follow: progress as JSON lines on stderr.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a job: tasks by state, labels, replies, errors, tokens, cost, latency, scores."""
    parts = open_parts()
    parts.steering.job(job)
    if follow:
        wait_for(parts, job, quiet=as_json, json_lines=progress_json)
    told = parts.summary(parts.steering.job(job))
    if as_json:
        print_json(told)
    else:
        show_job(told)
        show_details(told)


@jobs_app.command("pause", short_help="Begin no further task of a job.")
def pause_command(job: JobArgument, as_json: JsonOption = False) -> None:
    """Pause a job: calls in flight finish and are kept, no other is begun until it is resumed."""
    parts = open_parts()
    _tell(parts, parts.steering.pause(job), as_json=as_json)


@jobs_app.command("resume", short_help="Go on with a paused job.")
def resume_command(
    job: JobArgument,
    budget_usd: UsdOption = None,
    budget_tokens: TokensOption = None,
    max_per_minute: PaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a paused job, with other limits where they are given."""
    parts = open_parts()
    limits = JobLimits(budget_tokens=budget_tokens, budget_usd=budget_usd, per_minute=max_per_minute)
    known = parts.steering.job(job)
    parts.endpoints.check_limits(limits, parts.agent_of(parts.store.project(known.project_id), known.agent))
    _tell(parts, parts.steering.resume(job, limits), as_json=as_json)


@jobs_app.command("cancel", short_help="End a job for good.")
def cancel_command(job: JobArgument, as_json: JsonOption = False) -> None:
    """End a job for good: what is answered stays, the rest is left to the next run."""
    parts = open_parts()
    _tell(parts, parts.steering.cancel(job), as_json=as_json)


@jobs_app.command("retry", short_help="Ask anew what failed.")
def retry_command(
    job: JobArgument,
    failed: Annotated[
        bool, typer.Option("--failed", help="The tasks that failed or whose reply could not be read.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask anew the tasks of a job that failed or whose reply could not be read; of a cancelled or stopped job, whose
    other tasks stay as they are, in a new job."""
    if not failed:
        raise typer.BadParameter("say what to try again: --failed")
    parts = open_parts()
    found, queued = parts.steering.retry_failed(job)
    if as_json:
        print_json({**job_as_json(found), "queued": queued})
    elif queued:
        line(f"Job {found.id}: {queued:,} tasks are queued again. Follow it: prelabel jobs show {found.id} --follow")
    else:
        line(f"Job {job} has no task that failed.")


def _tell(parts: Parts, job: JobRow, *, as_json: bool) -> None:
    states = dict(parts.store.progress(job.id).states)
    if as_json:
        print_json({**job_as_json(job), "by_state": states})
        return
    told = ", ".join(f"{n:,} {state}" for state, n in sorted(states.items())) or "no tasks"
    line(f"Job {job.id} is {state_in_words(job)}: {told}.")
