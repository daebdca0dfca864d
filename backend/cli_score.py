"""`prelabel score`: how good each confidence method is, on recorded replies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from backend.cli_show import out as _out
from backend.cli_show import print_json
from backend.confidence.metrics import Quality
from backend.core.errors import InputError
from backend.recorded import read_recorded
from backend.services.recorded_answers import Keys
from backend.services.score import METHODS, GroupScores, as_json, score


def score_command(
    replies: Annotated[Path, typer.Option(help="A file of recorded replies, one JSON object a line.", metavar="FILE")],
    label_key: Annotated[
        str | None, typer.Option(help="Where a reply, or a row without one, has its label.", metavar="KEY")
    ] = None,
    confidence_key: Annotated[
        str, typer.Option(help="Where a row without reply has its confidence.", metavar="KEY")
    ] = "confidence",
    gold_key: Annotated[str, typer.Option(help="Where a row has its right label or labels.", metavar="KEY")] = "gold",
    correct_key: Annotated[
        str, typer.Option(help="Where a row without gold says whether it is right.", metavar="KEY")
    ] = "correct",
    item_key: Annotated[
        str | None, typer.Option(help="Rows with the same value here are samples of one task.", metavar="KEY")
    ] = None,
    group_key: Annotated[
        list[str] | None, typer.Option(help="Figures for each value; may be repeated.", metavar="KEY")
    ] = None,
    invalid_is_wrong: Annotated[
        bool, typer.Option("--invalid-is-wrong", help="Count invalid replies as wrong, with the number they carry.")
    ] = False,
    as_json_object: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Tell how well each confidence method tells right from wrong, on recorded replies with gold labels."""
    rows = read_recorded(replies)
    keys = Keys(
        label=label_key,
        confidence=confidence_key,
        gold=gold_key,
        correct=correct_key,
        item=item_key,
        group=tuple(group_key or ()),
    )
    report = score(rows, keys, invalid_is_wrong=invalid_is_wrong)
    if not report.groups:
        raise InputError(f'{replies} says of no row what is right: give "{gold_key}" or "{correct_key}" in its rows.')
    if as_json_object:
        print_json({"file": str(replies), **as_json(report)})
        return
    _out.print(_score_table(report.groups))
    if report.options_from_gold is not None:
        _out.print(f"Rows without options: taken from gold, {report.options_from_gold} labels.", soft_wrap=True)
    if report.without_gold:
        _out.print(
            f"Left out, nothing says what is right: {report.without_gold} of {report.rows} rows.", soft_wrap=True
        )


def _score_table(groups: tuple[GroupScores, ...]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("method", overflow="fold", vertical="bottom")  # the only one that gives way in a narrow terminal
    for heading in ("n", "coverage", "accuracy", "mean\nconf.", "ECE", "Brier", "AUROC", "errors in\nlowest 20%"):
        table.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    for group in groups:
        if group.name:
            table.add_row(Text(group.name, style="bold"))
        for method, found in group.methods.items():
            table.add_row(*_figures(METHODS[method], found))
        table.add_row(*_figures("random order", group.random))
        if group.invalid:
            table.add_row("invalid replies", f"{group.invalid}")
        table.add_section()
    return table


def _figures(name: str, found: Quality) -> tuple[str, ...]:
    figures = (found.accuracy, found.mean_confidence, found.ece, found.brier, found.auroc, found.errors_caught)
    return (name, f"{found.n}", _three(found.coverage), *(_three(figure) for figure in figures))


def _three(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.3f}"
