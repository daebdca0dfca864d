"""`prelabel read`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conftest import Run

MOODS = ["positive", "negative"]
ROWS: list[dict[str, Any]] = [
    {"raw": '{"label": "positive"}', "options": MOODS, "gold": "positive", "model": "a"},
    {"raw": "Label: negatve", "options": MOODS, "gold": "positive", "model": "a"},
    {"raw": "I cannot\nsay.", "options": MOODS, "gold": "positive", "model": "b"},
    {"raw": '{"code": "Positive", "why": "so"}', "options": MOODS, "text": "fine", "model": "b"},
    {"raw": '["x", "y"]', "options": ["x", "y", "z"], "multiple": True, "gold": ["y", "x"], "model": "b"},
    {"raw": '["x", "q"]', "options": ["x", "y", "z"], "multiple": True, "gold": ["x"], "model": "b"},
]


@pytest.fixture
def replies(tmp_path: Path) -> Path:
    path = tmp_path / "replies.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def test_figures_as_json(prelabel: Run, replies: Path) -> None:
    code, out, err = prelabel("read", "--replies", str(replies), "--group-key", "model", "--json")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert (told["replies"], told["invalid"], told["with_gold"], told["right"]) == (6, 2, 5, 2)
    assert told["accuracy"] == pytest.approx(0.4)
    assert told["steps"] == {"strict_json+exact": 2, "labelled_line+fuzzy": 1, "strict_json+normalised": 1}
    assert told["invalid_answers"] == {"I cannot say.": 1, "q": 1}
    assert told["reasons"] == {
        "is missing: the reply holds no JSON object": 1,
        "is not one of the labels": 1,
    }
    assert {name: (g["replies"], g["accuracy"]) for name, g in told["groups"].items()} == {
        "a": (2, 0.5),
        "b": (4, pytest.approx(1 / 3)),
    }
    assert told["options_from_gold"] is None


def test_figures_as_text(prelabel: Run, replies: Path) -> None:
    code, out, _ = prelabel("read", "--replies", str(replies))
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert ["all", "6", "2", "5", "2", "0.400"] in lines
    assert ["labelled_line+fuzzy", "1"] in lines
    assert ["1", "I", "cannot", "say."] in lines


def test_a_line_a_reply(prelabel: Run, replies: Path, tmp_path: Path) -> None:
    out_file = tmp_path / "read.jsonl"
    prelabel("read", "--replies", str(replies), "--out", str(out_file))
    lines = [json.loads(line) for line in out_file.read_text(encoding="utf-8").splitlines()]
    assert [line["label"] for line in lines] == [["positive"], ["negative"], None, ["positive"], ["x", "y"], None]
    assert [line["right"] for line in lines] == [True, False, False, None, True, False]
    assert lines[1]["step"] == "labelled_line+fuzzy"
    assert lines[2]["reason"] == "is missing: the reply holds no JSON object"
    assert lines[0]["where"] == f"{replies}, line 1"


def test_the_key_can_be_named(prelabel: Run, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({"raw": '{"a": "x", "b": "y"}', "options": ["x", "y"]}) + "\n")
    _, out, _ = prelabel("read", "--replies", str(path), "--json")
    assert json.loads(out)["invalid"] == 1
    _, out, _ = prelabel("read", "--replies", str(path), "--key", "b", "--json")
    assert json.loads(out)["steps"] == {"strict_json+exact": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("", "is empty"),
        ('{"raw": "yes", "options": ["yes"]}\n{"raw"', "line 2: this is not a JSON object"),
        ('{"raw": "yes"}\n', 'line 1: it has no "options"'),
        ('{"options": ["yes"]}\n', "line 1: it has no reply"),
        ('{"raw": "yes", "options": ["yes"], "multiple": 1}\n', 'line 1: "multiple" must be true or false'),
    ],
    ids=["no file", "empty", "a broken line", "no options", "no reply", "no flag"],
)
def test_a_mistake_is_one_sentence(prelabel: Run, tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_text(content)
    code, out, err = prelabel("read", "--replies", str(path))
    assert (code, out) == (1, "")
    assert err.startswith(f"prelabel: {path}")
    assert said in err
    assert err.count("\n") == 1


def test_what_is_read_is_never_written_over(prelabel: Run, replies: Path) -> None:
    before = replies.read_bytes()
    code, _, err = prelabel("read", "--replies", str(replies), "--out", str(replies))
    assert (code, replies.read_bytes()) == (1, before)
    assert "give another --out" in err


def test_a_place_that_cannot_be_written_is_said(prelabel: Run, replies: Path, tmp_path: Path) -> None:
    code, _, err = prelabel("read", "--replies", str(replies), "--out", str(tmp_path / "no" / "x.jsonl"))
    assert code == 1
    assert "cannot be written" in err
