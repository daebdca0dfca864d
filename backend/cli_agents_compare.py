"""`prelabel agents compare`: two agents measured on verified tasks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from backend.cli_agents_show import dollars
from backend.cli_common import DryRunOption, JsonOption, ProjectOption, YesOption, need_consent, open_parts
from backend.cli_show import line, print_json
from backend.confidence.intervals import Interval
from backend.services.comparing import FEWEST, Compared, ComparePlan, Look, Measured
from backend.services.estimate import Spent
from backend.services.trial_usage import Takes


def compare_command(
    old: Annotated[str, typer.Argument(help="NAME or NAME@HASH.", metavar="OLD")],
    new: Annotated[str, typer.Argument(help="NAME or NAME@HASH.", metavar="NEW")],
    project: ProjectOption,
    count: Annotated[int, typer.Option("-n", help="So many verified tasks, by lot.", min=1, max=10_000)] = 100,
    seed: Annotated[int, typer.Option(help="Of the lot: another one draws other tasks.", min=0)] = 0,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let two agents answer the same verified tasks, and tell which is right more often: both accuracies and the gain,
    with 95 % intervals, and what each cost. Nothing is written to Label Studio or to the records of tasks; stored
    replies are used, and new ones stored."""
    comparing = open_parts().comparing
    plan = comparing.plan(project, old, new, count=count, seed=seed)
    if not as_json:
        _show_plan(plan)
    elif dry_run:
        print_json(_plan(plan))
    if dry_run:
        return
    if not yes and (plan.takes.at_most.calls or plan.look is not None):
        need_consent(as_json=as_json)
    found = comparing.compare(plan)
    if as_json:
        print_json({**_plan(plan), **measured_as_json(found)})
    else:
        _show_compared(project, found)


def _show_plan(plan: ComparePlan) -> None:
    old, new = (version.reference for version in plan.versions)
    line(f"{old} and {new} would answer {len(plan.drawn)} verified tasks.")
    show_takes(plan.takes, plan.look)


def show_takes(takes: Takes, look: Look | None) -> None:
    """Print which look at the audit it takes, and what calls and tokens, before consent is asked for."""
    if look is not None:
        line(
            f"{look.tasks:,} of these are the blind audit's, so that this is look {look.number} at it, unless it finds "
            f"what an earlier one found. A certificate of 5 % takes {look.labels_after} audit labels or more without "
            f"an error then, instead of {look.labels_before} or more."
        )
    if takes.documents:
        line(f"What the documents of {takes.documents:,} tasks hold is not counted in the following.")
    for note in takes.notes:
        line(note)
    line(
        f"By estimates likely {_spent(takes.likely)}, and at most {_spent(takes.at_most)}. Stored replies cost nothing."
    )


def _spent(one: Spent) -> str:
    tokens = f"{one.calls:,} calls, {one.prompt_tokens:,} tokens in, {one.completion_tokens:,} out"
    return f"{tokens}, cost {'not known' if one.cost_usd is None else dollars(one.cost_usd)}"


def _plan(plan: ComparePlan) -> dict[str, Any]:
    old, new = (version.reference for version in plan.versions)
    return {
        "project": plan.project_id,
        "agents": [old, new],
        "tasks": [one.task.id for one in plan.drawn],
        **takes_as_json(plan.takes, plan.look),
    }


def takes_as_json(takes: Takes, look: Look | None) -> dict[str, Any]:
    """The same in numbers, as `run --dry-run` has them."""
    return {
        "likely": takes.likely.as_json(),
        "at_most": takes.at_most.as_json(),
        "tasks_with_documents_not_counted": takes.documents,
        "notes": list(takes.notes),
        "audit_look": None if look is None else asdict(look),
    }


def _show_compared(project_id: int, found: Compared) -> None:
    show_measured(found)
    comparison = found.comparison
    if found.winner:
        line(f"{found.winner} is better. Next: prelabel agents use {found.winner} --project {project_id}")
    elif comparison.n < FEWEST:
        line(f"{comparison.n} tasks are too few to tell which is better: {FEWEST} at least.")
    else:
        line("The difference may be chance: more verified tasks would tell (-n).")


def show_measured(found: Compared) -> None:
    """Both figures, and the gain."""
    comparison = found.comparison
    for one in (found.old, found.new):
        unusable = f", {one.unusable} without a usable answer" if one.unusable else ""
        line(
            f"{one.agent}: {one.right} of {one.n} right, {one.right / one.n:.1%} "
            f"({one.interval.low:.1%} to {one.interval.high:.1%}){unusable}; cost {dollars(one.cost_usd)}"
        )
    interval = comparison.interval
    line(f"Gain of {found.new.agent}: {100 * comparison.gain:+.1f} points ({_points(interval)}).")
    if not found.blind:
        line("Some of these tasks were labelled with a prediction in sight, which favours the agent that made it.")


def measured_as_json(found: Compared) -> dict[str, Any]:
    comparison = found.comparison
    return {
        "tasks": list(found.tasks),
        "blind": found.blind,
        "old": _measured(found.old),
        "new": _measured(found.new),
        "gain": comparison.gain,
        "gain_low": comparison.interval.low,
        "gain_high": comparison.interval.high,
        "winner": found.winner,
    }


def _points(interval: Interval) -> str:
    return f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f}"


def _measured(one: Measured) -> dict[str, Any]:
    return {
        "agent": one.agent,
        "version": one.version,
        "tasks": one.n,
        "right": one.right,
        "accuracy": one.right / one.n,
        "low": one.interval.low,
        "high": one.interval.high,
        "unusable": one.unusable,
        "prompt_tokens": one.usage.prompt_tokens,
        "completion_tokens": one.usage.completion_tokens,
        "model_calls": one.usage.calls,
        "replies_from_cache": one.usage.from_cache,
        "cost_usd": one.cost_usd,
    }
