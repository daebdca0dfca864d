"""What counts as a task's label when several people annotated it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backend.core.values import JSON
from backend.core.verifications import Verification, VerificationOutcome
from backend.labeling.parsing import parse_config
from backend.labeling.resolving import Resolved, resolve
from tests.contract.verification_store_cases import NOON, verification
from tests.samples import SENTIMENT

CONFIG = parse_config(SENTIMENT)


def said(label: str | None, by: int | None, at_s: int = 0, **changes: Any) -> Verification:
    value = {"choices": [label]}
    region: dict[str, JSON] = {
        "id": "a",
        "from_name": "sentiment",
        "to_name": "text",
        "type": "choices",
        "value": value,
    }
    regions = (region,) if label else ()
    when = NOON + timedelta(seconds=at_s)
    return verification(at_s + 1, task_id=1, annotator_id=by, regions=regions, updated_at=when, **changes)


@pytest.mark.parametrize(
    ("given", "value", "votes", "answers"),
    [
        ([], None, 0, 0),
        ([said("positive", 1)], ("positive",), 1, 1),
        ([said("positive", 1), said("negative", 2, 1)], None, 1, 2),
        ([said("positive", 1), said("negative", 2, 1), said("positive", 3, 2)], ("positive",), 2, 3),
        ([said(None, 1), said(None, 2, 1), said("positive", 3, 2)], None, 2, 3),
        ([said("positive", 1), said("negative", 1, 9)], ("negative",), 1, 1),  # the annotator thought again
        ([said("positive", None), said("positive", None, 1), said("negative", 2, 2)], ("positive",), 2, 3),
        ([said("positive", 1), said("positive", 2, 1), said("negative", 3, 2, ground_truth=True)], ("negative",), 1, 1),
        ([said("positive", 1), said("negative", 2, 1, stale=True)], ("positive",), 1, 1),
        ([said("positive", 1), said("negative", 2, 1, deleted_at=NOON)], ("positive",), 1, 1),
        ([said("positive", 1), said("gone", 2, 1, problem="p")], ("positive",), 1, 1),
        ([said("positive", 1), said("gone", 2, 1)], ("positive",), 1, 1),  # it left the schema since
        ([said(None, 1, outcome=VerificationOutcome.SKIPPED)], None, 0, 0),
        ([said("negative", 1, outcome=VerificationOutcome.BLIND)], ("negative",), 1, 1),
        ([said("positive", 1, outcome=VerificationOutcome.ACCEPTED)], None, 0, 0),
    ],
)
def test_the_majority_counts(given: list[Verification], value: JSON, votes: int, answers: int) -> None:
    for order in (given, given[::-1]):
        found = resolve(CONFIG, order)["sentiment"]
        assert found == Resolved(value=value, votes=votes, answers=answers)


def test_two_who_disagree_settle_nothing_and_two_who_left_it_empty_do() -> None:
    assert not resolve(CONFIG, [said("positive", 1), said("negative", 2, 1)])["sentiment"].is_settled
    assert resolve(CONFIG, [said(None, 1), said(None, 2, 1)])["sentiment"].is_settled
    assert not resolve(CONFIG, [])["sentiment"].is_settled
