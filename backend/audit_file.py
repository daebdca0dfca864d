"""Predictions with the labels that people gave to some of them, from a CSV file, as `prelabel certify --file` takes it.

Columns are found by their names, in any order and case: `prediction`, `confidence` (0 to 1, or empty), `gold` (empty:
nobody has labelled it); `audit` (true or false) where not every row with gold was drawn at random, `fitted` (likewise)
where the confidences were fitted on some of the gold; others, such as `text`, are passed over. UTF-8, parted by commas,
semicolons or tabs. An error names the file and the line.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backend.confidence.certificate import Audited
from backend.core.errors import InputError

REQUIRED = ("prediction", "confidence", "gold")
_AUDIT, _FITTED = "audit", "fitted"
_PARTED_BY = ",;\t"
_YES, _NO = {"true", "yes", "1"}, {"false", "no", "0", ""}
_LONGEST_CELL = 10_000_000  # characters: a whole document fits, a quote that is never closed ends in an error


@dataclass(kw_only=True)
class AuditFile:
    """The rows of one file."""

    all_gold_is_audit: bool  # there is no column that tells which rows were drawn at random
    audit: list[Audited] = field(default_factory=list)
    unseen: list[float | None] = field(default_factory=list)  # confidences
    checked: list[float | None] = field(default_factory=list)  # with gold, and not drawn at random
    waiting: list[float | None] = field(default_factory=list)  # drawn at random, and without gold as yet

    @property
    def rows(self) -> int:
        return len(self.audit) + len(self.unseen) + len(self.checked) + len(self.waiting)


def read_audit_file(path: Path) -> AuditFile:
    """All rows. Raises `InputError`, one sentence, when the file cannot be read or used."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return parse_audit(lines, str(path))
    except UnicodeDecodeError:
        raise InputError(f'{path} is not UTF-8 text: save it as "CSV UTF-8".') from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give a CSV file.") from None


def parse_audit(lines: Iterable[str], name: str) -> AuditFile:
    """The rows of `lines`; `name` is the file's, for errors."""
    rows = _rows(iter(lines), name)
    _, header = next(rows, (name, []))
    columns = _columns(header, name)
    found = AuditFile(all_gold_is_audit=_AUDIT not in columns)
    for where, cells in rows:
        if len(cells) != len(header):
            raise InputError(f"{where}: it has {len(cells)} of {len(header)} columns: mend or remove the row.")
        _add(found, {column: cells[place].strip() for column, place in columns.items()}, where)
    if not found.rows:
        raise InputError(f"{name} has no rows: give a row a task under the names of the columns.")
    return found


def _rows(lines: Iterator[str], name: str) -> Iterator[tuple[str, list[str]]]:
    """Where each row ends, and its cells, the header first; blank rows are passed over."""
    first = next(lines, "")
    parted_by = max(_PARTED_BY, key=first.count)
    limit = csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(_checked(first, lines, name), delimiter=parted_by, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield f"{name}, line {reader.line_num}", cells
    except csv.Error as error:
        raise InputError(f"{name}, line {reader.line_num}: this is not CSV ({error}): mend the line.") from None
    finally:
        csv.field_size_limit(limit)


def _checked(first: str, lines: Iterator[str], name: str) -> Iterator[str]:
    """All lines. A NUL in one of them means another kind of file, or another encoding."""
    number, line = 1, first
    while line:
        if "\0" in line:
            raise InputError(f'{name}, line {number}: there is a NUL character in it: save the file as "CSV UTF-8".')
        yield line
        number, line = number + 1, next(lines, "")


def _columns(header: Sequence[str], name: str) -> dict[str, int]:
    """Where each column stands that is read."""
    names = [cell.strip().casefold() for cell in header]
    missing = [f'"{column}"' for column in REQUIRED if column not in names]
    if missing:
        raise InputError(f"{name} has no column {' and no column '.join(missing)}: name the columns in its first line.")
    columns = [column for column in (*REQUIRED, _AUDIT, _FITTED) if column in names]
    for column in columns:
        if names.count(column) > 1:
            raise InputError(f'{name} has several columns "{column}": leave one.')
    return {column: names.index(column) for column in columns}


def _add(found: AuditFile, cells: dict[str, str], where: str) -> None:
    """Sort one row in. A row without a prediction cannot be accepted, whatever its confidence."""
    prediction, gold = _label(cells["prediction"]), _label(cells["gold"])
    score = _confidence(cells["confidence"], where)
    drawn = _flag(cells[_AUDIT], _AUDIT, where) if _AUDIT in cells else bool(gold)
    fitted = _FITTED in cells and _flag(cells[_FITTED], _FITTED, where)
    score = score if prediction else None
    if drawn and gold:
        found.audit.append(Audited(score=score, right=prediction == gold, fitted=fitted))
    elif drawn:
        found.waiting.append(score)
    else:
        (found.checked if gold else found.unseen).append(score)


def _label(cell: str) -> str:
    return unicodedata.normalize("NFC", cell)


def _confidence(cell: str, where: str) -> float | None:
    """A decimal comma is read too: programs write one where cells are parted by semicolons."""
    if not cell:
        return None
    try:
        score = float(cell.replace(",", "."))
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:  # also refuses NaN
        raise InputError(f'{where}: "confidence" must be a number from 0 to 1, or empty.')
    return score


def _flag(cell: str, column: str, where: str) -> bool:
    folded = cell.casefold()
    if folded not in _YES | _NO:
        raise InputError(f'{where}: "{column}" must be true or false.')
    return folded in _YES
