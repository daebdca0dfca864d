"""Recorded replies: what a line may hold, and one sentence for each that cannot be used."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from backend.core.errors import InputError
from backend.core.values import TokenLogprob
from backend.recorded import Recorded, parse_lines, read_recorded


def parse(**values: Any) -> Recorded:
    (row,) = parse_lines([json.dumps(values)], "replies.jsonl")
    return row


def test_a_whole_line() -> None:
    row = parse(raw='{"a": 1}', options=["x", "y", "x"], multiple=True, gold=["x"], text="t", model="m")
    assert (row.raw, row.raws, row.options, row.multiple, row.text) == ('{"a": 1}', (), ("x", "y"), True, "t")
    assert (row.names("gold"), row.names("label"), row.values["model"]) == (("x",), None, "m")


def test_an_empty_object_is_a_line_and_blank_lines_are_none() -> None:
    (row,) = parse_lines(["\n", "{}\n", "  \n"], "f")
    assert (row.raw, row.raws, row.tokens, row.where) == (None, (), None, "f, line 2")


def test_numbers_are_labels_too() -> None:
    assert parse(gold=3).names("gold") == ("3",)
    assert parse(gold=[1.5, "b"]).names("gold") == ("1.5", "b")
    assert parse(gold=[]).names("gold") == ()


TOKEN = TokenLogprob(token="a", logprob=-0.5, top=(("a", -0.5), ("b", -1.0)))


@pytest.mark.parametrize(
    "logprobs",
    [
        [{"token": "a", "logprob": -0.5, "top": [["a", -0.5], ["b", -1]]}],
        [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [
            {"token": "a", "logprob": -0.5, "bytes": [97]}, {"token": "b", "logprob": -1}]}],
        {"content": [{"token": "a", "logprob": -0.5, "top": [["a", -0.5], ["b", -1]]}], "refusal": None},
    ],
    ids=["ours", "OpenAI's", "OpenAI's whole object"],
)  # fmt: skip
def test_log_probabilities(logprobs: Any) -> None:
    assert parse(logprobs=logprobs).tokens == (TOKEN,)


def test_no_log_probabilities_are_not_an_empty_list_of_them() -> None:
    assert parse(logprobs=None).tokens is None
    assert parse(logprobs={"content": None}).tokens is None
    assert parse(logprobs=[]).tokens == ()


def test_log_probabilities_are_kept_finite_and_at_most_zero() -> None:
    row = parse(logprobs=[{"token": "a", "logprob": -math.inf}, {"token": "b", "logprob": 1e-6}])
    assert row.tokens is not None
    assert [t.logprob for t in row.tokens] == [-1e6, 0.0]


@pytest.mark.parametrize(
    "line",
    [
        "not json", "[1]", '"text"', "12", "null", '{"raw": "x"', "[" * 100_000,
        '{"raw": 3}', '{"raws": "x"}', '{"raws": [1]}', '{"options": [true]}', '{"options": [""]}', '{"options": [[]]}',
        '{"multiple": "yes"}', '{"text": []}', '{"finish_reason": 1}',
        '{"logprobs": 1}', '{"logprobs": ["a"]}', '{"logprobs": [{"token": "a"}]}',
        '{"logprobs": [{"token": 1, "logprob": -1}]}', '{"logprobs": [{"token": "a", "logprob": NaN}]}',
        '{"logprobs": [{"token": "a", "logprob": true}]}', '{"logprobs": [{"token": "a", "logprob": -1, "top": 1}]}',
        '{"logprobs": [{"token": "a", "logprob": -1, "top": [["b"]]}]}',
        '{"logprobs": [{"token": "a", "logprob": -1, "top": [3]}]}',
    ],
)  # fmt: skip
def test_a_broken_line_is_named_in_one_sentence(line: str) -> None:
    with pytest.raises(InputError, match=r"^f\.jsonl, line 2: .*\.$") as refused:
        list(parse_lines(["{}\n", line], "f.jsonl"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("gold", [True, {"a": 1}, [["a"]], [None]])
def test_what_is_no_label_is_refused(gold: Any) -> None:
    with pytest.raises(InputError, match='line 1: "gold" must be a label'):
        parse(gold=gold).names("gold")


def test_files(tmp_path: Path) -> None:
    good, empty, binary = tmp_path / "good.jsonl", tmp_path / "empty.jsonl", tmp_path / "binary.jsonl"
    good.write_text('\ufeff{"raw": "स"}\n', encoding="utf-8")
    empty.write_text("\n\n")
    binary.write_bytes(b"\xff\xfe{}")
    assert [row.raw for row in read_recorded(good)] == ["स"]
    for path, said in (
        (empty, "is empty"),
        (binary, "is not UTF-8"),
        (tmp_path / "absent.jsonl", "cannot be read"),
        (tmp_path, "cannot be read"),
    ):
        with pytest.raises(InputError, match=said):
            read_recorded(path)
