"""Following a job until nothing more will happen by itself: a bar on the terminal, or JSON lines."""

from __future__ import annotations

import json
import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from backend.cli_show import batch_waiting, err, line
from backend.core.errors import QueueError
from backend.services import progress
from backend.services.batch_numbers import batch_numbers
from backend.wiring import Parts

_POLL_S = 0.5
_NO_WORKER_S = 10.0
_JSON_S = 1.0  # between two JSON lines


def follow(parts: Parts, job_id: int, *, quiet: bool, json_lines: bool = False) -> None:
    """Until the job has ended and everything is written, or it is paused and nothing is in flight. With `json_lines`
    one JSON object a line goes to the error channel, so that the summary is alone on the other one."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[eta]}"))
    hidden = quiet or json_lines or not err.is_terminal  # where it is not a terminal, it would print an empty line
    watch, told_at = progress.Watch(), float("-inf")
    with Progress(*columns, console=err, disable=hidden, transient=True) as bars:
        bar = bars.add_task("pre-annotating", total=None, eta="")
        looked, hint = time.monotonic(), ""
        while True:
            began = time.monotonic()
            job = parts.store.job(job_id)
            assert job is not None  # it exists: jobs are never deleted
            seen = watch.look(job, parts.store.progress(job_id), now=time.monotonic())
            bars.update(
                bar,
                total=None if job.reading else seen.total,
                completed=seen.finished,
                eta=_eta(seen),
                description=_doing(parts, seen),
            )
            if json_lines and (seen.is_over or time.monotonic() - told_at >= _JSON_S):
                told_at = time.monotonic()
                line(json.dumps(seen.as_json(), ensure_ascii=False), console=err)
            if seen.is_over:
                return
            if time.monotonic() - looked > _NO_WORKER_S:
                looked, before, hint = time.monotonic(), hint, why_nothing_goes_on(parts)
                if hint and hint != before:
                    line(hint, console=err)
            time.sleep(max(_POLL_S, 10 * (time.monotonic() - began)))  # counting a million tasks takes its time


def _doing(parts: Parts, seen: progress.Progress) -> str:
    """What a job is at, in words."""
    if seen.job.state == "paused":
        return "paused"
    if seen.job.reading:
        return f"pre-annotating, {seen.total:,} tasks read so far" if seen.total else "reading tasks"
    if seen.counts.undelivered and not seen.counts.unfinished:
        return "writing back"
    batch = batch_numbers(parts.store, seen.job)
    return batch_waiting(batch) if batch and batch["waiting"] else "pre-annotating"


def _eta(seen: progress.Progress) -> str:
    if seen.eta_s is None or seen.per_minute is None:
        return ""
    minutes, seconds = divmod(round(seen.eta_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{seen.per_minute:,.0f} a minute, {hours}:{minutes:02}:{seconds:02} to go"


def why_nothing_goes_on(parts: Parts) -> str:
    """A sentence while there is nobody to work; else nothing. A Redis that is away is waited for: the job is safe."""
    try:
        return "" if parts.queue.workers() else "No worker is running: start `prelabel worker` in another terminal."
    except QueueError as error:
        return str(error)
