"""The command line. A user's mistake prints one sentence and no traceback; every command has `--json`."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Annotated, Any, NoReturn

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from backend import __version__
from backend.cli_config import config_command
from backend.cli_read import read_command
from backend.cli_score import score_command
from backend.cli_show import (
    err,
    job_as_json,
    line,
    print_json,
    show_check,
    show_counts,
    show_job,
    show_refusals,
    show_status,
)
from backend.core.errors import PrelabelError, ProjectUnknown, QueueError
from backend.logs import configure_logging
from backend.services.jobs import in_words, summary
from backend.settings import load_settings
from backend.wiring import Parts

app = typer.Typer(
    name="prelabel",
    help="LLM pre-annotation backend for Label Studio.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # its tables call an option's type <bool> and <int range>
    pretty_exceptions_enable=False,
)
app.command("config", short_help="What of a labeling config would be answered.")(config_command)
app.command("read", short_help="Read recorded replies as the service does.")(read_command)
app.command("score", short_help="How well scores tell right from wrong.")(score_command)
_POLL_S = 0.5
_NO_WORKER_S = 10.0


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise typer.BadParameter(f"{text!r} is not a project's number, which stands in its address: .../projects/12/.")
    return int(text)


_PROJECT_HELP = "The project's number, as in its address: .../projects/12/."
ProjectOption = Annotated[int, typer.Option("--project", "-p", help=_PROJECT_HELP, metavar="N", parser=_number)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def main() -> None:
    """Entry point of `prelabel`."""
    try:
        code = app(standalone_mode=False, prog_name="prelabel")
    except PrelabelError as error:
        _fail(str(error))
    except typer.Abort:
        raise SystemExit(130) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except typer.TyperException as error:
        _fail(_told(error), code=2)
    raise SystemExit(code if isinstance(code, int) else 0)


def _told(error: typer.TyperException) -> str:
    """A wrong command line in one sentence that names the help to read."""
    context = getattr(error, "ctx", None)
    hint = f": see `{context.command_path} --help`." if context is not None else "."
    return error.format_message().rstrip(".") + hint


def _fail(message: str, code: int = 1) -> NoReturn:
    if "--json" in sys.argv:
        print(json.dumps({"error": message}))
    else:
        line(f"prelabel: {message}", console=err)
    raise SystemExit(code)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        print(f"prelabel {__version__}")
        raise typer.Exit
    logging.basicConfig(level=logging.ERROR, format="%(message)s")


@app.command(short_help="Check everything; say the next step.")
def doctor(
    project: Annotated[
        int | None,
        typer.Option("--project", "-p", help="Look at this project too.", metavar="N", parser=_number),
    ] = None,
    backend_url: Annotated[
        str | None, typer.Option(help="The address that Label Studio is to call.", metavar="URL")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check everything that pre-annotation needs; each line is ok or says the next step."""
    parts = _parts()
    checks = []
    for check in parts.doctor.checks(project, backend_url):
        checks.append(check)
        if not as_json:
            show_check(check.name, check.status, check.detail)
    wrong = [check for check in checks if check.status == "wrong"]
    if as_json:
        print_json({"ok": not wrong, "checks": [check.as_json() for check in checks]})
    if wrong:
        raise typer.Exit(1)


@app.command(short_help="Connect a project, or repair it.")
def connect(
    project: ProjectOption,
    backend_url: Annotated[str, typer.Option(help="Where Label Studio reaches `prelabel serve`.", metavar="URL")],
    auto_start: Annotated[
        bool | None,
        typer.Option("--auto-start/--no-auto-start", help="Pre-annotate tasks as they are created (off at first)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Connect a project to this backend, or repair what is half connected. Safe to repeat."""
    parts = _parts()
    connection = parts.connect(project, backend_url, auto_start=auto_start)
    warning = parts.model_warning()
    if as_json:
        print_json({**connection.as_json(), "warning": warning})
        return
    line(f'Project {project} is connected: version {connection.version}, tab "{connection.tab.title}".')
    show_refusals(connection.label_config)
    _warn(warning)
    line(f"Next: prelabel run --project {project} --wait")


@app.command(short_help="Pre-annotate what lacks a prediction.")
def run(
    project: ProjectOption,
    task: Annotated[
        list[int] | None, typer.Option(help="Only this task; may be given several times.", metavar="ID")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show progress and end when all is written.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Pre-annotate the tasks that lack a prediction of the current version."""
    parts = _parts()
    job_id = parts.start_run(project, task or None)
    warning = parts.model_warning()
    if not as_json:
        _warn(warning)
    if wait:
        try:
            _wait(parts, job_id, quiet=as_json)
        except KeyboardInterrupt:
            line(f"Job {job_id} goes on: prelabel status --project {project}", console=err)
            raise
    job = parts.store.job(job_id)
    assert job is not None  # it was made above, and jobs are never deleted
    told = {**summary(parts.store, job), "warning": warning}
    if as_json:
        print_json(told)
    else:
        _tell_run(parts, told, of_tasks=len(task or ()))
    if job.state == "stopped" or (wait and told["by_state"].get("failed")):
        raise typer.Exit(1)


@app.command(short_help="Tell where a project stands.")
def status(project: ProjectOption, as_json: JsonOption = False) -> None:
    """Tell where a project stands: version, tasks by state, tokens, events, jobs."""
    parts = _parts()
    row = parts.store.project(project)
    if row is None:
        raise ProjectUnknown(
            f"Project {project} is not known here yet: connect it with "
            f"`prelabel connect --project {project} --backend-url URL`."
        )
    told: dict[str, Any] = {
        "project": project,
        "version": row.version,
        "refused": list(row.refusals),
        **in_words(parts.store.counts(project, version=row.version)),
        "model_calls_of_all_versions": parts.store.calls(project),
        "webhook_events": parts.store.event_counts(project),
        "jobs": [job_as_json(job) for job in parts.store.jobs(project, limit=5)],
    }
    if as_json:
        print_json(told)
    else:
        show_status(told, row.label_config)


@app.command(short_help="Run the service for Label Studio.")
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", metavar="ADDRESS")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", metavar="PORT")] = None,
) -> None:
    """Run the service that Label Studio calls."""
    from backend.web.server import Server  # gunicorn exists on POSIX only

    settings = load_settings()
    configure_logging(settings.log_level)
    parts = Parts(settings)
    parts.projects  # noqa: B018  - a missing template or database is told before anything runs
    parts.store.migrate()
    parts.store.close()  # connections do not survive gunicorn's fork
    Server(parts, host=host or settings.host, port=settings.port if port is None else port).run()


@app.command(short_help="Run the workers.")
def worker(
    interactive: Annotated[
        int, typer.Option(min=0, help="Processes for tasks that somebody waits for.", metavar="COUNT")
    ] = 1,
    bulk: Annotated[int, typer.Option(min=0, help="Processes for runs.", metavar="COUNT")] = 1,
) -> None:
    """Run the workers that ask the model and write predictions back."""
    from backend.supervisor import run_workers  # its imports are heavy: only where they are needed

    settings = load_settings()
    configure_logging(settings.log_level)
    Parts(settings).need_key()
    run_workers(settings, {"interactive": interactive, "bulk": bulk})


def _parts() -> Parts:
    parts = Parts(load_settings())
    parts.store.migrate()
    return parts


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
            progress.update(bar, total=sum(counts.states.values()), completed=finished)
            if job.state == "stopped" or (job.state == "done" and not counts.undelivered):
                return
            if counts.undelivered and not counts.unfinished:
                progress.update(bar, description="writing back")
            if time.monotonic() - looked > _NO_WORKER_S:
                looked, before, hint = time.monotonic(), hint, _why_nothing_goes_on(parts)
                if hint and hint != before:
                    line(hint, console=err)
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


def _warn(warning: str | None) -> None:
    if warning is not None:
        line(f"Warning: {warning}", console=err)
