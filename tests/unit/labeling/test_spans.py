"""Quoted text -> offsets in code points."""

from __future__ import annotations

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backend.labeling.spans import find_quotes, fold

FAMILY = "👨\u200d👩\u200d👧"
HEART = "❤\ufe0f"
THUMB = "👍🏽"


@pytest.mark.parametrize(
    ("text", "quotes", "found"),
    [
        # the exact characters
        ("Ann met Bob.", ["Ann", "Bob"], ["0-3", "8-11"]),
        ("Ann met Bob.", ["Bob", "Ann"], ["8-11", "0-3"]),
        ("Ann met Bob.", [" Ann "], ["0-3"]),
        ("Ann met Bob.", ["Ann met Bob."], ["0-12"]),
        ("{'a': \"b\"} ''' {{x}}", ["'''", "{{x}}"], ["11-14", "15-20"]),
        # nothing
        ("Ann met Bob.", ["Carl", "", "  ", "\n"], [None, None, None, None]),
        ("Ann met Bob.", ["Ann met Carl"], [None]),
        ("", ["Ann"], [None]),
        ("", [], []),
        # repeats, in reading order
        ("Ann, Ann and Ann", ["Ann", "Ann", "Ann", "Ann"], ["0-3", "5-8", "13-16", None]),
        ("Ann and ANN", ["Ann", "ann"], ["0-3", "8-11"]),
        ("aaa", ["aa", "aa"], ["0-2", None]),
        # whole words first
        ("Anniversary of Ann", ["Ann", "Ann"], ["15-18", None]),
        ("ANNIVERSARY of ANN", ["Ann"], ["15-18"]),
        ("The bus for US", ["us"], ["12-14"]),
        ("Anniversaries", ["Ann"], ["0-3"]),
        ("情感是积极的", ["积极"], ["3-5"]),
        ("Ann's, Ann_x Ann2", ["Ann"], ["0-3"]),
        ("banana", ["an", "an", "an"], ["1-3", "3-5", None]),
        # case, width, and characters that change their length
        ("I met ANN", ["ann"], ["6-9"]),
        ("İstanbul and istanbul", ["istanbul", "İstanbul"], ["13-21", "0-8"]),
        ("İİİ Ann", ["ANN"], ["4-7"]),
        ("In der Straße", ["STRASSE"], ["7-13"]),
        ("In der STRASSE", ["straße"], ["7-14"]),
        ("ß", ["s"], [None]),  # half a character
        ("ﬁne", ["fine"], ["0-3"]),
        ("ﬁne", ["f"], [None]),
        ("ＡＢＣ", ["abc"], ["0-3"]),
        # marks
        ("cafe\u0301 noir", ["café"], ["0-5"]),
        ("café noir", ["cafe\u0301"], ["0-4"]),
        ("cafe\u0301 noir", ["cafe"], [None]),
        ("cafe\u0301", ["caf"], ["0-3"]),
        ("हिन्दी में", ["हिन्दी", "में"], ["0-6", "7-10"]),
        ("हिन्दी", ["हिन्द"], [None]),
        ("कि क", ["क"], ["3-4"]),
        ("می\u200cخواهم", ["می\u200cخواهم", "می"], ["0-8", None]),
        ("שלום עולם", ["עולם"], ["5-9"]),
        # emoji
        (f"{FAMILY} Ann", ["Ann", FAMILY, "👨", "👩"], ["6-9", "0-5", None, None]),
        (f"I {HEART} Ann", ["Ann", HEART, "❤"], ["5-8", "2-4", None]),
        (f"I {HEART} Ann", ["❤"], ["2-4"]),
        ("I ❤ Ann", [HEART], ["2-3"]),
        ("I ❤\ufe0e Ann", [HEART], ["2-4"]),
        (f"{THUMB} ok", [THUMB, "👍"], ["0-2", None]),
        ("😀😀", ["😀", "😀"], ["0-1", "1-2"]),
        # quotes and dashes
        ("He said “Hi”.", ['"Hi"'], ["8-12"]),
        ("It’s Ann‘s", ["It's", "Ann's"], ["0-4", "5-10"]),
        ("«Oui»", ['"Oui"'], ["0-5"]),
        ("1990–2000", ["1990-2000"], ["0-9"]),
        # whitespace
        ("New \n\t York", ["New York"], ["0-11"]),
        ("New York", ["New \n York"], ["0-8"]),
        ("New\u00a0York", ["New York"], ["0-8"]),
        ("\n\n  Ann", ["Ann"], ["4-7"]),
        ("NewYork", ["New York"], [None]),
    ],
)
def test_places(text: str, quotes: list[str], found: list[str | None]) -> None:
    assert [f"{p[0]}-{p[1]}" if p else None for p in find_quotes(text, quotes)] == found


def test_the_offset_map_has_one_entry_a_folded_character() -> None:
    assert fold("aİ  ß") == ("ai̇ ss", [0, 1, 1, 2, 4, 4])


@pytest.mark.parametrize("quotes", [["Ann", "ann met", "nope"], ["a"] * 200])
def test_a_megabyte_of_text(quotes: list[str]) -> None:
    text = "Word ann, " * 100_000
    began = time.perf_counter()
    places = find_quotes(text, quotes)
    assert time.perf_counter() - began < 30
    assert places[0] is not None


# Letters that change their length when folded, marks, joiners, emoji, several scripts and kinds of space.
_TEXT = st.text(
    st.sampled_from(
        "aAbB iIİıßſŉﬁǰΣςσ é\u0301\u0308\u0345\u200d\u200c\ufe0f👨👩🏽❤🇫🇷 \t\n\u00a0\u2028.'’“\"-–कि्नמشﷺ¨½Ⅸ가각"
    ),
    max_size=30,
) | st.text(max_size=30)


@given(_TEXT, _TEXT)
def test_what_is_found_folds_to_what_was_asked(text: str, quote: str) -> None:
    (place,) = find_quotes(text, [quote])
    if place is not None:
        start, end = place
        assert 0 <= start < end <= len(text)
        assert fold(text[start:end])[0].strip() == fold(quote.strip())[0].strip()


@given(_TEXT, st.data())
def test_a_passage_that_is_there_is_found(text: str, data: st.DataObject) -> None:
    starts = [i for i, o in enumerate(fold(text)[1]) if i == 0 or fold(text)[1][i - 1] != o]
    cuts = sorted({fold(text)[1][i] for i in starts} | {len(text)})
    start, end = sorted((data.draw(st.sampled_from(cuts)), data.draw(st.sampled_from(cuts))))
    quote = text[start:end].strip()
    assume(fold(quote)[0].strip())
    (place,) = find_quotes(text, [quote])
    assert place is not None
    assert fold(text[place[0] : place[1]])[0].strip() == fold(quote)[0].strip()
    seen = fold(quote[0])[0] and fold(quote[-1])[0]  # what nobody sees at an edge need not be in the place
    if seen and text.count(quote) == 1 and fold(text)[0].count(fold(quote)[0].strip()) == 1:
        assert text[place[0] : place[1]] == quote


@given(st.lists(st.sampled_from(["Ann", "ann", "Bob", "x"]), max_size=8), st.integers(1, 6))
def test_repeats_never_share_a_place(quotes: list[str], times: int) -> None:
    places = [p for p in find_quotes("Ann met Bob, and ANN " * times, quotes) if p is not None]
    assert len(set(places)) == len(places)


@given(_TEXT)
def test_offsets_grow(text: str) -> None:
    folded, origin = fold(text)
    assert len(folded) == len(origin)
    assert origin == sorted(origin)
    assert all(0 <= i < len(text) for i in origin)


@given(st.text(st.characters(exclude_categories=()), max_size=40), st.lists(st.text(max_size=8), max_size=4))
def test_no_text_makes_it_raise(text: str, quotes: list[str]) -> None:
    assert len(find_quotes(text, quotes)) == len(quotes)


@pytest.mark.parametrize(
    ("text", "quotes", "places"),
    [
        ("New York and York", ["New York", "York"], [(0, 8), (13, 17)]),
        ("York and New York", ["New York", "York"], [(9, 17), (0, 4)]),
        ("Ann Lee met Lee", ["Ann Lee", "Lee"], [(0, 7), (12, 15)]),
        ("only New York", ["New York", "York"], [(5, 13), (9, 13)]),  # nothing is free: one inside the other
    ],
)
def test_a_free_place_comes_before_one_inside_another_quote(
    text: str, quotes: list[str], places: list[tuple[int, int]]
) -> None:
    assert find_quotes(text, quotes) == places


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("die Do\u00adnau fließt", "Donau"),
        ("zero\u200bwidth", "zerowidth"),
        ("\ufeffstart here", "start"),
        ("a \u200fשלום\u200e b", "שלום"),
        ("in \u2067שלום\u200f עולם\u2069", "שלום עולם"),
    ],
)
def test_what_nobody_sees_does_not_part_a_quote_from_its_text(text: str, quote: str) -> None:
    (place,) = find_quotes(text, [quote])
    assert place is not None
    assert "".join(c for c in text[slice(*place)] if c.isalnum() or c.isspace()) == quote


def test_the_tags_of_a_flag_belong_to_it() -> None:
    england = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
    (place,) = find_quotes(f"go {england} go", [england])
    assert place == (3, 3 + len(england))


def test_many_quotes_of_one_letter_are_found_quickly() -> None:
    began = time.perf_counter()
    assert find_quotes("ab " * 3_000, ["a", "b", "ab"] * 1_000).count(None) == 0
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("text", "quotes", "places"),
    [
        # As many as there are: one of them stands inside a longer quote.
        ("Ann, Ann Lee, Ann", ["Ann", "Ann Lee", "Ann", "Ann"], [(0, 3), (5, 12), (5, 8), (14, 17)]),
        ("Ann, Ann Lee, Ann", ["Ann", "Ann Lee", "Ann"], [(0, 3), (5, 12), (14, 17)]),
        ("York in New York", ["York", "New York"], [(0, 4), (8, 16)]),
        ("New York, York", ["York", "New York"], [(10, 14), (0, 8)]),  # the longer one first
        ("ann ANN Ann", ["Ann", "ann", "aNN"], [(8, 11), (0, 3), (4, 7)]),  # letter by letter first
        ("ann ANN", ["Ann", "Ann", "Ann"], [(0, 3), (4, 7), None]),
        ("aaaa", ["aa", "aa", "aa"], [(0, 2), (2, 4), None]),
    ],
)
def test_occurrences_are_dealt_in_reading_order(
    text: str, quotes: list[str], places: list[tuple[int, int] | None]
) -> None:
    assert find_quotes(text, quotes) == places
