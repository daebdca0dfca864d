"""Which option a string names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.reading.match import Match, Spelled, match_option, normalised


def spelled(*values: str) -> list[Spelled]:
    return [Spelled(value=v) for v in values]


MOODS = spelled("positive", "negative", "neutral")
NLI = spelled("entailment", "not entailment", "neutral")


@pytest.mark.parametrize(
    ("text", "options", "value", "step"),
    [
        ("positive", MOODS, "positive", "exact"),
        ("Positive", MOODS, "positive", "normalised"),
        ("  positive.\n", MOODS, "positive", "normalised"),
        ('"positive"', MOODS, "positive", "normalised"),
        ("**Positive**", MOODS, "positive", "normalised"),
        ("ＰＯＳＩＴＩＶＥ", MOODS, "positive", "normalised"),
        ("\ufeffpositive\u200b", MOODS, "positive", "normalised"),
        ("not entailment", NLI, "not entailment", "exact"),
        ("Not-Entailment", NLI, "not entailment", "normalised"),
        ("card_not_working", spelled("card not working", "card working"), "card not working", "normalised"),
        ("C++", spelled("C", "C++", "C#"), "C++", "exact"),
        ("c#", spelled("C", "C++", "C#"), "C#", "normalised"),
        ("c", spelled("C", "C++", "C#"), "C", "normalised"),
        ("-1", spelled("-1", "0", "1"), "-1", "exact"),
        ("−1", spelled("-1", "0", "1"), "-1", "normalised"),
        ("(1)", spelled("-1", "0", "1"), "1", "normalised"),
        ("STRASSE", spelled("Straße", "Weg"), "Straße", "normalised"),
        ("istanbul", spelled("ISTANBUL", "Ankara"), "ISTANBUL", "normalised"),
        ("cafe\u0301", spelled("café", "thé"), "café", "normalised"),
        ("सकारात्मक", spelled("सकारात्मक", "नकारात्मक"), "सकारात्मक", "exact"),
        ("सकारात्मक।", spelled("सकारात्मक", "नकारात्मक"), "सकारात्मक", "normalised"),
        ("إيجابي", spelled("إيجابي", "سلبي"), "إيجابي", "exact"),
        ("👍", spelled("👍", "👎"), "👍", "exact"),
        ("👍.", spelled("👍", "👎"), "👍", "normalised"),
        ("?", spelled("?", "!"), "?", "exact"),
        ("Grade A", [Spelled(value="a", spellings=("Grade A",)), Spelled(value="b")], "a", "exact"),
    ],
)
def test_named_options(text: str, options: list[Spelled], value: str, step: str) -> None:
    assert match_option(text, options) == Match(value=value, step=step)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", MOODS),
        ("   ", MOODS),
        ("!?.", MOODS),
        ("positiv", MOODS),  # near is not enough
        ("positives", MOODS),
        ("non-positive", MOODS),
        ("not positive", MOODS),
        ("positive or negative", MOODS),
        ("positive, negative", MOODS),
        ("entail", NLI),
        ("-1", spelled("1", "2")),
        ("1.5", spelled("1", "5", "15")),
        ("C", spelled("C++", "C#")),
        ("?.", spelled("?", "!")),
        ("a", spelled("A", "A-")),  # two options of one normal form
        ("I", spelled("İ", "ı")),
        ("Ist", spelled("\u0130st")),  # 'İ' folds to two characters, not to 'i'
        ("कि", spelled("क", "ख")),  # a vowel sign is part of the letter
        ("x", [Spelled(value="1", spellings=("x",)), Spelled(value="2", spellings=("x",))]),
        ("x", []),
    ],
)
def test_nothing_is_named(text: str, options: list[Spelled]) -> None:
    assert match_option(text, options) is None


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


@given(st.text(), st.lists(st.text(min_size=1), max_size=6, unique=True))
def test_only_options_are_ever_named(text: str, values: list[str]) -> None:
    options = spelled(*values)
    match = match_option(text, options)
    assert match is None or match.value in values


@given(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True), st.data())
def test_an_option_names_itself(values: list[str], data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(values))
    assert match_option(value, spelled(*values)) == Match(value=value, step="exact")
