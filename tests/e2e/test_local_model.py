"""A real model, the small one of the demo: labels that a person would choose, and probabilities that say something."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import machine
from scripts.demo import endpoint_settings
from scripts.services import start_local_model
from tests.e2e.configs import FEEDBACK
from tests.e2e.stack import Stack

TEXTS = {
    "I love this kettle, it is the best thing that I have bought this year.": "positive",
    "Thank you so much, the support was friendly and solved it in a minute!": "positive",
    "Wonderful quality, I would buy it again at once.": "positive",
    "Fast delivery, everything perfect, very happy.": "positive",
    "It broke on the first day and nobody answers my mails. Never again.": "negative",
    "Terrible. The box was empty and they refuse to pay me back.": "negative",
    "The worst headphones that I ever had, they hurt and crackle.": "negative",
    "I am very angry: this is the third wrong parcel in a row.": "negative",
    "The parcel weighs two kilograms and measures 30 by 20 centimetres.": "neutral",
    "The shop is open from nine to five on weekdays.": "neutral",
}


def test_ten_obvious_texts(stack: Stack, services_folder: Path) -> None:
    if machine.local_weights() is None:
        pytest.skip("no weights: scripts/setup --demo --weights 1.5B")
    with (
        start_local_model(services_folder / "local-model") as model,
        stack.beside("local-model-run", endpoint_settings(model), database=5) as other,
    ):
        project = other.project("Local model", FEEDBACK, [{"text": text} for text in TEXTS])
        told = other.run(project)
    assert told["by_state"] == {"done": len(TEXTS)}
    predictions = list(project.of_version(told["version"]).values())
    texts = {row["id"]: row["data"]["text"] for row in project.rows()}
    right = [TEXTS[texts[p.task]] == p.labels["sentiment"] for p in predictions]
    assert sum(right) >= 8
    scores = [p.score for p in predictions if p.score is not None]
    assert len(scores) == len(TEXTS)
    assert all(0 < score <= 1 for score in scores)
    assert len({round(score, 4) for score in scores}) > len(scores) / 2
