"""`prelabel read`: recorded replies, read offline as the service reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from backend.cli_show import out as _out
from backend.cli_show import print_json
from backend.core.errors import InputError
from backend.recorded import read_recorded
from backend.services.read import Reading, Tally, read_rows

_MOST_SHOWN = 10


def read_command(
    replies: Annotated[Path, typer.Option(help="A file of recorded replies, one JSON object a line.", metavar="FILE")],
    key: Annotated[
        str | None,
        typer.Option("--key", "--label-key", help="Where a reply has its label (else: found by rule).", metavar="KEY"),
    ] = None,
    gold_key: Annotated[str, typer.Option(help="Where a row has its right label or labels.", metavar="KEY")] = "gold",
    group_key: Annotated[
        list[str] | None, typer.Option(help="Figures for each value; may be repeated.", metavar="KEY")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write a line a reply: label, step, reason.", metavar="FILE")] = None,
    as_json_object: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Read recorded replies into labels: by which step, what was invalid, and how many are right."""
    if out is not None and out.resolve() == replies.resolve():
        raise InputError(f"{out} is the file that is read: give another --out.")
    reading = read_rows(read_recorded(replies), key=key, gold_key=gold_key, group_keys=tuple(group_key or ()))
    if out is not None:
        _write(reading, out)
    if as_json_object:
        print_json(_as_json(reading, replies))
        return
    _out.print(_figures(reading))
    if reading.total.invalid:
        _out.print(_counts("invalid because", reading.total.reasons.most_common()))
        _out.print(_counts("invalid answer", reading.total.answers.most_common(_MOST_SHOWN)))
    if reading.options_from_gold is not None:
        _out.print(f"Rows without options: taken from gold, {reading.options_from_gold} labels.", soft_wrap=True)


def _as_json(reading: Reading, file: Path) -> dict[str, Any]:
    return {
        "file": str(file),
        **reading.total.as_json(),
        "groups": {name: tally.as_json() for name, tally in reading.groups.items()},
        "options_from_gold": reading.options_from_gold,
    }


def _write(reading: Reading, path: Path) -> None:
    try:
        with path.open("w", encoding="utf-8") as lines:
            for reply in reading.replies:
                lines.write(json.dumps(reply.as_json(), ensure_ascii=False) + "\n")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): give another --out.") from None


def _figures(reading: Reading) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("", overflow="fold")
    for heading in ("replies", "invalid", "with gold", "right", "accuracy"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, tally in reading.groups.items():
        table.add_row(Text(name), *_row(tally))
    table.add_row("all", *_row(reading.total))
    table.add_section()
    for step, count in reading.total.steps.most_common():
        table.add_row(Text(step), str(count))
    return table


def _row(tally: Tally) -> tuple[str, ...]:
    accuracy = "-" if tally.accuracy is None else f"{tally.accuracy:.3f}"
    return (str(tally.replies), str(tally.invalid), str(tally.with_gold), str(tally.right), accuracy)


def _counts(heading: str, counts: list[tuple[str, int]]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column(heading, overflow="fold")
    for name, count in counts:
        table.add_row(str(count), Text(name or "(nothing)"))
    return table
