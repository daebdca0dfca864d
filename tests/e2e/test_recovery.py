"""Faults that are really done to the product, and from which it recovers by itself: the quickest of `scripts/bench
faults`, which does all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.benchmarks.fault_cases import FAULTS
from scripts.benchmarks.fault_site import Site

QUICKEST = (
    "kill -9 of a worker",
    "kill -9 of a worker's child",
    "SIGTERM of a worker",
    "Redis emptied",
    "key refused (401)",
    "tasks edited",
)


@pytest.fixture(scope="module")
def site(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Services of its own: they are killed."""
    site = Site(tmp_path_factory.mktemp("faults"))
    try:
        site.start()
        yield site
    finally:
        site.close()


@pytest.mark.parametrize("name", QUICKEST)
def test_nothing_is_lost_written_twice_or_paid_twice(site: Site, name: str) -> None:
    result = FAULTS[name](site)
    assert (result.lost, result.duplicated, result.paid_twice) == (0, 0, 0)
    assert result.seconds <= 60
