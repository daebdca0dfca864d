"""What the commands print: text for a person, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from backend.ports.store import JobRow
from backend.services.batch_numbers import batch_spent
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
        line(f"Fewer than it began with: {told['reason']}.")
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
    table.add_row("written", f"{told['written']}" + (f", {told['undelivered']} to go" if told["undelivered"] else ""))
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


def batch_waiting(batch: Mapping[str, Any]) -> str:
    """What a job whose `waiting` is given waits for, in this machine's time."""
    waiting = batch["waiting"]
    since = datetime.fromisoformat(waiting["submitted_at"]).astimezone()
    told = f"submitted {since:%H:%M}, {waiting['done']:,} of {waiting['of']:,} done"
    return f"waiting for the endpoint's batch ({told})"


def job_as_json(job: JobRow) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
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
