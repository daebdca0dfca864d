"""Which option a string names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.reading.match import Match, Spelled, match_option, normalised, spellings_of


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
        ("?.", spelled("?", "!"), "?", "normalised"),
        ("spam?", spelled("spam?", "ham?"), "spam?", "exact"),
        ("Spam?", spelled("spam?", "ham?"), "spam?", "normalised"),
        ("a", spelled("A", "A-"), "A", "normalised"),
        ("a-", spelled("A", "A-"), "A-", "normalised"),
        ("hiv\u2013", spelled("HIV+", "HIV-"), "HIV-", "normalised"),
        ("**Grade A***", spelled("Grade A*", "Grade B"), "Grade A*", "normalised"),
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
        ("positi", MOODS),  # near is not enough
        ("positive?", MOODS),
        ("!positive", MOODS),
        ("non-positive", MOODS),
        ("not positive", MOODS),
        ("positive or negative", MOODS),
        ("positive, negative", MOODS),
        ("entail", NLI),
        ("-1", spelled("1", "2")),
        ("1.5", spelled("1", "5", "15")),
        ("C", spelled("C++", "C#")),
        ("a b", spelled("A-B", "A/B")),  # two options of one normal form
        ("HIV", spelled("HIV+", "HIV-")),
        ("er", spelled("ER+", "ER-")),
        ("A", spelled("A-", "B")),
        ("Grade A", spelled("Grade A*", "Grade B")),
        ("I", spelled("İ", "ı")),
        ("Ist", spelled("\u0130st")),  # 'İ' folds to two characters, not to 'i'
        ("कि", spelled("क", "ख")),  # a vowel sign is part of the letter
        ("x", [Spelled(value="1", spellings=("x",)), Spelled(value="2", spellings=("x",))]),
        ("x", []),
    ],
)
def test_nothing_is_named(text: str, options: list[Spelled]) -> None:
    assert match_option(text, options) is None


LEVELS = [Spelled(value=str(n - 1), name=str(n), description=f"about {n} points") for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("text", "value", "step"),
    [
        ("1", "0", "exact"),  # the name, not the alias of option 2
        ("2", "1", "exact"),
        ("0", "0", "exact"),
        ("(1)", "0", "normalised"),
        ("about 2 points", "1", "exact"),
        ("About 2 points.", "1", "normalised"),
        ("2: about 2 points", "1", "exact"),
    ],
)
def test_the_name_that_is_shown_goes_first(text: str, value: str, step: str) -> None:
    assert match_option(text, LEVELS) == Match(value=value, step=step)


def test_what_is_one_options_name_is_no_other_options_spelling() -> None:
    assert spellings_of(LEVELS) == {"0": ("1", "0"), "1": ("2",), "2": ("3",)}
    again = [Spelled(value="B", name="a"), Spelled(value="x", name="b")]
    assert spellings_of(again) == {"B": ("a",), "x": ("b", "x")}


def test_a_description_of_two_options_names_none() -> None:
    same = [Spelled(value="a", description="either"), Spelled(value="b", description="either")]
    assert match_option("either", same) is None


SLIPS = spelled("positive", "negative", "neutral")


@pytest.mark.parametrize(
    ("text", "options", "value"),
    [
        ("positve", SLIPS, "positive"),
        ("Postive.", SLIPS, "positive"),
        ("positives", SLIPS, "positive"),
        ("nuetral", SLIPS, "neutral"),
        ("card_not_wroking", spelled("card not working", "card working"), "card not working"),
        ("not entailmnt", spelled("entailment", "not entailment"), "not entailment"),
        ("non positive", spelled("positive", "negative"), None),
        ("nonpositive", spelled("positive", "negative"), None),
        ("entailment", spelled("not entailment", "neutral"), None),
        ("atypical", spelled("typical", "unclear"), None),  # its first letter is not that of the label
        ("untypical", spelled("typical", "unclear"), None),
        ("hypotension", spelled("hypertension", "none"), None),  # two slips in one word
        ("positve", spelled("positive", "positives"), None),  # one slip from the one, two from the other
        ("increased", spelled("increase", "increases"), None),
        ("cta", spelled("cat", "dog"), None),  # short
        ("grade 2", spelled("grade 1", "none"), None),  # digits do not slip
        ("typ3 blood", spelled("type blood", "none"), None),
        ("HIV+", spelled("HIV-", "none"), None),
        ("positive positive", spelled("positive", "none"), None),
        ("x" * 5_000, SLIPS, None),
    ],
)
def test_a_slip_of_the_pen(text: str, options: list[Spelled], value: str | None) -> None:
    match = match_option(text, options)
    assert match == (None if value is None else Match(value=value, step="fuzzy"))


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
