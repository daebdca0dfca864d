"""`prelabel certify` as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.conftest import Run

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(rows: int, audited: int, *, wrong: tuple[int, ...] = (), extra: str = "") -> str:
        """Confidences fall from row to row within the audit and within the rest."""
        lines = ["text,prediction,confidence,gold" + (f",{extra}" if extra else "")]
        for place in range(rows):
            of = audited if place < audited else rows - audited
            score = 1 - (place if place < audited else place - audited) / of
            gold = ("no" if place in wrong else "yes") if place < audited else ""
            lines.append(
                f"[red]text[/] {place},yes,{score:.4f},{gold}" + (",true" if extra and gold else "," * bool(extra))
            )
        path = tmp_path / "f.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(path)

    return write


def test_the_promise_comes_first_and_what_it_rests_on_after(prelabel: Run, write: Write) -> None:
    code, out, err = prelabel("certify", "--file", write(1100, 100, wrong=(30, 60, 90)))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == (
        "95 % sure: at most 5 % of all 1,100 labels are wrong when 600 predictions (54.55 %) are accepted unseen "
        "and people check 400."
    )
    assert lines[1].split() == ["accept", "unseen", "600", "confidence", "0.401", "or", "more"]
    assert lines[2].split() == ["people", "check", "400", "all", "others"]
    assert "of 60 audited there: at most 4.66 % of all labels" in out
    assert lines[-2].startswith("All 100 rows with gold are taken as drawn at random; the promise holds only if")
    assert lines[-1].startswith("The promise is for one look:")


def test_as_json(prelabel: Run, write: Write) -> None:
    code, out, _ = prelabel("certify", "--file", write(1100, 100, extra="audit"), "--json", "--max-error", "0.1")
    told = json.loads(out)
    assert code == 0
    assert len(told["notes"]) == 1
    assert {key: told[key] for key in ("certified", "max_error", "confidence", "error_of")} == {
        "certified": True,
        "max_error": 0.1,
        "confidence": 0.95,
        "error_of": "all",
    }
    assert (told["tasks"], told["accepted"], told["to_check"], told["audited"]) == (1100, 1000, 0, 100)
    assert (told["errors"], told["threshold"]) == (0, 0.001)
    assert told["bound"] == pytest.approx(0.0295, abs=1e-4)
    assert told["saved"] == pytest.approx(1000 / 1100)


def test_the_accepted_alone(prelabel: Run, write: Write) -> None:
    file = write(2200, 200, wrong=tuple(range(100, 200, 4)))
    code, out, _ = prelabel("certify", "--file", file, "--error-of", "accepted")
    assert code == 0
    assert "at most 5 % of the labels from the threshold on are wrong when" in out


def test_too_few_labels(prelabel: Run, write: Write) -> None:
    code, out, _ = prelabel("certify", "--file", write(440, 40))
    assert code == 1
    assert out.splitlines()[0] == (
        "Not certified (at most 5 % wrong, 95 % sure): the audit's 40 labels, 0 of them against the prediction, are "
        "too few. It takes 19 more at least, drawn at random, with no further error among the most confident; with "
        "errors as so far about 19 more to accept half of the tasks."
    )
    _, out, _ = prelabel("certify", "--file", write(440, 40), "--json")
    told = json.loads(out)
    assert (told["certified"], told["why"], told["at_least"]) == (False, "too few labels", 19)
    assert told["reason"].startswith("the audit's 40 labels")


def test_errors_at_a_rate_that_is_never_enough(prelabel: Run, write: Write) -> None:
    code, out, _ = prelabel("certify", "--file", write(440, 40, wrong=(0, 5, 9, 12)))
    assert code == 1
    assert "with errors as so far half of the tasks cannot be accepted, however many are labelled." in out


def test_a_project_that_is_too_small(prelabel: Run, write: Write) -> None:
    code, out, _ = prelabel("certify", "--file", write(20, 1))
    assert code == 1
    assert "the audit's 1 label, 0 of them against the prediction, are too few." in out
    assert "It takes 58 more at least and 19 tasks are left: have people check them." in out


def test_without_an_audit(prelabel: Run, write: Write) -> None:
    code, out, _ = prelabel("certify", "--file", write(440, 0))
    assert (code, len(out.splitlines())) == (1, 1)
    assert "there is no random audit" in out
    assert "Have 59 tasks or more, drawn at random, labelled by people who do not see the prediction." in out


def test_labels_of_the_lowest_confidences_only(prelabel: Run, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    rows = [f"yes,{place / 1000},{'yes' if place < 100 else ''}" for place in range(1000)]
    path.write_text("\n".join(["prediction,confidence,gold", *rows]) + "\n")
    code, out, _ = prelabel("certify", "--file", str(path))
    assert code == 1
    assert "the 100 labelled tasks cannot be a random audit" in out


def test_confidences_that_were_fitted_on_the_audit(prelabel: Run, write: Write) -> None:
    file = write(1100, 100, extra="fitted")
    code, out, _ = prelabel("certify", "--file", file)
    assert code == 1
    assert "fitted on the audit's own labels" in out
    assert "100 rows of the audit were used in fitting and prove nothing" in out
    code, out, _ = prelabel("certify", "--file", file, "--cross-fitted", "--json")
    assert (code, json.loads(out)["bound"]) == (0, pytest.approx(1 - 0.025 ** (1 / 100)))


def test_no_confidence_at_all(prelabel: Run, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("prediction,confidence,gold\na,,a\na,,\n")
    code, out, _ = prelabel("certify", "--file", str(path))
    assert code == 1
    assert "no prediction has a confidence" in out


def test_what_is_not_labelled_yet_is_said(prelabel: Run, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    rows = ["a,0.9,a,true"] * 80 + ["a,0.9,,true"] * 3 + ["a,0.9,,false"] * 20
    path.write_text("\n".join(["prediction,confidence,gold,audit", *rows]) + "\n")
    code, out, _ = prelabel("certify", "--file", str(path))
    assert code == 0
    assert "when 20 predictions (19.42 %) are accepted unseen and people check 3." in out
    assert "3 rows of the audit have no gold yet" in out


def test_everything_is_labelled_already(prelabel: Run, write: Write) -> None:
    code, out, _ = prelabel("certify", "--file", write(60, 60))
    assert code == 0
    assert "nothing is left that could be accepted unseen." in out


@pytest.mark.parametrize("option", ["--max-error", "--confidence"])
@pytest.mark.parametrize("value", ["0", "1", "100", "-0.1", "nan", "five"])
def test_shares_that_are_none(prelabel: Run, write: Write, option: str, value: str) -> None:
    code, out, err = prelabel("certify", "--file", write(60, 60), option, value)
    assert (code, out) == (2, "")
    assert "is not a number between 0 and 1" in err


def test_a_file_that_cannot_be_used(prelabel: Run, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("a,b\n1,2\n")
    code, out, err = prelabel("certify", "--file", str(path))
    assert (code, out) == (1, "")
    assert err.startswith(f"prelabel: {path} has no column")
    code, out, _ = prelabel("certify", "--file", str(path), "--json")
    assert (code, list(json.loads(out))) == (1, ["error"])


def test_no_line_is_cut_in_a_narrow_terminal(prelabel: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = prelabel("certify", "--file", write(1100, 100))
    assert "…" not in out
