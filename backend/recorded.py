"""Recorded replies: one JSON object a line, as `prelabel read` and `prelabel score` take them.

A line is `{"raw": str, "raws": [str], "options": [str], "multiple": bool, "gold": str | [str], "text": str,
"finish_reason": str, "logprobs": [...]}`, all optional here; what a command needs, it asks for. An entry of `logprobs`
is `{"token", "logprob", "top": [[token, logprob]]}` or OpenAI's own, `{"token", "logprob", "top_logprobs": [{"token",
"logprob"}]}`. Other keys are kept in `values`. An error names the file and the line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from backend.core.errors import InputError
from backend.core.values import JSON, TokenLogprob


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One line."""

    where: str  # file and line, for errors
    values: Mapping[str, JSON]  # the whole object
    raw: str | None = None  # one reply
    raws: tuple[str, ...] = ()  # several replies to the same question
    options: tuple[str, ...] = ()
    multiple: bool = False  # any number of the options may be right
    text: str | None = None
    finish_reason: str | None = None
    tokens: tuple[TokenLogprob, ...] | None = None  # of `raw`, or of the first of `raws`

    def names(self, key: str) -> tuple[str, ...] | None:
        """The label or labels at `key`, None where there are none given. Numbers are labels too, booleans are not."""
        value = self.values.get(key)
        if value is None:
            return None
        several = value if isinstance(value, list) else [value]
        if any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in several):
            self.fail(f'"{key}" must be a label or a list of labels')
        return tuple(one if isinstance(one, str) else json.dumps(one) for one in several)

    def fail(self, problem: str) -> NoReturn:
        """Raises `InputError`: where, and what must be otherwise."""
        raise InputError(f"{self.where}: {problem}.")


def read_recorded(path: Path) -> list[Recorded]:
    """All lines of a file. Raises `InputError`, one sentence, when it cannot be read or used."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            found = list(parse_lines(lines, str(path)))
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: give a file with one JSON object a line.") from None
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): give a file with one JSON object a line."
        ) from None
    if not found:
        raise InputError(f"{path} is empty: give a file with one JSON object a line.")
    return found


def parse_lines(lines: Iterable[str], name: str) -> Iterator[Recorded]:
    """Each line that is not blank; `name` is the file's, for errors."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _parse(line, f"{name}, line {number}")


def _parse(line: str, where: str) -> Recorded:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "not readable"
        raise InputError(f"{where}: this is not a JSON object ({reason}): mend or remove the line.") from None
    if not isinstance(values, dict):
        raise InputError(f"{where}: this is not a JSON object: write one object a line.")
    row = Recorded(where=where, values=values)
    return Recorded(
        where=where,
        values=values,
        raw=_text(row, "raw"),
        raws=_texts(row, "raws"),
        options=_options(row),
        multiple=_flag(row, "multiple"),
        text=_text(row, "text"),
        finish_reason=_text(row, "finish_reason"),
        tokens=_tokens(row),
    )


def _text(row: Recorded, key: str) -> str | None:
    value = row.values.get(key)
    if value is not None and not isinstance(value, str):
        row.fail(f'"{key}" must be a string')
    return value


def _texts(row: Recorded, key: str) -> tuple[str, ...]:
    value = row.values.get(key)
    if value is not None and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
        row.fail(f'"{key}" must be a list of strings')
    return tuple(value or ())


def _options(row: Recorded) -> tuple[str, ...]:
    options = row.names("options") or ()
    if any(not option.strip() for option in options):
        row.fail('"options" must name no empty label')
    return tuple(dict.fromkeys(options))


def _flag(row: Recorded, key: str) -> bool:
    value = row.values.get(key, False)
    if not isinstance(value, bool):
        row.fail(f'"{key}" must be true or false')
    return value


def _tokens(row: Recorded) -> tuple[TokenLogprob, ...] | None:
    entries = row.values.get("logprobs")
    if isinstance(entries, dict):  # OpenAI's choice.logprobs, as it stands in an answer
        entries = entries.get("content")
    if entries is None:
        return None
    if not isinstance(entries, list):
        row.fail('"logprobs" must be a list of tokens')
    return tuple(_token(row, entry) for entry in entries)


def _token(row: Recorded, entry: JSON) -> TokenLogprob:
    if not isinstance(entry, dict):
        row.fail('each entry of "logprobs" must be an object with "token" and "logprob"')
    token, logprob = _pair(row, (entry.get("token"), entry.get("logprob")))
    top = entry.get("top") or entry.get("top_logprobs") or []
    if not isinstance(top, list):
        row.fail('"top" must be a list of tokens with their logprobs')
    pairs = [(one.get("token"), one.get("logprob")) if isinstance(one, dict) else one for one in top]
    return TokenLogprob(token=token, logprob=logprob, top=tuple(_pair(row, pair) for pair in pairs))


def _pair(row: Recorded, pair: JSON) -> tuple[str, float]:
    if isinstance(pair, list | tuple) and len(pair) == 2:
        token, logprob = pair
        number = isinstance(logprob, int | float) and not isinstance(logprob, bool)
        if isinstance(token, str) and number and not math.isnan(logprob):
            return token, max(-1e6, min(0.0, logprob))  # as a float even where an endpoint writes a vast integer
    row.fail('each token of "logprobs" must have a "token" (a string) and a "logprob" (a number)')
