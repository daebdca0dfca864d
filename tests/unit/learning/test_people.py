"""What a report tells of the annotators."""

from __future__ import annotations

import pytest

from backend.core.judgements import Judgement
from backend.core.verifications import VerificationOutcome
from backend.learning.report import people_figures


def judgement(version: str, outcome: VerificationOutcome, number: int) -> Judgement:
    return Judgement(
        task_id=number,
        annotation_id=number,
        annotator_id=7,
        outcome=outcome,
        version=version,
        drawn=None,
        even=False,
        shown=True,
        score=0.5,
        controls=(),
    )


@pytest.mark.parametrize("newest_first", [True, False])
def test_confirm_rates_are_the_same_beside_versions_that_nobody_saw(newest_first: bool) -> None:
    seen = [judgement("new@1", VerificationOutcome.CONFIRMED, n) for n in range(9)]
    seen.append(judgement("new@1", VerificationOutcome.CORRECTED, 9))
    unseen = [judgement("old@1", VerificationOutcome.BLIND, n) for n in range(10)]
    (person,) = people_figures(seen + unseen if newest_first else unseen + seen)["annotators"]
    assert person == people_figures(seen)["annotators"][0]
    assert (person["annotations"], person["confirmed"]["n"], person["confirmed"]["share"]) == (10, 10, 0.9)
