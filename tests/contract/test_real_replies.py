"""Replies that real models gave, and texts that people annotated."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from backend.fields import read_reply
from backend.labeling.parsing import parse_config
from backend.reading.extract import extract_object
from backend.reading.match import Spelled, match_option, normalised
from backend.recorded import read_recorded
from backend.services.read import read_rows
from tests.samples import reply


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


@pytest.mark.parametrize("name", ["llmout_coding_selfconsistency", "llmout_coding_contextlevels"])
@pytest.mark.parametrize("key", [None, "code"])
def test_recorded_codes_are_read_exactly(shared_data: Path, name: str, key: str | None) -> None:
    """Every valid code is read, none is invented, and each model's accuracy is that of the answers as they stand."""
    recorded = read_recorded(shared_data / "replies" / f"{name}.jsonl")
    reading = read_rows(recorded, key=key, gold_key="gold", group_keys=("model",))
    codes = {row.values["gold"] for row in recorded}
    answers = [re.findall(r'"code"\s*:\s*"([^"]*)"', row.raw or "")[0] for row in recorded]
    assert [r.labels for r in reading.replies] == [(answer,) if answer in codes else None for answer in answers]
    exact: dict[str, list[bool]] = {}
    for row, answer in zip(recorded, answers, strict=True):
        exact.setdefault(row.values["model"], []).append(answer == row.values["gold"])
    assert {model: tally.accuracy for model, tally in reading.groups.items()} == {
        model: sum(right) / len(right) for model, right in exact.items()
    }
    assert 0 < reading.total.invalid < 0.1 * reading.total.replies


@pytest.mark.parametrize("name", ["ner_wnut17", "ner_sec_filings"])
def test_the_passages_that_people_marked_are_found(shared_data: Path, name: str) -> None:
    """Quoted in reading order by a model, each becomes a region where it was marked, or where the same words stand.

    Run with -s to see the figures.
    """
    texts = list(rows(shared_data / "text" / f"{name}.jsonl"))
    labels = "".join(
        f"<Label value={quoteattr(label)}/>" for label in sorted({s["label"] for r in texts for s in r["spans"]})
    )
    config = parse_config(f'<View><Text name="t" value="$t"/><Labels name="it" toName="t">{labels}</Labels></View>')
    (control,) = config.controls
    marked = there = 0
    for row in texts:
        text, spans = row["text"], sorted(row["spans"], key=lambda span: span["start"])
        answer = {"it": [{"text": text[s["start"] : s["end"]], "label": s["label"]} for s in spans]}
        (field,) = read_reply(reply(json.dumps(answer)), config, config.show({"t": text}))
        assert (field.problem, field.notes) == (None, ())
        places = Counter(
            (value["start"], value["end"], *value["labels"])
            for value in (region["value"] for region in control.regions(field.value or ()))
        )
        wanted = Counter((s["start"], s["end"], s["label"]) for s in spans)
        assert Counter((text[b:e], label) for b, e, label in places.elements()) == Counter(
            (text[b:e], label) for b, e, label in wanted.elements()
        )
        marked += wanted.total()
        there += (places & wanted).total()
    print(f"{name}: {marked} passages, {there} where they were marked, {marked - there} at the same words elsewhere")
    assert marked > 300
    assert there >= 0.95 * marked
