"""What the commands print: text for a person, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from backend.core.text import percent
from backend.ports.store import JobRow
from backend.services.batch_numbers import batch_spent
from backend.services.progress import state_in_words
from backend.services.projects import what_is_answered

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
_MOST_LABELS, _MOST_REJECTED = 12, 5
_MOST_NOTES = 5
_REFUSED = "refused: "  # notes of what `show_refusals` tells for all tasks
_WRITTEN_EMPTY = ("skipped", "invalid", "failed")
_COLOURS = {"ok": "green", "wrong": "red", "note": "yellow"}


def print_json(value: Mapping[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


def line(text: str, *, console: Console = out) -> None:
    """One line, whatever is in it, broken by the terminal only."""
    console.print(text, markup=False, soft_wrap=True)


def with_interval(rate: Mapping[str, Any] | None) -> str:
    """A share with its interval and its number; empty where it is not known."""
    if rate is None:
        return ""
    return f"{percent(rate['share'])} ({percent(rate['low'])} to {percent(rate['high'])}, {rate['n']})"


def show_check(name: str, status: str, detail: str) -> None:
    out.print(f"[{_COLOURS[status]}]{status:<5}[/] {name}: ", end="")
    line(detail)


def show_refusals(label_config: str) -> None:
    if told := what_is_answered(label_config):
        line(f"Not pre-annotated: {told}")


def show_job(told: Mapping[str, Any]) -> None:
    took = f" in {told['seconds']:.1f} s" if told["seconds"] is not None else ""
    line(f"Job {told['job']} {told['state']}: {told['tasks']} tasks as {told['version']}{took}.")
    if told["reason"]:
        line(f"Fewer than it began with: {told['reason']}." if told["state"] == "done" else f"{told['reason']}.")
    show_counts(told)


def show_status(told: Mapping[str, Any], label_config: str) -> None:
    version = told["version"] or "none: nothing in the labeling config is supported"
    line(f"Project {told['project']}, version {version}, agent {told['agent']}")
    if told["agent_problem"]:
        line(told["agent_problem"])
    show_refusals(label_config)
    show_counts(told)
    for job in told["jobs"]:
        reason = f" ({job['reason']})" if job["reason"] else ""
        more = " so far" if job["reading"] and job["state"] != "stopped" else ""
        line(f"Job {job['id']}: {job['state']}, {job['tasks']} tasks{more}{reason}")
        if job["batch"]:
            line(f"  batch: {batch_spent(job['batch'])}")
            if job["batch"]["waiting"]:
                line(f"  {batch_waiting(job['batch'])}")
    for model, level in told["model_limits"].items():
        line(f"Model limit of {model}: {level['in_words']}")
    for name, queue in told["queues"].items():
        if queue["oldest_s"] is not None:
            line(f"Oldest message of the {name} queue: waits for {queue['oldest_s']:.0f} s, {queue['waiting']} in all")
    if told["problem"]:
        line(f"Queues and limits are not known: {told['problem']}")


def show_counts(told: Mapping[str, Any]) -> None:
    """Everything of one scope, a job or a version; what is counted over all versions says so."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("tasks", _numbers(dict(sorted(told["by_state"].items()))) or "none yet")
    table.add_row("written", _written(told))
    empty = {state: n for state in _WRITTEN_EMPTY if (n := told["by_state"].get(state))}
    if empty:
        table.add_row("", f"{_numbers(empty)}: written empty with score 0, so that they come first")
    for control, labels in told["labels"].items():
        shown = _numbers(dict(list(labels.items())[:_MOST_LABELS]))
        table.add_row(Text(control), Text(shown + (", ..." if len(labels) > _MOST_LABELS else "")))
    if told["rejected_answers"]:
        rejected = list(told["rejected_answers"].items())[:_MOST_REJECTED]
        table.add_row("rejected", Text(", ".join(f"{n} {answer!r}" for answer, n in rejected)))
    if told["scores_from"]:
        table.add_row("scores from", _numbers(told["scores_from"]))
    noted = [(note, n) for note, n in told["notes"].items() if not note.startswith(_REFUSED)]
    for row, (note, n) in enumerate(noted[:_MOST_NOTES]):
        table.add_row("" if row else "notes", Text(f"{note} ({n:,})"))
    if told["errors"]:
        table.add_row("reasons", _numbers(_in_words(told["errors"])))
    tokens = f"{told['prompt_tokens']:,} in, {told['completion_tokens']:,} out, {told['model_calls']:,} calls"
    if told["replies_from_cache"]:
        tokens += f", {told['replies_from_cache']:,} replies from the cache"
    over_all = told.get("model_calls_of_all_versions")
    table.add_row("tokens", tokens + (f" (all versions: {over_all:,} calls)" if over_all is not None else ""))
    if told.get("batch"):
        table.add_row("batch", batch_spent(told["batch"]))
    if "webhook_events" in told:
        table.add_row("webhook events", _numbers(told["webhook_events"]) or "none yet")
    out.print(table)


def _written(told: Mapping[str, Any]) -> str:
    """How many answers Label Studio has, is to get, and does not get any more."""
    words = f"{told['written']}" + (f", {told['undelivered']} to go" if told["undelivered"] else "")
    if told["withheld"]:
        words += f"; {told['withheld']:,} withheld for the blind audit until they are annotated"
    if told["outdated"]:
        why = "the labeling config, the instructions or the agent changed before they were written"
        words += f"; {told['outdated']:,} stay unwritten: {why}"
    return words


def show_details(told: Mapping[str, Any]) -> None:
    """What only the summary of a job has."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name in ("skipped", "failed"):
        if told[f"{name}_because"]:
            table.add_row(name, _numbers(_in_words(told[f"{name}_because"])))
    if told["reading_steps"]:
        table.add_row("read by", _numbers(told["reading_steps"]))
    if told["scores"]:
        bins = enumerate(told["scores"])
        table.add_row("scores", ", ".join(f"{n:,} in {i / 10:.1f}-{(i + 1) / 10:.1f}" for i, n in bins if n))
    if told["latency_s"]:
        table.add_row("a call took", ", ".join(f"{name} {s:g} s" for name, s in told["latency_s"].items()))
    table.add_row("cost", _cost(told))
    budgets = [f"{told['budget_tokens']:,} tokens"] if told["budget_tokens"] is not None else []
    budgets += [f"{told['budget_usd']:g} USD"] if told["budget_usd"] is not None else []
    if budgets:
        spent = f", {told['spent_tokens']:,} tokens spent" if told["budget_tokens"] is not None else ""
        spent += f", {told['spent_usd']:.4f} USD spent" if told["spent_usd"] is not None else ""
        table.add_row("budget", " and ".join(budgets) + spent)
    if told["max_per_minute"] is not None:
        table.add_row("pace", f"at most {told['max_per_minute']:,} calls a minute")
    out.print(table)


def _cost(told: Mapping[str, Any]) -> str:
    """What a job cost; of its batches only the most is known."""
    if told["cost_usd"] is None:
        return "not known"
    if told["batch"] is None or told["batch"]["usd_at_live_price"] is None:
        return f"{told['cost_usd']:.4f} USD"
    batches = told["batch"]["usd_at_live_price"]
    return (
        f"{told['cost_usd']:.4f} USD for live calls, and at most {batches:.4f} USD for the batches: that is the price "
        "of live calls, of which providers usually take half"
    )


def show_jobs(jobs: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    for name in ("job", "project", "state", "tasks", "version", "begun", "reason"):
        table.add_column(name)
    for job in jobs:
        begun = str(job["created_at"])[:16].replace("T", " ")
        cells = (job["id"], job["project"], job["state"], f"{job['tasks']:,}", job["version"], begun)
        table.add_row(*map(Text, map(str, cells)), Text(job["reason"] or ""))
    out.print(table)


def show_estimate(told: Mapping[str, Any]) -> None:
    """What a run would take; ranges as "from to"."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("tasks", f"{told['tasks']:,} selected, {told['to_ask']:,} to be asked")
    kinds = (("kept", "keep their answer"), ("skipped", "would be skipped"))
    others = [f"{told[name]:,} {text}" for name, text in kinds if told[name]]
    if told["skipped"]:
        others[-1] += f" ({_numbers(_in_words(told['skipped_because']))})"
    if others:
        table.add_row("", Text("; ".join(others)))
    if told["cached"]:
        table.add_row("cached", f"{told['cached']:,} first replies are in the cache and cost nothing")
    likely, most, cost = told["likely"], told["at_most"], told["cost_usd"]
    for name, key in (("calls", "calls"), ("tokens in", "prompt_tokens"), ("tokens out", "completion_tokens")):
        table.add_row(name, _likely(likely[key], told[key]))
    tokens = [sum(pair) for pair in zip(told["prompt_tokens"], told["completion_tokens"], strict=True)]
    table.add_row("tokens", f"{_likely(likely['tokens'], tokens)}; {told['tokens_are']}")
    if cost is None:
        table.add_row("cost", "not known")
    else:
        table.add_row("cost", f"likely {likely['cost_usd']:.4f} USD, {cost[0]:.4f} to {cost[1]:.4f}")
    dollars = "" if most["cost_usd"] is None else f", {most['cost_usd']:.4f} USD"
    longest = "if every reply were asked again and as long as it may be"
    table.add_row("at most", Text(f"{most['tokens']:,} tokens in {most['calls']:,} calls{dollars}: {longest}"))
    seconds = told["seconds"]
    table.add_row("time", "not known yet" if seconds is None else f"{_range(seconds)} s ({told['bound_by']})")
    for note in told["notes"]:
        table.add_row("", Text(note))
    out.print(table)


def _likely(number: float, two: Sequence[float]) -> str:
    shown = _range(two)
    return shown if round(two[0]) == round(two[1]) else f"likely {number:,.0f}, {shown}"


def _range(two: Sequence[float]) -> str:
    low, high = (f"{number:,.0f}" for number in two)
    return low if low == high else f"{low} to {high}"


def batch_waiting(batch: Mapping[str, Any]) -> str:
    """What a job whose `waiting` is given waits for, in this machine's time."""
    waiting = batch["waiting"]
    since = datetime.fromisoformat(waiting["submitted_at"]).astimezone()
    told = f"submitted {since:%H:%M}, {waiting['done']:,} of {waiting['of']:,} done"
    return f"waiting for the endpoint's batch ({told})"


def job_as_json(job: JobRow) -> dict[str, Any]:
    return {
        "id": job.id,
        "project": job.project_id,
        "kind": job.kind,
        "state": state_in_words(job),
        "tasks": job.total,
        "reading": job.reading,
        "version": job.version,
        "created_at": job.created_at.isoformat(),
        "reason": job.reason,
    }


def _numbers(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in counted.items())


def _in_words(errors: Mapping[str, int]) -> dict[str, int]:
    return {kind.replace("_", " "): n for kind, n in errors.items()}
