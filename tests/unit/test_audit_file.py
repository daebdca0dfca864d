"""CSV files of predictions: what each row counts as, and every way in which a file can be wrong."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.audit_file import AuditFile, parse_audit, read_audit_file
from backend.confidence.certificate import Audited
from backend.core.errors import InputError

HEADER = "text,prediction,confidence,gold\n"


def parsed(content: str) -> AuditFile:
    return parse_audit(content.splitlines(keepends=True), "f.csv")


def test_rows_with_gold_are_the_audit_where_no_column_says_otherwise() -> None:
    found = parsed(HEADER + 'good,a,0.9,a\n"bad, and\nlong",a,0.8,b\nopen,b,.7,\nno score,b,,\n')
    assert found.audit == [Audited(score=0.9, right=True), Audited(score=0.8, right=False)]
    assert (found.unseen, found.checked, found.waiting) == ([0.7, None], [], [])
    assert found.all_gold_is_audit
    assert found.rows == 4


def test_a_column_tells_which_rows_were_drawn() -> None:
    found = parsed("prediction,confidence,gold,audit\na,1,a,true\na,0,b,FALSE\na,0.5,,yes\na,0.4,,\n")
    assert found.audit == [Audited(score=1.0, right=True)]
    assert (found.checked, found.waiting, found.unseen) == ([0.0], [0.5], [0.4])
    assert not found.all_gold_is_audit


def test_a_column_tells_whose_gold_was_used_in_fitting() -> None:
    found = parsed("prediction,confidence,gold,fitted\na,1,a,1\na,1,a,0\n")
    assert [row.fitted for row in found.audit] == [True, False]


def test_a_row_without_a_prediction_is_never_accepted() -> None:
    found = parsed(HEADER + "x,,0.9,\nx,,0.9,a\n")
    assert found.unseen == [None]
    assert found.audit == [Audited(score=None, right=False)]


def test_labels_are_compared_without_space_around_them_and_in_one_normal_form() -> None:
    found = parsed(HEADER + "x, caf\u00e9 ,1,cafe\u0301\nx,Yes,1,yes\n")
    assert [row.right for row in found.audit] == [True, False]


@pytest.mark.parametrize(
    "content",
    [
        "Gold,CONFIDENCE, Prediction \na,0.5,a\n",
        "\ufeff" + "gold,confidence,prediction\na,0.5,a\n",
        "gold;confidence;prediction\na;0,5;a\n",
        "gold\tconfidence\tprediction\r\na\t0.5\ta\r\n",
        '"gold","confidence","prediction","text, with, commas; and ;;;"\n"a","0.5","a","x"\n',
        "gold,confidence,prediction\n\n , ,\na,0.5,a\n\n",
    ],
    ids=["order and case", "byte order mark", "semicolons", "tabs", "quoted", "blank rows"],
)
def test_files_that_are_read_alike(content: str, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(content.encode())
    assert read_audit_file(path).audit == [Audited(score=0.5, right=True)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", 'has no column "prediction" and no column "confidence" and no column "gold"'),
        ("\n\n", "has no column"),
        ("text,prediction,gold\n", 'has no column "confidence": name the columns in its first line.'),
        ("prediction,confidence,gold,gold\n", 'has several columns "gold": leave one.'),
        (HEADER, "has no rows"),
        (HEADER + "x,a,0.5\n", "line 2: it has 3 of 4 columns"),
        (HEADER + "x,a,0.5,a,b\n", "line 2: it has 5 of 4 columns"),
        (HEADER + "x,a,0.5,a\nx,a,high,a\n", 'line 3: "confidence" must be a number from 0 to 1, or empty.'),
        (HEADER + "x,a,95,a\n", '"confidence" must be a number'),
        (HEADER + "x,a,nan,a\n", '"confidence" must be a number'),
        (HEADER + "x,a,-inf,a\n", '"confidence" must be a number'),
        (HEADER + "x,a,1e999,a\n", '"confidence" must be a number'),
        (HEADER + "x,a,0.5,a\x00\n", "line 2: there is a NUL character in it"),
        (HEADER + '"x,a,0.5,a\nx,a,0.5,a\n', "line 3: this is not CSV (unexpected end of data): mend the line."),
        (HEADER + '"x"y,a,0.5,a\n', "line 2: this is not CSV"),
        ("prediction,confidence,gold,audit\na,0.5,a,maybe\n", 'line 2: "audit" must be true or false.'),
        ("prediction,confidence,gold,fitted\na,0.5,a,2\n", 'line 2: "fitted" must be true or false.'),
        ('{"prediction": "a", "confidence": 0.5}\n', "has no column"),
    ],
)
def test_files_that_cannot_be_used(content: str, said: str) -> None:
    with pytest.raises(InputError) as told:
        parsed(content)
    assert said in str(told.value)
    assert str(told.value).startswith("f.csv")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("gold,é\n".encode("latin-1"), 'is not UTF-8 text: save it as "CSV UTF-8".'),
        ("gold,confidence\n".encode("utf-16"), "is not UTF-8 text"),
        ("gold,confidence\n".encode("utf-16-le"), "NUL character"),
        (b"PK\x03\x04\x00\x00\xff", "is not UTF-8 text"),
    ],
)
def test_other_encodings_and_other_kinds_of_file(raw: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=said):
        read_audit_file(path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(InputError, match="cannot be read"):
            read_audit_file(path)


def test_long_texts_are_read_and_the_limit_of_others_stays() -> None:
    before = csv.field_size_limit()
    found = parsed(HEADER + f"{'x' * 300_000},a,0.5,a\n")
    assert found.rows == 1
    assert csv.field_size_limit() == before


@given(st.lists(st.text(max_size=40), max_size=8))
def test_whatever_stands_in_a_file_it_is_read_or_refused_in_a_sentence(lines: list[str]) -> None:
    try:
        rows = parsed(HEADER + "\n".join(lines)).rows
    except InputError:
        return
    assert 1 <= rows <= sum(1 + line.count("\n") + line.count("\r") for line in lines)
