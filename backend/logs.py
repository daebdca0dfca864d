"""Logs: one line an event, as JSON or for a terminal, with the ids of the work at hand.

No task text, reply or key is in them, and none may come in by the back door. So a line is cut at its first end, of an
exception only the class and the places are told, and of what foreign libraries fill into their messages nothing is:
only those of TRUSTED do not quote requests. `PRELABEL_LOG_CONTENT=true` lifts all of this.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType

from backend.core.log_fields import log_fields

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CHATTY = ("alembic", "asyncio", "httpcore", "httpcore2", "httpx", "httpx2", "openai", "rq", "urllib3")
TRUSTED = ("backend", "alembic", "gunicorn", "rq")
_LONGEST = 2_000  # characters of one field
_SHOWN_BEFORE = ("time", "level", "logger", "event")


class JsonFormatter(logging.Formatter):
    """One object a line."""

    def __init__(self, *, tracebacks: bool, content: bool = False) -> None:
        super().__init__()
        self._tracebacks = tracebacks
        self._content = content

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": self._event(record),
        }
        line |= {k: v for k, v in log_fields().items() if k not in line}
        line |= {k: v for k, v in vars(record).items() if k not in _STANDARD and not k.startswith("_")}
        if record.exc_info and record.exc_info[0] is not None:
            line["error_type"] = record.exc_info[0].__name__
            if self._tracebacks:
                line["traceback"] = self._traceback(record)
        return line if self._content else {k: _cut(v) for k, v in line.items()}

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.fields(record), ensure_ascii=False, default=str)

    def _event(self, record: logging.LogRecord) -> str:
        if self._content:
            return record.getMessage()
        told = record.getMessage() if str(record.name).partition(".")[0] in TRUSTED else str(record.msg)
        return told.partition("\n")[0]

    def _traceback(self, record: logging.LogRecord) -> str:
        assert record.exc_info is not None
        if self._content:
            return self.formatException(record.exc_info)
        return _places(record.exc_info[1], record.exc_info[2])


class TextFormatter(JsonFormatter):
    """The same fields for somebody who looks on: time, level, event, then the others as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        fields = self.fields(record)
        moment = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        level, event = fields["level"], _plain(fields["event"], quoted=False)
        told = [f"{name}={_plain(value)}" for name, value in fields.items() if name not in _SHOWN_BEFORE]
        return " ".join([moment, f"{level!s:<7}", event, *told])


def configure_logging(level: str, *, style: str = "auto", content: bool = False) -> None:
    """Send everything to standard error. `style`: "json", "text", or "auto" for text where that is a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    text = style == "text" or (style == "auto" and sys.stderr.isatty())
    formatter = TextFormatter if text else JsonFormatter
    handler.setFormatter(formatter(tracebacks=level == "DEBUG", content=content))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _CHATTY:  # at DEBUG they tell whole requests
        logging.getLogger(name).setLevel("DEBUG" if level == "DEBUG" and content else "WARNING")
    if content:
        logging.getLogger(__name__).warning("prompts, replies and foreign messages are in this log")


def _places(error: BaseException | None, trace: TracebackType | None) -> str:
    """Where an exception passed, and those that caused it: classes, files and lines, and no message."""
    found: list[str] = []
    while error is not None and len(found) < 10:
        frames = traceback.extract_tb(trace)[-8:]
        where = " < ".join(f"{f.filename.rpartition('site-packages/')[2]}:{f.lineno}" for f in reversed(frames))
        found.append(f"{type(error).__name__} at {where}" if where else type(error).__name__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        trace = error.__traceback__ if error is not None else None
    return "; caused by ".join(found)


def _cut(value: object) -> object:
    return value[:_LONGEST] if isinstance(value, str) else value


def _plain(value: object, *, quoted: bool = True) -> str:
    """For a terminal, which control characters would steer."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    needs_quotes = quoted and isinstance(value, str) and (" " in text or not text)
    return json.dumps(text, ensure_ascii=False) if needs_quotes else text
