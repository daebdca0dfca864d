"""Figures beside their limits."""

from __future__ import annotations

import sys

import pytest

from scripts.benchmarks import shortlist
from scripts.benchmarks.__main__ import main
from scripts.benchmarks.report import Figure, Report, percentile


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([5.0], 0.99, 5.0), ([1, 2, 3, 4], 0.5, 2), (list(range(1, 101)), 0.99, 99), ([3, 1, 2], 1.0, 3), ([2, 1], 0, 1)],
)
def test_the_percentile_is_one_of_the_values(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def test_a_report_holds_while_every_value_is_below_its_limit() -> None:
    read = Figure(name="rate", value=1e9, unit="a second")
    good = Figure(name="fast", value=99.9, unit="ms", limit=100)
    assert Report(figures=[read, good]).holds
    assert Report(figures=[read, good]).verdict() == "ok"
    assert "| fast | 99.9 ms | < 100 ms |" in Report(figures=[read, good]).table()


def test_a_value_at_its_limit_falls_short_and_is_named() -> None:
    report = Report(figures=[Figure(name="slow", value=100, unit="ms", limit=100)])
    assert not report.holds
    assert report.verdict() == "falls short: slow 100 ms, limit 100 ms"


def test_a_value_may_be_held_against_what_it_is_to_reach() -> None:
    report = Report(figures=[Figure(name="ratio", value=0.89, unit="", at_least=0.9)])
    assert report.verdict() == "falls short: ratio 0.89, limit >= 0.9"
    assert "| ratio | 0.89 | >= 0.9 |" in report.table()
    assert Report(figures=[Figure(name="ratio", value=0.9, unit="", at_least=0.9)]).holds


def test_a_benchmark_without_its_data_is_skipped_aloud(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(shortlist.DATA, raising=False)
    monkeypatch.setattr(sys, "argv", ["bench", "shortlist"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("bench shortlist: skipped: PRELABEL_TEST_DATA is not set")


def test_longer_lists_are_the_same_each_time() -> None:
    listed = shortlist.paths(["one two three", "four five six"], 20)
    assert listed == shortlist.paths(["four five six", "one two three"], 20)
    assert len(listed) == 20
    assert all(path.count(" > ") == 2 for path in listed)
