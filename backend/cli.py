"""The command line. A user's mistake prints one sentence and no traceback; every command has `--json`."""

from __future__ import annotations

import json
import logging
import sys
from typing import Annotated, NoReturn

import typer

from backend import __version__
from backend.cli_agents import agents_app
from backend.cli_audit import audit_app
from backend.cli_certify import certify_command
from backend.cli_common import JsonOption, ProjectOption, number, open_parts, warn
from backend.cli_config import config_command
from backend.cli_golden import golden_app
from backend.cli_jobs import jobs_app
from backend.cli_queue import queue_command
from backend.cli_read import read_command
from backend.cli_report import report_command
from backend.cli_run import run_command, status_command
from backend.cli_score import score_command
from backend.cli_scores import scores_command
from backend.cli_show import (
    err,
    line,
    print_json,
    show_check,
    show_refusals,
)
from backend.cli_verifications import verifications_command
from backend.core.errors import PrelabelError
from backend.logs import configure_logging
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
app.add_typer(agents_app, name="agents", short_help="Register agents, try them, choose one.")
app.add_typer(audit_app, name="audit", short_help="The blind audit of a project.")
app.command("certify", short_help="What may be accepted unseen.")(certify_command)
app.command("config", short_help="What of a labeling config would be answered.")(config_command)
app.add_typer(golden_app, name="golden", short_help="Tasks with a known answer, for annotators.")
app.command("queue", short_help="What remains to be verified; the tabs for it.")(queue_command)
app.command("read", short_help="Read recorded replies as the service does.")(read_command)
app.command("score", short_help="How well scores tell right from wrong.")(score_command)
app.command("run", short_help="Pre-annotate tasks.")(run_command)
app.add_typer(jobs_app, name="jobs", short_help="List, show, pause, resume, cancel jobs.")
app.command("verifications", short_help="Read what people did with predictions.")(verifications_command)
app.command("report", short_help="What the labels are worth.")(report_command)
app.command("scores", short_help="Which score is used, and why.")(scores_command)
app.command("status", short_help="Tell where a project stands.")(status_command)


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
        typer.Option("--project", "-p", help="Look at this project too.", metavar="N", parser=number),
    ] = None,
    backend_url: Annotated[
        str | None, typer.Option(help="The address that Label Studio is to call.", metavar="URL")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check everything that pre-annotation needs; each line is ok or says the next step."""
    parts = open_parts()
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
    parts = open_parts()
    connection = parts.connect(project, backend_url, auto_start=auto_start)
    warning = parts.model_warning(project)
    if as_json:
        print_json({**connection.as_json(), "warning": warning})
        return
    line(f'Project {project} is connected: version {connection.version}, tab "{connection.tab.title}".')
    show_refusals(connection.label_config)
    plan = parts.store.audit_plan(project)
    if plan is not None and plan.ended_at is None:
        line(
            f"Blind audit: about {plan.first_share:.0%} of the tasks show their prediction only after they have been "
            f"annotated; `prelabel audit end --project {project}` shows all."
        )
    warn(warning)
    line(f"Next: prelabel run --project {project} --wait")


@app.command(short_help="Run the service for Label Studio.")
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", metavar="ADDRESS")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", metavar="PORT")] = None,
) -> None:
    """Run the service that Label Studio calls."""
    from backend.web.server import Server  # gunicorn exists on POSIX only

    settings = load_settings()
    configure_logging(settings.log_level, style=settings.log_format, content=settings.log_content)
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
    configure_logging(settings.log_level, style=settings.log_format, content=settings.log_content)
    Parts(settings).need_key()
    run_workers(settings, {"interactive": interactive, "bulk": bulk})
