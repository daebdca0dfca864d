"""Batch calibration over label probabilities."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backend.confidence.batch_calibration import LEAST_TASKS, BatchMeans, Recalibrated, batch_means, gain
from backend.core.values import JSON
from tests.unit.confidence.test_calibration import json_values

Row = dict[str, float]
# Says "negative" too readily: every neutral text gets it, if only just.
BIASED: list[Row] = [
    *[{"positive": 0.6, "neutral": 0.1, "negative": 0.3}] * 4,
    *[{"positive": 0.1, "neutral": 0.4, "negative": 0.5}] * 4,
    *[{"positive": 0.05, "neutral": 0.05, "negative": 0.9}] * 4,
]


def means_of(batch: list[Row]) -> BatchMeans:
    found = batch_means(batch)
    assert found is not None
    return found


def test_each_label_is_divided_by_its_mean_and_the_quotients_are_normalised() -> None:
    means = means_of(BIASED)
    assert means.means == pytest.approx({"positive": 0.25, "neutral": 0.55 / 3, "negative": 1.7 / 3})
    found = means.apply(BIASED[4], said="negative")
    quotients = {"positive": 0.1 / 0.25, "neutral": 0.4 / (0.55 / 3), "negative": 0.5 / (1.7 / 3)}
    assert found.probabilities == pytest.approx({k: v / sum(quotients.values()) for k, v in quotients.items()})
    assert (found.label, found.said, found.said_confidence) == ("neutral", "negative", 0.5)
    assert found.confidence == found.probabilities["neutral"]


def test_labels_that_are_equally_frequent_stay() -> None:
    batch: list[Row] = [{"a": 0.7, "b": 0.3}, {"a": 0.3, "b": 0.7}] * 5
    assert means_of(batch).apply(batch[0], said="a").probabilities == pytest.approx(batch[0])


def test_tasks_without_probabilities_are_no_part_of_the_batch() -> None:
    assert batch_means([*BIASED, None, None]) == means_of(BIASED)
    assert batch_means([{"a": 1.0}] * (LEAST_TASKS - 1) + [None] * 5) is None
    assert batch_means([]) is None


def test_one_label_alone_stays() -> None:
    found = means_of([{"a": 1.0}] * 10).apply({"a": 1.0}, said="a")
    assert (found.label, found.confidence) == ("a", 1.0)


def test_of_equally_probable_labels_it_is_the_one_said() -> None:
    means = means_of([{"a": 0.5, "b": 0.5}] * 10)
    assert means.apply({"a": 0.5, "b": 0.5}, said="a").label == "a"
    assert means.apply({"a": 0.5, "b": 0.5}, said="b").label == "b"


def test_labels_that_a_task_does_not_list_share_what_is_left() -> None:
    """Of long lists only the likeliest labels are stored."""
    batch: list[Row] = [{"a": 0.6, "b": 0.2}, {"c": 0.6, "d": 0.2}] * 5
    means = means_of(batch)
    assert means.means == pytest.approx({"a": 0.35, "b": 0.15, "c": 0.35, "d": 0.15})
    found = means.apply(batch[0], said="a")
    parts = {"a": 0.6 / 0.35, "b": 0.2 / 0.15, "rest": 0.1 / 0.35 + 0.1 / 0.15}
    assert found.probabilities == pytest.approx({k: parts[k] / sum(parts.values()) for k in ("a", "b")})


def test_rounded_probabilities_have_no_rest() -> None:
    batch: list[Row] = [{"a": 0.333333, "b": 0.666666}, {"c": 1.0}] * 5
    assert means_of(batch).means == pytest.approx({"a": 0.1666665, "b": 0.333333, "c": 0.5})


def test_a_label_that_the_batch_hardly_knows_is_not_blown_up() -> None:
    """Less than a guess gives it in one of a hundred tasks: it counts as that much."""
    batch: list[Row] = [{"a": 1.0, "b": 1e-9}] * 100
    found = means_of(batch).apply({"a": 0.99, "b": 0.01}, said="a")
    assert found.probabilities["b"] == pytest.approx(2 / 2.99)
    unknown = means_of(batch).apply({"a": 0.999, "new": 0.001}, said="a")
    assert unknown.label == "a"


def test_a_later_task_is_taken_like_one_of_the_batch() -> None:
    assert (
        means_of(BIASED).apply({"negative": 0.5, "neutral": 0.45, "positive": 0.05}, said="negative").label == "neutral"
    )


@pytest.mark.parametrize(
    "wrong", [{}, {"a": 0.0}, {"a": math.nan}, {"a": math.inf}, {"a": -0.1, "b": 1.0}, {"a": 0.9, "b": 0.9}]
)
def test_what_is_no_distribution_is_refused(wrong: Row) -> None:
    with pytest.raises(ValueError, match="label probabilit"):
        batch_means([*BIASED, wrong])
    with pytest.raises(ValueError, match="label probabilit"):
        means_of(BIASED).apply(wrong, said="a")


def test_the_models_own_label_is_one_of_those_listed() -> None:
    with pytest.raises(ValueError, match="own label"):
        means_of(BIASED).apply(BIASED[0], said="mixed")


distributions = st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda row: sum(row) > 0.01)


@given(st.lists(distributions, min_size=LEAST_TASKS, max_size=20))
def test_any_batch_gives_distributions(rows: list[list[float]]) -> None:
    batch = [dict(zip("abcd", (p / sum(row) for p in row), strict=True)) for row in rows]
    means = means_of(batch)
    for row in batch:
        found = means.apply(row, said="a")
        assert sum(found.probabilities.values()) == pytest.approx(1)
        assert found.confidence == max(found.probabilities.values())
        assert BatchMeans.from_json(json.loads(json.dumps(means.to_json()))) == means


@given(st.dictionaries(st.text(), st.floats(0, 1)), st.integers(LEAST_TASKS, 10**9))
def test_what_is_stored_is_what_was_measured(means: Row, tasks: int) -> None:
    one = BatchMeans(means=means, tasks=tasks)
    assert BatchMeans.from_json(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.parametrize(
    "stored",
    [
        None, {}, {"kind": "batch", "tasks": 10}, {"kind": "batch", "tasks": 9, "means": {}},
        {"kind": "batch", "tasks": 10, "means": {"a": 1.1}}, {"kind": "batch", "tasks": 10, "means": ["a"]},
        {"kind": "batch", "tasks": "10", "means": {}}, {"kind": "batch", "tasks": math.inf, "means": {}},
    ],
)  # fmt: skip
def test_anything_else_is_refused(stored: JSON) -> None:
    with pytest.raises(ValueError, match="fit it again"):
        BatchMeans.from_json(stored)


@given(json_values)
def test_hostile_json_is_refused_in_no_other_way(stored: JSON) -> None:
    assume(not (isinstance(stored, dict) and stored.get("kind") == "batch"))
    with pytest.raises(ValueError, match="fit it again"):
        BatchMeans.from_json(stored)


def change(said: str, label: str, *, before: float = 0.5, after: float = 0.5) -> Recalibrated:
    return Recalibrated(label=label, confidence=after, said=said, said_confidence=before, probabilities={})


def test_the_gain_counts_what_is_mended_and_what_is_spoiled() -> None:
    found = gain([(change("x", "a"), "a")] * 3 + [(change("b", "x"), "b")] + [(change("a", "a"), "a")] * 4)
    assert (found.mended, found.spoiled) == (3, 1)
    assert (found.before.accuracy, found.after.accuracy) == (5 / 8, 7 / 8)
    assert not found.helps  # too few


def test_it_helps_where_it_mends_beyond_chance_on_enough_labels() -> None:
    same, mended, spoiled = (change("a", "a"), "a"), (change("x", "a"), "a"), (change("a", "x"), "a")
    assert gain([mended] * 5 + [same] * 25).helps
    assert not gain([mended] * 5 + [same] * 24).helps  # 29 labels
    assert not gain([mended] * 4 + [same] * 56).helps  # as likely by chance as 1 in 16
    assert not gain([mended] * 3 + [spoiled] + [same] * 56).helps
    assert not gain([spoiled] * 9 + [same] * 56).helps
    better = [(change("a", "a", before=0.5, after=0.9), "a"), (change("x", "x", before=0.5, after=0.1), "a")]
    assert not gain(better * 40).helps  # the order alone is no reason
    assert not gain([]).helps
