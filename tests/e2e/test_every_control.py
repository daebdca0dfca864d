"""Every supported control in one config: what the model answered stands in Label Studio as its regions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.configs import EVERYTHING_ROWS
from tests.e2e.stack import Labeling, Stack

EXPECTED: list[dict[str, dict[str, Any]]] = [
    {
        "sentiment": {"choices": ["positive"]},
        "topics": {"choices": ["billing", "delivery"]},
        "entities": {"text": "Ann", "labels": ["PER"]},
        "stars": {"rating": 5},
        "amount": {"number": 42},
        "kind": {"taxonomy": [["Animal", "Dog"]]},
        "better": {"selected": "left"},
    },
    {
        "sentiment": {"choices": ["neutral"]},
        "topics": {"choices": ["billing"]},
        "entities": {"text": "Maria", "labels": ["PER"]},
        "kind": {"taxonomy": [["Plant", "Tree"]]},
        "better": {"selected": "right"},
    },
]


@pytest.mark.parametrize("row", range(len(EVERYTHING_ROWS)))
def test_the_regions_are_what_the_model_answered(stack: Stack, everything: Labeling, row: int) -> None:
    task_id = everything.task_ids()[row]
    prediction = everything.of_version(stack.status(everything)["version"])[task_id]
    regions = {region["from_name"]: region for region in prediction.result}
    for control, expected in EXPECTED[row].items():
        value = regions[control]["value"]
        assert {key: value[key] for key in expected} == expected, control
    span = regions["entities"]["value"]
    text = EVERYTHING_ROWS[row]["question"]
    assert text[span["start"] : span["end"]] == span["text"]
    assert regions["summary"]["value"]["text"][0]
    assert len({region["id"] for region in prediction.result}) == len(prediction.result)
    confident = [regions[control]["score"] for control in ("sentiment", "better")]
    assert prediction.score == pytest.approx(min(confident), abs=0.0005)  # regions carry three digits


def test_one_call_answers_all_controls_of_a_task(stack: Stack, everything: Labeling) -> None:
    told = stack.status(everything)
    assert told["model_calls"] == len(EVERYTHING_ROWS)
    assert told["refused"] == []
