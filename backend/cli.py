"""The command line. A user's mistake prints one sentence and no traceback; every command has `--json`."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from backend import __version__
from backend.cli_offline import offline
from backend.cli_read import read_command
from backend.core.errors import PrelabelError
from backend.logs import configure_logging
from backend.ports.store import JobRow
from backend.services.jobs import in_words, summary
from backend.settings import load_settings
from backend.wiring import Parts

app = typer.Typer(
    name="prelabel",
    help="LLM pre-annotation backend for Label Studio.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(offline)
app.command("read")(read_command)
_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)
_POLL_S = 0.5
_NO_WORKER_S = 10.0

ProjectOption = Annotated[int, typer.Option("--project", "-p", help="The project's number in Label Studio.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def main() -> None:
    """Entry point of `prelabel`."""
    try:
        code = app(standalone_mode=False)
    except PrelabelError as error:
        _fail(str(error))
    except typer.Abort:
        raise SystemExit(130) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except typer.TyperException as error:
        _fail(error.format_message(), code=2)
    raise SystemExit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int = 1) -> NoReturn:
    if "--json" in sys.argv:
        print(json.dumps({"error": message}))
    else:
        _err.print(f"prelabel: {message}", soft_wrap=True, markup=False)
    raise SystemExit(code)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        print(f"prelabel {__version__}")
        raise typer.Exit
    logging.basicConfig(level=logging.ERROR, format="%(message)s")


@app.command()
def doctor(
    project: Annotated[int | None, typer.Option("--project", "-p", help="Look at this project too.")] = None,
    backend_url: Annotated[str | None, typer.Option(help="The address that Label Studio is to call.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check everything that pre-annotation needs; each line is ok or says the next step."""
    parts = _parts()
    checks = []
    for check in parts.doctor.checks(project, backend_url):
        checks.append(check)
        if not as_json:
            colour = {"ok": "green", "wrong": "red", "note": "yellow"}[check.status]
            _out.print(f"[{colour}]{check.status:<5}[/] {check.name}: ", end="")
            _out.print(check.detail, markup=False, soft_wrap=True)
    wrong = [check for check in checks if check.status == "wrong"]
    if as_json:
        _print_json({"ok": not wrong, "checks": [check.as_json() for check in checks]})
    if wrong:
        raise typer.Exit(1)


@app.command()
def connect(
    project: ProjectOption,
    backend_url: Annotated[str, typer.Option(help="Where Label Studio reaches `prelabel serve`.")],
    auto_start: Annotated[
        bool | None,
        typer.Option("--auto-start/--no-auto-start", help="Pre-annotate tasks as they are created (off at first)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Connect a project to this backend, or repair what is half connected. Safe to repeat."""
    connection = _parts().connect(project, backend_url, auto_start=auto_start)
    if as_json:
        _print_json(connection.as_json())
        return
    _out.print(f'Project {project} is connected: version {connection.version}, tab "{connection.tab.title}".')
    for refusal in connection.refusals:
        _out.print(f"Not pre-annotated: {refusal}", markup=False, soft_wrap=True)
    _out.print(f"Next: prelabel run --project {project} --wait")


@app.command()
def run(
    project: ProjectOption,
    task: Annotated[list[int] | None, typer.Option(help="Only this task; may be given several times.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show progress and end when all is written.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Pre-annotate the tasks that lack a prediction of the current version."""
    parts = _parts()
    job_id = parts.jobs.start_run(project, task or None)
    if wait:
        try:
            _wait(parts, job_id, quiet=as_json)
        except KeyboardInterrupt:
            _err.print(f"Job {job_id} goes on: prelabel status --project {project}")
            raise
    job = parts.store.job(job_id)
    assert job is not None  # it was made above, and jobs are never deleted
    told = summary(parts.store, job)
    if as_json:
        _print_json(told)
    else:
        _tell_job(told, waited=wait)
    if job.state == "stopped":
        if not as_json:
            _err.print(f"Stopped: {job.reason}", markup=False, soft_wrap=True)
        raise typer.Exit(1)
    if wait and told["by_state"].get("failed"):
        raise typer.Exit(1)


@app.command()
def status(project: ProjectOption, as_json: JsonOption = False) -> None:
    """Tell where a project stands: version, tasks by state, tokens, events, jobs."""
    parts = _parts()
    row = parts.store.project(project)
    version = row.version if row else None
    told: dict[str, Any] = {
        "project": project,
        "version": version,
        "refused": list(row.refusals) if row else [],
        **in_words(parts.store.counts(project, version=version)),
        "model_calls": parts.store.calls(project),
        "webhook_events": parts.store.event_counts(project),
        "jobs": [_job_json(job) for job in parts.store.jobs(project, limit=5)],
    }
    if as_json:
        _print_json(told)
        return
    if row is None:
        hint = f"prelabel connect --project {project} --backend-url URL"
        _out.print(f"Project {project} is not known here yet: {hint}", soft_wrap=True)
        return
    _out.print(f"Project {project}, version {version or 'none: nothing in the labeling config is supported'}")
    for refusal in row.refusals:
        _out.print(f"Not pre-annotated: {refusal}", markup=False, soft_wrap=True)
    _tell_counts(told)
    for job in told["jobs"]:
        reason = f" ({job['reason']})" if job["reason"] else ""
        _out.print(f"Job {job['id']}: {job['state']}, {job['tasks']} tasks{reason}", markup=False, soft_wrap=True)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
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


@app.command()
def worker(
    interactive: Annotated[int, typer.Option(min=0, help="Processes for tasks that somebody waits for.")] = 1,
    bulk: Annotated[int, typer.Option(min=0, help="Processes for runs.")] = 1,
) -> None:
    """Run the workers that ask the model and write predictions back."""
    from backend.worker import run_workers  # its imports are heavy: only where they are needed

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
    with Progress(*columns, console=_err, disable=quiet, transient=True) as progress:
        bar = progress.add_task("pre-annotating", total=None)
        started, warned = time.monotonic(), False
        while True:
            job = parts.store.job(job_id)
            counts = parts.store.progress(job_id)
            assert job is not None  # it exists: the caller has just made it
            finished = sum(counts.states.values()) - counts.unfinished
            progress.update(bar, total=job.total, completed=finished)
            if job.state == "stopped" or (job.state == "done" and not counts.undelivered):
                return
            if counts.undelivered and not counts.unfinished:
                progress.update(bar, description="writing back")
            if not warned and finished == 0 and time.monotonic() - started > _NO_WORKER_S:
                warned = True
                if not parts.queue.workers():
                    _err.print("No worker is running: start `prelabel worker` in another terminal.")
            time.sleep(_POLL_S)


def _tell_job(told: Mapping[str, Any], *, waited: bool) -> None:
    if not waited and told["state"] in ("queued", "running"):
        _out.print(f"Job {told['job']}: {told['tasks']} tasks queued as {told['version']}.")
        _out.print(f"Follow it: prelabel status --project {told['project']}")
        return
    took = f" in {told['seconds']:.1f} s" if told["seconds"] is not None else ""
    _out.print(f"Job {told['job']} {told['state']}: {told['tasks']} tasks as {told['version']}{took}.")
    _tell_counts(told)


def _tell_counts(told: Mapping[str, Any]) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    states = ", ".join(f"{n} {state}" for state, n in sorted(told["by_state"].items())) or "none yet"
    table.add_row("tasks", states)
    table.add_row("written", f"{told['written']}" + (f", {told['undelivered']} to go" if told["undelivered"] else ""))
    for control, labels in told["labels"].items():
        shown = ", ".join(f"{n} {label}" for label, n in list(labels.items())[:12])
        table.add_row(control, shown + (", ..." if len(labels) > 12 else ""))
    if told["rejected_answers"]:
        table.add_row("rejected", ", ".join(f"{n} {a!r}" for a, n in list(told["rejected_answers"].items())[:5]))
    if told["errors"]:
        table.add_row("errors", ", ".join(f"{n} {kind}" for kind, n in told["errors"].items()))
    tokens = f"{told['prompt_tokens']:,} in, {told['completion_tokens']:,} out, {told['model_calls']:,} calls"
    table.add_row("tokens", tokens)
    _out.print(table)


def _job_json(job: JobRow) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "tasks": job.total,
        "version": job.version,
        "created_at": job.created_at.isoformat(),
        "reason": job.reason,
    }


def _print_json(value: Mapping[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))
