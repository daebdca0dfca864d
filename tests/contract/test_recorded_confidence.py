"""Confidence with correctness as it was published, against the figures published with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.recorded import read_recorded
from backend.services.recorded_answers import Keys
from backend.services.score import Report, score

# n, accuracy, mean confidence, ECE (10 bins of equal width), AUROC, as shipped with the data.
Figures = tuple[int, float, float, float, float]
PUBLISHED: dict[str, dict[str, Figures]] = {
    "stance_misinfo": {
        "misinfo": (1923, 0.814, 0.838, 0.052, 0.598),
        "stance": (2299, 0.752, 0.864, 0.119, 0.707),
    },
    "token_prob": {
        "mmlu/Falcon-7b": (1363, 0.269, 0.331, 0.079, 0.489),
        "mmlu/Llama3-70b": (1405, 0.763, 0.942, 0.179, 0.840),
        "mmlu/Llama3-8b": (1378, 0.555, 0.775, 0.219, 0.758),
        "mmlu/Mistral": (1397, 0.505, 0.946, 0.441, 0.651),
        "mmlu/gpt-3.5-turbo": (1467, 0.627, 0.872, 0.245, 0.801),
        "mmlu/gpt-4-turbo": (1320, 0.814, 0.966, 0.153, 0.844),
    },
    "qwen": {"": (8000, 0.782, 0.882, 0.100, 0.835)},
    "selfconsistency": {
        "claude-haiku-4-5-20251001": (1130, 0.835, 0.791, 0.048, 0.676),
        "deepseek-chat": (1130, 0.779, 0.845, 0.076, 0.761),
        "gpt-4o-mini-2024-07-18": (1130, 0.583, 0.697, 0.114, 0.843),
    },
    "contextlevels": {
        "claude-haiku-4-5-20251001": (452, 0.799, 0.798, 0.037, 0.727),
        "deepseek-chat": (452, 0.761, 0.839, 0.098, 0.780),
        "gpt-4o-mini-2024-07-18": (452, 0.546, 0.670, 0.143, 0.868),
    },
}


def published_figures(report: Report, method: str) -> dict[str, Figures]:
    found = {group.name: group.methods[method] for group in report.groups}
    return {
        name: (
            figures.scored,
            *(round(f or 0, 3) for f in (figures.accuracy, figures.mean_confidence, figures.ece, figures.auroc)),
        )  # type: ignore[misc]
        for name, figures in found.items()
    }


@pytest.mark.parametrize(
    ("file", "keys", "published"),
    [
        ("calib_gpt4o_verbal_stance_misinfo", Keys(label="pred", group=("task",)), "stance_misinfo"),
        ("calib_token_prob_mcq", Keys(correct="grade", group=("dataset", "model")), "token_prob"),
        ("calib_qwen3_32b_mmlu", Keys(label="pred"), "qwen"),
    ],
)
def test_recorded_confidences(shared_data: Path, file: str, keys: Keys, published: str) -> None:
    report = score(read_recorded(shared_data / "confidence" / f"{file}.jsonl"), keys)
    found = published_figures(report, "recorded")
    assert {name: found[name] for name in PUBLISHED[published]} == PUBLISHED[published]


@pytest.mark.parametrize("name", ["selfconsistency", "contextlevels"])
def test_confidences_that_models_wrote_in_their_replies(shared_data: Path, name: str) -> None:
    """Read from the raw replies. The published figures take an answer outside the code book as a wrong one."""
    rows = read_recorded(shared_data / "replies" / f"llmout_coding_{name}.jsonl")
    report = score(rows, Keys(group=("model",)), invalid_is_wrong=True)
    assert published_figures(report, "self_reported") == PUBLISHED[name]


def test_agreement_of_ten_runs(shared_data: Path) -> None:
    """At temperature 0 ten runs say nearly the same, so that agreement is far above the accuracy and near useless."""
    rows = read_recorded(shared_data / "replies" / "llmout_coding_selfconsistency.jsonl")
    for group in score(rows, Keys(group=("model",), item="id")).groups:
        found = group.methods["agreement"]
        assert found.n == 113
        assert found.mean_confidence is not None
        assert found.accuracy is not None
        assert found.mean_confidence > found.accuracy + 0.1
