"""Replies that real models gave, and texts that people annotated."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.labeling.spans import find_quotes
from backend.reading.extract import extract_object
from backend.reading.match import Spelled, match_option, normalised


def rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


@pytest.mark.parametrize("name", ["llmout_coding_selfconsistency", "llmout_coding_contextlevels"])
def test_every_recorded_reply_is_read(shared_data: Path, name: str) -> None:
    codes = {row["gold"] for row in rows(shared_data / "replies" / f"{name}.jsonl")}
    options = [Spelled(value=code) for code in sorted(codes)]
    steps: Counter[str | None] = Counter()
    for row in rows(shared_data / "replies" / f"{name}.jsonl"):
        extracted = extract_object(row["raw"])
        assert extracted.values is not None
        assert {"code", "theme", "confidence"} <= set(extracted.values)
        for key, (start, end) in extracted.positions.items():
            assert json.loads(row["raw"][start:end]) == extracted.values[key]
        match = match_option(extracted.values["code"], options)
        steps[match.step if match else None] += 1
        assert match is None or normalised(match.value) == normalised(extracted.values["code"])
    assert steps["exact"] > 0.9 * steps.total()


@pytest.mark.parametrize("name", ["ner_wnut17", "ner_sec_filings"])
def test_the_passages_that_people_marked_are_found(shared_data: Path, name: str) -> None:
    """Quoted in reading order, each stands where it was marked, or at an earlier place of the same words."""
    found = right = 0
    for row in rows(shared_data / "text" / f"{name}.jsonl"):
        text, spans = row["text"], sorted(row["spans"], key=lambda span: span["start"])
        places = find_quotes(text, [text[s["start"] : s["end"]] for s in spans])
        for span, place in zip(spans, places, strict=True):
            assert place is not None
            found += 1
            right += place == (span["start"], span["end"])
            assert text[slice(*place)] == text[span["start"] : span["end"]]
    assert found > 300
    assert right >= 0.95 * found
