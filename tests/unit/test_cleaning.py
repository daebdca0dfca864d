"""Stored replies that nobody uses are deleted, a batch at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backend import cleaning
from backend.cleaning import BREATH_S, EACH_S, Cleaning
from backend.core.errors import StoreError
from tests.fakes.installation import Installation, replying


class Kept:
    """Replies in a store, and the cleaning over it with a clock that the test turns."""

    def __init__(self, cache_days: int) -> None:
        self.installation = Installation()
        self.store, self.clock, self.seconds = self.installation.store, self.installation.clock, 0.0
        self.store.close = lambda: None  # type: ignore[method-assign]  # a database in memory is its connection
        parts = self.installation.parts(cache_days=cache_days)
        self.cleaning = Cleaning(parts, clock=self.clock, monotonic=lambda: self.seconds)

    def keep(self, *keys: str) -> None:
        for key in keys:
            self.store.save_reply(key, "request", replying("yes"))

    def left(self, *keys: str) -> list[str]:
        return [key for key in keys if self.store.reply(key)]

    def days_pass(self, days: float) -> None:
        self.clock.sleep(timedelta(days=days).total_seconds())

    def look_after(self, seconds: float) -> None:
        self.seconds += seconds
        self.cleaning.look()


def test_what_was_not_used_for_so_many_days_goes() -> None:
    kept = Kept(cache_days=30)
    kept.keep("old")
    kept.days_pass(29)
    kept.keep("young")
    kept.look_after(0)
    assert kept.left("old", "young") == ["old", "young"]  # and now the old one is used
    kept.days_pass(20)
    kept.look_after(EACH_S)
    assert kept.left("old", "young") == ["old", "young"]
    kept.days_pass(31)
    kept.look_after(EACH_S - 1)
    kept.look_after(1)
    assert kept.left("old", "young") == []


def test_with_the_cache_off_all_go() -> None:
    kept = Kept(cache_days=0)
    kept.keep("one", "two")
    kept.clock.sleep(1)
    kept.look_after(0)
    assert kept.left("one", "two") == []


def test_many_go_in_small_batches_with_a_breath_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "BATCH", 2)
    keys = ["a", "b", "c", "d", "e"]
    kept = Kept(cache_days=0)
    kept.keep(*keys)
    kept.clock.sleep(1)
    kept.look_after(0)
    assert len(kept.left(*keys)) == 3
    kept.look_after(BREATH_S / 2)
    assert len(kept.left(*keys)) == 3
    kept.look_after(BREATH_S)
    kept.look_after(BREATH_S)
    assert kept.left(*keys) == []


def test_a_database_that_does_not_answer_is_told_and_asked_again_later(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept(cache_days=0)
    asked = 0

    def away(**_: object) -> int:
        nonlocal asked
        asked += 1
        raise StoreError("The database does not answer.")

    kept.store.delete_replies = away  # type: ignore[method-assign]
    for seconds in (0, 1, EACH_S):
        kept.look_after(seconds)
    assert asked == 2
    assert [r.reason for r in caplog.records if r.name == "backend.cleaning"] == [  # type: ignore[attr-defined]
        "The database does not answer."
    ] * 2
