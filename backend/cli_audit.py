"""`prelabel audit`: the random slice of a project that people annotate without seeing a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from backend.cli_common import JsonOption, ProjectOption, open_parts
from backend.cli_show import line, out, print_json
from backend.core.audit import AuditPlan
from backend.core.errors import InputError, ProjectUnknown, not_connected
from backend.wiring import Parts

audit_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@audit_app.command("show", short_help="How large the audit is, and how far.")
def show_command(project: ProjectOption, as_json: JsonOption = False) -> None:
    """Tell how many tasks the audit drew, how many of them are annotated, and how many predictions are withheld."""
    parts = open_parts()
    if parts.store.project(project) is None:
        raise ProjectUnknown(not_connected(project))
    plan = parts.store.audit_plan(project)
    if plan is not None:
        parts.need_key()
        parts.verifier.catch_up(project)
    _tell(parts, project, plan, as_json=as_json)


@audit_app.command("begin", short_help="Draw an audit, also in a small project.")
def begin_command(
    project: ProjectOption,
    about: Annotated[
        int | None,
        typer.Option(
            "-n",
            min=1,
            max=1_000_000,
            help="About so many tasks (an audit that is there: so many more); without it, as the settings say.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw a random slice of the tasks that have neither an annotation nor a prediction.

    Larger projects get theirs by themselves, with `connect` or the first run. Where there is an audit, -n draws exactly
    so many more tasks of those that nobody has annotated; their predictions are taken back until they are annotated.
    """
    parts = open_parts()
    parts.need_key()
    known = parts.store.audit_plan(project)
    plan = parts.auditing.begin(project) if about is None else parts.auditing.draw(project, about)
    if plan is None:
        raise InputError(parts.auditing.none_because(project))
    if known is not None and about is None and not as_json:
        what = "has an audit already" if known.ended_at is None else "had an audit, which is ended"
        on = "" if known.ended_at is None else ", and goes on with what of it nobody has annotated"
        line(f"Project {project} {what}; `-n COUNT` draws so many tasks more{on}.")
    _tell(parts, project, plan, as_json=as_json)


@audit_app.command("end", short_help="Show everything.")
def end_command(project: ProjectOption) -> None:
    """End the audit: predictions that are withheld are written. What has been annotated blind still counts."""
    parts = open_parts()
    plan = parts.store.audit_plan(project)
    if plan is None or plan.ended_at is not None:
        line(f"Project {project} has no blind audit that goes on: nothing to end.")
        return
    parts.auditing.end(project)
    line(
        f"The blind audit of project {project} is ended: what was withheld is written by the workers. What was "
        "annotated blind still counts."
    )


def _tell(parts: Parts, project: int, plan: AuditPlan | None, *, as_json: bool) -> None:
    told: dict[str, Any] = {"project": project, "on": plan is not None and plan.ended_at is None, "withheld": 0}
    if plan is not None:
        progress = parts.auditing.progress(project, plan)
        told |= asdict(progress) | {
            "to_annotate": progress.to_annotate,
            "released": progress.released,
            "begun_at": plan.begun_at.isoformat(),
            "first_share": plan.first_share,
            "first_up_to_task": plan.up_to,
            "later_share": plan.later_share,
            "extended": plan.begun_share is not None,
            "ended_at": plan.ended_at.isoformat() if plan.ended_at is not None else None,
        }
    if as_json:
        print_json(told)
    elif plan is None:
        line(
            f"Project {project} has no blind audit, so that nobody can tell what its labels are worth: begin one with "
            f"`prelabel audit begin --project {project} -n COUNT`."
        )
    else:
        _show(told)


def _show(told: Mapping[str, Any]) -> None:
    line(
        f"Blind audit of project {told['project']}: {told['drawn']:,} tasks ({told['first_share']:.1%} of those "
        f"with a number up to {told['first_up_to_task']}, {told['later_share']:.1%} of later ones, by chance"
        f"{', with those that extended it' if told['extended'] else ''})"
        f"{'; it is ended' if told['ended_at'] else ''}."
    )
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("annotated unseen", f"{told['annotated_blind']:,}", "what the labels are worth is told from these")
    if told["annotated_shown"]:
        table.add_row("annotated otherwise", f"{told['annotated_shown']:,}", "saw a prediction: they tell nothing")
    skipped = f"{told['skipped']:,} of them skipped" if told["skipped"] else ""
    table.add_row("not annotated" if told["ended_at"] else "to annotate", f"{told['to_annotate']:,}", skipped)
    shown = f"{told['withheld']:,} withheld until annotated, {told['released']:,} released"
    table.add_row("answered", f"{told['answered']:,}", shown)
    out.print(table)
