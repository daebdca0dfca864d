"""`prelabel config`: what of a labeling config would be answered, and what is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from backend.cli_show import out, print_json
from backend.core.errors import InputError
from backend.services.configs import ConfigFate, fate_of


def config_command(
    files: Annotated[list[Path], typer.Argument(help="Labeling configs: files of XML.", metavar="FILE...")],
    as_json_object: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Say of each control of a labeling config what is asked of the model, or why it is not. Calls nothing.

    Exit code 1: nothing can be answered in one of the files.
    """
    fates = {file: fate_of(_text(file)) for file in files}
    if as_json_object:
        print_json({str(file): fate.as_json() for file, fate in fates.items()})
    else:
        for file, fate in fates.items():
            _show(file, fate)
    if not all(fate.answered for fate in fates.values()):
        raise typer.Exit(1)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text: save it as such.") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): check the path.") from None


def _show(file: Path, fate: ConfigFate) -> None:
    out.print(Text(f"{file}: {fate.answered} of {len(fate.controls)} answered"), soft_wrap=True)
    if fate.error:
        out.print(Text(f"  {fate.error}"), soft_wrap=True)
        return
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="bold")
    for heading in ("control", "about", "what becomes of it"):
        table.add_column(heading, overflow="fold")
    for control in fate.controls:
        what = f"answered: {control.answered_as}" if control.refused is None else f"not answered: {control.refused}"
        table.add_row(Text(f"{control.tag} {control.name}"), Text(control.about or ""), Text(what))
    out.print(table)
