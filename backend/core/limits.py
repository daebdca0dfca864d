"""What the headers of a model's response say about its limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

_MINUTE_S = 60.0
_LONGEST_S = 86_400.0
_MOST = 1e12  # a limit above it is none
_DURATION = re.compile(r"(?:(\d{1,9}(?:\.\d{0,9})?)(ms|us|µs|ns|d|h|m|s))")
_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, kw_only=True)
class RateLimits:
    """Limits a minute as an endpoint tells them, and what is left of them. None: not told."""

    requests: int | None = None
    tokens: int | None = None
    requests_left: int | None = None
    tokens_left: int | None = None
    pause_s: float | None = None  # a limit over a longer time (a day) is used up for so long


def read_limits(headers: Mapping[str, str]) -> RateLimits | None:
    """From `x-ratelimit-*` as OpenAI writes them, or `anthropic-ratelimit-*`; None where there is nothing usable.

    `headers` finds its names in lower case. A limit of requests may be one a day under the same name: that shows in
    the time that it takes to be whole again, and is then no limit a minute.
    """
    requests, tokens = _one(headers, "requests"), _one(headers, "tokens")
    pauses = [one.pause_s for one in (requests, tokens) if one.pause_s is not None]
    found = RateLimits(
        requests=requests.limit,
        tokens=tokens.limit,
        requests_left=requests.left,
        tokens_left=tokens.left,
        pause_s=max(pauses) if pauses else None,
    )
    return None if found == RateLimits() else found


@dataclass(frozen=True, kw_only=True)
class _One:
    limit: int | None = None
    left: int | None = None
    pause_s: float | None = None


def _one(headers: Mapping[str, str], what: str) -> _One:
    names = [(f"x-ratelimit-limit-{what}", f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}")]
    for kind in (what, f"input-{what}"):
        start = f"anthropic-ratelimit-{kind}"
        names.append((f"{start}-limit", f"{start}-remaining", f"{start}-reset"))
    for limit_name, left_name, reset_name in names:
        limit = _number(headers.get(limit_name))
        if not limit:  # 0 or -1 is what some gateways write for "none"
            continue
        left = _number(headers.get(left_name))
        reset_s = _seconds(headers.get(reset_name), headers.get("date"))
        if left is not None and reset_s is not None and _is_longer_than_a_minute(limit, left, reset_s):
            return _One(pause_s=min(reset_s, _LONGEST_S) if left == 0 else None)
        return _One(limit=limit, left=None if left is None else min(left, limit))
    return _One()


def _is_longer_than_a_minute(limit: int, left: int, reset_s: float) -> bool:
    """A limit a minute of which a tenth is used is whole again in six seconds; below a second the rounding tells
    nothing."""
    used = limit - left
    return used > 0 and reset_s >= 1.0 and reset_s * limit / used > 2 * _MINUTE_S


def _number(text: str | None) -> int | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return int(number) if 0 <= number <= _MOST else None


def _seconds(text: str | None, date: str | None) -> float | None:
    """A duration (`6m0s`, `350ms`, `1.5`), or a moment (RFC 3339) counted from the response's own `date`."""
    if not text:
        return None
    text = text.strip()[:64]
    if _DURATION.sub("", text) == "":
        return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))
    try:
        seconds = float(text)
        return seconds if 0 <= seconds <= _LONGEST_S * 366 else None
    except ValueError:
        pass
    try:
        return max(0.0, (datetime.fromisoformat(text) - parsedate_to_datetime(date or "")).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
