"""What every log line of the work at hand tells: job, task, message. Kept with the thread or asyncio task at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_FIELDS: ContextVar[Mapping[str, object]] = ContextVar("log_fields", default={})  # noqa: B039  - never changed


def log_fields() -> Mapping[str, object]:
    return _FIELDS.get()


def add_log_fields(**fields: object) -> None:
    """From here to the end of this asyncio task, or of the `only_log_fields` around it."""
    _FIELDS.set({**_FIELDS.get(), **fields})


@contextmanager
def only_log_fields(**fields: object) -> Iterator[None]:
    """These fields and no others inside; afterwards those of before."""
    token = _FIELDS.set(fields)
    try:
        yield
    finally:
        _FIELDS.reset(token)
