"""Which tasks a plan holds: about the share, by chance, the same for everyone, and only for who knows the secret."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from math import sqrt

import pytest

from backend.core.audit import AuditPlan, AuditRule

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = AuditPlan(secret="s" * 64, up_to=20_000, first_share=0.05, later_share=0.10, begun_at=NOW)


def held(plan: AuditPlan, first: int, last: int) -> list[int]:
    return [number for number in range(first, last + 1) if plan.holds(number)]


@pytest.mark.parametrize(("first", "last", "share"), [(1, 20_000, 0.05), (20_001, 40_000, 0.10)])
def test_as_many_are_held_as_the_share_says(first: int, last: int, share: float) -> None:
    n = last - first + 1
    assert abs(len(held(PLAN, first, last)) - n * share) < 4 * sqrt(n * share * (1 - share))
    assert PLAN.share_of(first) == PLAN.share_of(last) == share


def test_they_are_spread_and_another_secret_holds_others() -> None:
    ours, others = set(held(PLAN, 1, 20_000)), set(held(replace(PLAN, secret="t" * 64), 1, 20_000))
    assert set(held(PLAN, 1, 20_000)) == ours
    assert len(ours & others) < 150  # 50 by chance
    for parity in (0, 1):
        assert abs(sum(number % 2 == parity for number in ours) - len(ours) / 2) < 70


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 1_000)])
def test_none_and_all(share: float, expected: int) -> None:
    assert len(held(replace(PLAN, first_share=share), 1, 1_000)) == expected


@pytest.mark.parametrize(
    ("tasks", "share"), [(0, None), (249, None), (250, 0.2), (400, 0.125), (1_000, 0.05), (10_000, 0.05)]
)
def test_the_first_batch_gives_fifty_or_a_twentieth(tasks: int, share: float | None) -> None:
    plan = AuditRule().begin(tasks=tasks, up_to=7, secret="s", now=NOW)
    assert (None if plan is None else plan.first_share) == share


def test_a_rule_that_is_off_begins_none() -> None:
    assert AuditRule(on=False).begin(tasks=10_000, up_to=7, secret="s", now=NOW) is None


def test_all_of_a_batch_is_the_most() -> None:
    plan = AuditRule(first=500, fewest_tasks=0).begin(tasks=300, up_to=7, secret="s", now=NOW)
    assert plan is not None
    assert plan.first_share == 1.0


def test_those_of_a_lower_share_are_among_those_of_a_higher_one() -> None:
    ids = range(1, 40_001)
    share = PLAN.even_share(ids)
    even = {number for number in ids if PLAN.holds(number, share)}
    assert share == 0.05
    assert even <= {number for number in ids if PLAN.holds(number)}
    first, later = (sum(number in part for number in even) for part in (range(1, 20_001), range(20_001, 40_001)))
    assert abs(first - later) < 200  # as many of either batch, though the later one is audited twice as much
    assert PLAN.even_share(range(1, 100)) == 0.05
    assert PLAN.even_share(range(20_001, 20_100)) == 0.10


@pytest.mark.parametrize(
    ("first", "later", "up_to", "further"),
    [
        (0.05, 0.10, 400, 30),
        (0.05, 0.10, 400, 5),  # fewer than it takes to reach the later share
        (0.30, 0.10, 100, 10),  # all of what was imported later
        (0.30, 0.10, 100, 150),
        (0.05, 0.10, 1_000, 800),
        (0.05, 0.10, 400, "all"),
    ],
)
def test_an_extended_audit_draws_as_many_as_asked_and_keeps_the_others(
    first: float, later: float, up_to: int, further: int | str
) -> None:
    plan = AuditPlan(secret="s", up_to=up_to, first_share=first, later_share=later, begun_at=NOW)
    before = set(held(plan, 1, 1_000))
    free = [number for number in range(1, 1_001) if number not in before and number % 7]  # a seventh is labelled
    count = len(free) if further == "all" else int(further)
    longer = plan.extended(free, count, highest=1_000)
    after = set(held(longer, 1, 1_000))
    assert before <= after
    assert len(after & set(free)) == count
    assert longer.even_share(range(1, 1_001)) == plan.even_share(range(1, 1_001))
    assert longer.reached_share([1]) >= plan.share_of(1)
    reached = longer.reached_share(range(1, 1_001))
    assert reached >= plan.even_share(range(1, 1_001))
    at_even_chance = [number for number in free if longer.holds(number, reached)]
    assert set(at_even_chance) <= after


def test_an_audit_can_be_extended_again_and_remembers_where_it_began() -> None:
    longer = PLAN
    for _ in range(2):
        free = [number for number in range(1, 1_001) if not longer.holds(number)]
        longer = longer.extended(free, 100, highest=1_000)
    assert longer.even_share(range(1, 1_001)) == PLAN.first_share
    assert len(held(longer, 1, 1_000)) == len(held(PLAN, 1, 1_000)) + 200
    with pytest.raises(ValueError, match="as many as there are"):
        PLAN.extended([1, 2], 3, highest=2)
