"""`prelabel agents improve`: a better instruction, written by a model and registered where it wins."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any

import typer

from backend.cli_agents_compare import measured_as_json, show_measured, show_takes, takes_as_json
from backend.cli_agents_show import dollars, plain
from backend.cli_common import DryRunOption, JsonOption, ProjectOption, YesOption, need_consent, open_parts
from backend.cli_show import line, print_json
from backend.core.agents import AGENT_NAME
from backend.services.comparing import FEWEST
from backend.services.improving import Improved, Plan


def _name(text: str) -> str:
    if not re.fullmatch(AGENT_NAME, text):
        raise typer.BadParameter("a name has up to 40 letters, digits, '_', '.' and '-', and begins with one of them")
    return text


def improve_command(
    agent: Annotated[str, typer.Argument(help="NAME or NAME@HASH.", metavar="AGENT")],
    project: ProjectOption,
    writer: Annotated[
        str | None,
        typer.Option("--with", help="The agent whose model writes; without: AGENT's own.", metavar="AGENT"),
    ] = None,
    count: Annotated[
        int, typer.Option("-n", "--count", help="Held-out tasks to measure on, at most.", min=FEWEST, max=10_000)
    ] = 100,
    name: Annotated[
        str | None,
        typer.Option(
            help="Of the new version; without: AGENT's own, or NAME-improved for the agent of the settings.",
            metavar="NAME",
            parser=_name,
        ),
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let a model write better guidance from what people corrected, measure it on held-out verified tasks, and register
    it as a new version where it wins. The proposal and both figures are shown either way."""
    improving = open_parts().improving
    plan = improving.plan(project, agent, writer=writer, name=name, count=count)
    if dry_run:
        if as_json:
            print_json(_plan(plan))
        else:
            _show_plan(plan)
        return
    if not as_json:
        _show_plan(plan)
    if not yes:
        need_consent(as_json=as_json)
    found = improving.improve(plan)
    if as_json:
        print_json({**_plan(plan), **_improved(found)})
    else:
        _show_improved(found)


def _show_plan(plan: Plan) -> None:
    line(
        f"{plan.writer.model} at {plan.writer.base_url or 'the endpoint of the installation'} would be shown what "
        f"{plan.old.reference} is wrong about now, of {len(plan.corrected)} corrected tasks."
    )
    line(f"Old and new would answer {len(plan.held_out)} verified tasks that it is not shown.")
    show_takes(plan.takes, plan.look)


def _show_improved(found: Improved) -> None:
    usage = found.writing
    line(f"Written from {len(found.shown)} tasks; cost of writing {dollars(found.writing_cost_usd)}.")
    line(f"The proposal ({usage.prompt_tokens:,} tokens in, {usage.completion_tokens:,} out):")
    for text in _diff(found):
        line(plain(text))
    old, new = found.plan.old.reference, found.new.reference
    if found.compared is None:
        line(f"The guidance is what it was: {old} is kept.")
        return
    show_measured(found.compared)
    if found.registered:
        line(f"{new} is better, and registered.")
        line(f"Next: prelabel agents use {new} --project {found.plan.project_id}")
    else:
        line(f"Not better beyond chance: {old} is kept, and nothing is registered.")


def _diff(found: Improved) -> list[str]:
    old, new = (version.agent.guidance or "" for version in (found.plan.old, found.new))
    names = found.plan.old.reference, found.new.reference
    return [*difflib.unified_diff(old.splitlines(), new.splitlines(), *names, n=1_000, lineterm="")]


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "project": plan.project_id,
        "agent": plan.old.reference,
        "writer": {"agent": plan.writer.name, "model": plan.writer.model, "base_url": plan.writer.base_url},
        "corrected_tasks": [one.task.id for one in plan.corrected],
        "held_out_tasks": [one.task.id for one in plan.held_out],
        **takes_as_json(plan.takes, plan.look),
    }


def _improved(found: Improved) -> dict[str, Any]:
    compared = found.compared
    return {
        "shown_tasks": list(found.shown),
        "old_guidance": found.plan.old.agent.guidance,
        "guidance": found.new.agent.guidance,
        "diff": _diff(found),
        "writing": {
            "prompt_tokens": found.writing.prompt_tokens,
            "completion_tokens": found.writing.completion_tokens,
            "model_calls": found.writing.calls,
            "replies_from_cache": found.writing.from_cache,
            "cost_usd": found.writing_cost_usd,
        },
        "measured": None if compared is None else measured_as_json(compared),
        "outcome": "registered" if found.registered else "kept",
        "registered": found.new.reference if found.registered else None,
    }
