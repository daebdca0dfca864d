"""`prelabel verifications`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from backend.cli_common import JsonOption, ProjectOption, open_parts
from backend.cli_show import line, out, print_json
from backend.services.verifying import in_numbers


def verifications_command(
    project: ProjectOption,
    everything: Annotated[
        bool, typer.Option("--all", help="Read all annotations again, not only those that changed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read the annotations that changed since the last reading, compare them, and count what people did.

    Workers do the same as annotations are submitted, and every few minutes.
    """
    parts = open_parts()
    parts.need_key()
    read = parts.verifier.catch_up(project, everything=everything)
    told = in_numbers(parts.store, project)
    if as_json:
        looked = {"tasks": read.tasks, "changed": read.changed, "deleted": read.deleted}
        print_json({"project": project, "read": looked, **told})
        return
    line(f"Project {project}: {read.tasks:,} tasks read, {read.changed:,} changed, {read.deleted:,} deleted.")
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("verified tasks", f"{told['verified_tasks']:,}")
    table.add_row("annotations", ", ".join(f"{n:,} {name}" for name, n in told["outcomes"].items()) or "none yet")
    for name, words in _NOT_USED.items():
        if told[name]:
            table.add_row("", f"{told[name]:,} {words}")
    out.print(table)


_NOT_USED = {
    "stale": "of them stale: the task's data has changed since, so that they are used for nothing",
    "unfit": "of them do not fit the labeling config as it is now",
    "deleted": "deleted since",
    "taken_back": "accepted unseen and taken back since",
    "golden": "answers to golden questions beside them",
    "left_out": "by annotators who are left out, beside them",
}
