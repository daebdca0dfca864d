"""What several commands share: their options, and how they begin."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from backend.cli_show import err, line
from backend.core.errors import InputError
from backend.settings import load_settings
from backend.wiring import Parts


def number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise typer.BadParameter(f"{text!r} is not a project's number, which stands in its address: .../projects/12/.")
    return int(text)


PROJECT_HELP = "The project's number, as in its address: .../projects/12/."
ProjectOption = Annotated[int, typer.Option("--project", "-p", help=PROJECT_HELP, metavar="N", parser=number)]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Tell what it would take; ask no model.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to go on.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def open_parts() -> Parts:
    parts = Parts(load_settings())
    parts.store.migrate()
    return parts


def warn(warning: str | None) -> None:
    if warning is not None:
        line(f"Warning: {warning}", console=err)


def need_consent(*, as_json: bool) -> None:
    """Ask whether to go on. Raises `InputError` where nobody can be asked."""
    if as_json or not sys.stdin.isatty():
        raise InputError("This costs money or certainty, and nobody can be asked here: say --yes, or --dry-run first.")
    typer.confirm("Go on?", abort=True)
