"""The commands on recorded files, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.conftest import Run

ROWS = [
    {"raw": '{"label": "yes", "confidence": 0.9}', "options": ["yes", "no"], "gold": "yes", "model": "m"},
    {"raw": '{"label": "no", "confidence": 0.6}', "options": ["yes", "no"], "gold": "yes", "model": "m"},
    {"raw": "dunno", "options": ["yes", "no"], "gold": "yes", "model": "[red]n[/]"},
]


@pytest.fixture
def replies(tmp_path: Path) -> Path:
    path = tmp_path / "replies.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def test_the_table(prelabel: Run, replies: Path) -> None:
    code, out, err = prelabel("score", "--replies", str(replies))
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    # 0.9 right and 0.6 wrong of three: ECE (0.1 + 0.6) / 2, Brier (0.01 + 0.36) / 2, 0.4 of an answer looked at.
    assert ["self-reported", "3", "0.667", "0.500", "0.750", "0.350", "0.185", "1.000", "0.400"] in lines
    assert ["random", "order", "3", "1.000", "0.333", "-", "-", "-", "0.500", "0.200"] in lines
    assert ["invalid", "replies", "1"] in lines


def test_no_figure_is_lost_in_a_narrow_terminal(prelabel: Run, replies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = prelabel("score", "--replies", str(replies))
    assert "…" not in out


def test_groups_are_named_as_they_are(prelabel: Run, replies: Path) -> None:
    _, out, _ = prelabel("score", "--replies", str(replies), "--group-key", "model")
    assert "[red]n[/]" in out


def test_json(prelabel: Run, replies: Path) -> None:
    code, out, _ = prelabel("score", "--replies", str(replies), "--json", "--invalid-is-wrong")
    told = json.loads(out)
    assert (code, told["rows"], told["groups"][0]["methods"]["self_reported"]["auroc"]) == (0, 3, 1.0)


def test_every_key_can_be_named(prelabel: Run, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"p": 0.5, "said": "a", "truth": "a"}\n{"p": 0.7, "grade": "Wrong", "said": "b"}\n')
    named = ["--label-key", "said", "--confidence-key", "p", "--gold-key", "truth", "--correct-key", "grade"]
    code, out, _ = prelabel("score", "--replies", str(path), *named, "--json")
    (group,) = json.loads(out)["groups"]
    assert (code, group["methods"]["recorded"]["accuracy"], group["replies"]) == (0, 0.5, 2)


def test_what_was_left_out_or_taken_for_granted_is_said(prelabel: Run, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"raw": "yes", "gold": "yes"}\n{"raw": "no", "gold": "no"}\n{"raw": "no"}\n')
    _, out, _ = prelabel("score", "--replies", str(path))
    assert "Rows without options: taken from gold, 2 labels." in out
    assert "Left out, nothing says what is right: 1 of 3 rows." in out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("", "is empty"),
        ('{"raw": "yes", "options": ["yes"], "gold": "yes"}\n{"raw": "yes"', "line 2: this is not a JSON object"),
        ('{"raw": "yes", "options": ["yes"]}\n', "says of no row what is right"),
        ('{"raw": "yes"}\n', 'line 1: it has a reply and no "options"'),
    ],
    ids=["no file", "empty", "a broken line", "no gold", "no options"],
)
def test_a_mistake_is_one_sentence(prelabel: Run, tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_text(content)
    code, out, err = prelabel("score", "--replies", str(path))
    assert (code, out) == (1, "")
    assert err.startswith(f"prelabel: {path}")
    assert said in err
    assert err.count("\n") == 1
    code, out, err = prelabel("score", "--replies", str(path), "--json")
    assert (code, err) == (1, "")
    assert said in json.loads(out)["error"]


def test_without_a_file_it_says_which_option_is_missing(prelabel: Run) -> None:
    code, _, err = prelabel("score")
    assert code == 2
    assert "--replies" in err
