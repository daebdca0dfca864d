"""What `prelabel agents compare` prints."""

from __future__ import annotations

from typing import Any

from backend.cli_agents_show import dollars
from backend.cli_show import line, print_json
from backend.confidence.intervals import Interval
from backend.services.comparing import FEWEST, Compared, Measured


def show_compared(project_id: int, found: Compared, *, as_json: bool) -> None:
    if as_json:
        print_json({"project": project_id, **measured_as_json(found)})
        return
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
            f"{one.version}: {one.right} of {one.n} right, {one.right / one.n:.1%} "
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
