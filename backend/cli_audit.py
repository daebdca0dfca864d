"""`prelabel audit`: the random slice of a project that people annotate without seeing a prediction."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from backend.cli_common import JsonOption, ProjectOption, open_parts
from backend.cli_show import line, print_json
from backend.core.audit import AuditPlan
from backend.wiring import Parts

audit_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@audit_app.command("show", short_help="How large the audit is, and how far.")
def show_command(project: ProjectOption, as_json: JsonOption = False) -> None:
    """Tell how large the audit is and how many of its predictions are withheld."""
    parts = open_parts()
    _tell(parts, project, parts.store.audit_plan(project), as_json=as_json)


@audit_app.command("begin", short_help="Draw an audit, also in a small project.")
def begin_command(
    project: ProjectOption,
    about: Annotated[
        int | None,
        typer.Option("-n", min=1, max=1_000_000, help="About so many tasks; without it, as the settings say."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw a random slice of the tasks that have neither an annotation nor a prediction.

    Larger projects get theirs by themselves, with `connect` or the first run.
    """
    parts = open_parts()
    plan = parts.auditing.begin(project) if about is None else parts.auditing.draw(project, about)
    _tell(parts, project, plan, as_json=as_json)


@audit_app.command("end", short_help="Show everything.")
def end_command(project: ProjectOption) -> None:
    """End the audit: predictions that are withheld are written. What has been annotated blind still counts."""
    open_parts().auditing.end(project)
    line(f"Project {project} has no blind audit any more: its predictions are written.")


def _tell(parts: Parts, project: int, plan: AuditPlan | None, *, as_json: bool) -> None:
    row = parts.store.project(project)
    version = row.version if row is not None else None
    withheld = parts.store.withheld(project, version) if version is not None else 0
    told: dict[str, Any] = {"project": project, "on": plan is not None, "withheld": withheld}
    if plan is not None:
        told |= {
            "begun_at": plan.begun_at.isoformat(),
            "first_share": plan.first_share,
            "first_up_to_task": plan.up_to,
            "later_share": plan.later_share,
        }
    if as_json:
        print_json(told)
    elif plan is None:
        line(
            f"Project {project} has no blind audit, so that nobody can tell what its labels are worth: begin one with "
            f"`prelabel audit begin --project {project} -n COUNT`."
        )
    else:
        line(
            f"Blind audit: {plan.first_share:.1%} of the tasks up to {plan.up_to}, {plan.later_share:.1%} of later "
            f"ones; {withheld} predictions are withheld until their tasks are annotated."
        )
