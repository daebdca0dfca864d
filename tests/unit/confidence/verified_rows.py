"""Made-up predictions that a person has looked at."""

from __future__ import annotations

from random import Random

from backend.confidence.cases import Case, Verified
from backend.confidence.logistic import sigmoid


def verified(
    raw: float | None = 0.8,
    right: bool = True,
    *,
    label: str | None = "a",
    share: float | None = None,
    margin: float | None = None,
    weight: float = 1.0,
    audit: bool = True,
    group: str = "",
) -> Verified:
    case = Case(raw=raw, label=label, student_share=share, student_margin=margin)
    return Verified(case=case, right=right, group=group, audit=audit, weight=weight)


def overconfident(count: int, seed: int = 0, *, audit: int | None = None) -> list[Verified]:
    """Predictions that are right less often than the raw score says; what tells them apart is the student's margin,
    and a label that is mostly wrong. All or the first `audit` of them are of the audit."""
    chance = Random(seed)
    rows = []
    for number in range(count):
        raw, margin, label = chance.uniform(0.8, 0.99), chance.uniform(-1, 1), chance.choice("aabc")
        right = chance.random() < sigmoid(0.5 + 2.5 * margin - 2 * (label == "c"))
        of_audit = audit is None or number < audit
        share = (1 + margin) / 2
        rows.append(verified(raw, right, label=label, share=share, margin=margin, audit=of_audit, group=str(number)))
    return rows
