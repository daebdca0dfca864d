"""What fitting gains on real predictions with human gold: a part of `scripts/bench calibration`."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from backend.confidence.adoption import Raw, Score, adopt, probability
from backend.confidence.cases import Verified, case_of
from backend.confidence.metrics import Judged, quality
from backend.learning.student import out_of_fold, same_text


def test_on_misinformation_the_fused_score_is_adopted_and_finds_more_errors(shared_data: Path) -> None:
    lines = (shared_data / "confidence" / "calib_gpt4o_verbal_stance_misinfo.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["task"] == "misinfo"]
    student = out_of_fold([row["text"] for row in rows], [row["pred"] for row in rows], seed=0)
    everything = [
        Verified(
            case=case_of(row["confidence"], row["pred"], shares),
            right=row["correct"],
            group=same_text(row["text"]),
            audit=True,
        )
        for row, shares in zip(rows, student, strict=True)
    ]
    shuffled = Random(0).sample(everything, len(everything))
    verified, rest = shuffled[:400], shuffled[400:]
    found = adopt(verified, in_use=Raw(), seed=0)
    assert found.name == "fused", found.why
    raw, fused = (quality([judged(score, v) for v in rest]) for score in (Raw(), found.score))
    assert raw.auroc is not None
    assert fused.auroc is not None
    assert fused.auroc > 0.74 > raw.auroc + 0.1
    assert fused.errors_caught is not None
    assert raw.errors_caught is not None
    assert fused.errors_caught > raw.errors_caught + 0.1
    assert fused.ece is not None
    assert fused.ece < 0.05


def judged(score: Score, v: Verified) -> Judged:
    found = probability(score, v.case)
    assert found is not None
    return found, v.right
