"""The student beside a project's answers: of large projects it learns from a part, and tells of all."""

from __future__ import annotations

import random
from typing import Any

import pytest

from backend.confidence.adoption import Raw
from backend.learning import fitting, student
from backend.learning.fitting import Predicted, Said, fit_control
from backend.learning.student import Lesson, out_of_fold

LABELS = 40


def rows(count: int, labels: int = LABELS) -> list[Predicted]:
    """Each text tells its label by one word of six, which nearly no other label's texts have."""
    chance = random.Random(0)
    found = []
    for i in range(count):
        words = " ".join(f"w{chance.randrange(400)}" for _ in range(5))
        text = f"topic{i % labels} {words}"
        found.append(Predicted(task_id=i, raw=0.9, label=f"l{i % labels}", text=text, data_hash=str(i), score=0.9))
    return found


def said_of(some: list[Predicted]) -> dict[int, Said]:
    return {row.task_id: Said(right=row.task_id % 3 > 0, audit=True, gold=None) for row in some}


class Fits:
    """What each regression learnt from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from sklearn.linear_model import LogisticRegression

        self.sizes: list[tuple[int, int, int, int]] = []  # texts, terms, labels, terms in all texts
        fit = LogisticRegression.fit

        def noted(model: Any, matrix: Any, labels: Any) -> Any:
            self.sizes.append((*matrix.shape, len(set(labels)), matrix.nnz))
            return fit(model, matrix, labels)

        monkeypatch.setattr(LogisticRegression, "fit", noted)


def test_neither_memory_nor_time_grows_with_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = Fits(monkeypatch)
    monkeypatch.setattr(student, "MAX_WEIGHTS", 20_000)
    monkeypatch.setattr(student, "MAX_WORK", 500_000)
    monkeypatch.setattr(student, "WORK_TO_CHOOSE", 100_000)
    some = rows(600)
    found = fitting._beside_student(some)
    assert max(terms * labels for _, terms, labels, _ in fits.sizes) <= 20_000
    assert max(labels * terms for *_, labels, terms in fits.sizes) <= 500_000 * 1.1  # a sample's texts differ in length
    assert found.keys() == {row.task_id for row in some}
    shares = [case.student_share or 0 for case in found.values()]
    assert sum(share > 2 / LABELS for share in shares) > 400  # it still knows most labels


def test_a_large_project_is_learnt_from_in_part_and_told_of_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = Fits(monkeypatch)
    monkeypatch.setattr(fitting, "MOST_TEXTS", 120)
    some = rows(400, labels=4)
    found = fitting._beside_student(some)
    assert max(texts for texts, *_ in fits.sizes) == 120
    assert found.keys() == {row.task_id for row in some}
    assert sum((case.student_margin or 0) > 0 for case in found.values()) > 350


def test_who_has_seen_the_same_text_tells_of_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two tasks with the same text one may be learnt from: a student that has is no witness for the other."""
    monkeypatch.setattr(fitting, "MOST_TEXTS", 100)
    same = [
        Predicted(task_id=1_000 + i, raw=0.9, label=("l0", "odd")[i % 2], text="TOPIC0  w1", data_hash="x", score=0.9)
        for i in range(40)
    ]
    found = fitting._beside_student([*rows(160, labels=4), *same])
    assert len({found[row.task_id].student_share for row in same if row.label == "odd"}) == 1
    assert {found[row.task_id].student_share for row in same if row.label == "odd"} == {0.0}  # others never say it


def test_a_small_project_is_told_of_as_ever() -> None:
    some = rows(200, labels=4)
    expected = out_of_fold([row.text for row in some], [row.label or "" for row in some], seed=0)
    found = fitting._beside_student(some)
    assert [found[row.task_id].student_share for row in some] == [
        shares and shares[row.label or ""] for row, shares in zip(some, expected, strict=True)
    ]
    lesson = Lesson.of([row.text for row in some], [row.label or "" for row in some], seed=0)
    assert dict(lesson.held_out()) == dict(enumerate(expected))


def test_no_student_is_trained_where_no_score_can_ask_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_beside_student", lambda rows: pytest.fail("trained"))
    some = rows(200, labels=4)
    assert fit_control(some, said_of(some[:99]), in_use=Raw()).adoption.verified == 99
