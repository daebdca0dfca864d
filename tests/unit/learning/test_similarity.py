"""Which options are most like a text."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.learning.similarity import MAX_QUERY_CHARS, ranking, words_of

INTENTS = ["card_arrival", "exchangeRate", "Lost or stolen card", "top_up_failed", "verify_my_identity"]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("When will my card arrive?", "card_arrival"),
        ("what are your exchange rates", "exchangeRate"),  # camelCase, and the plural
        ("MY CARD WAS STOLEN", "Lost or stolen card"),
        ("the top-up has failed", "top_up_failed"),
        ("verifying identities", "verify_my_identity"),  # no word in common: characters
    ],
)
def test_what_shares_words_or_parts_of_words_comes_first(query: str, first: str) -> None:
    assert INTENTS[ranking(query, INTENTS)[0]] == first


@pytest.mark.parametrize("query", ["", "   ", "?!", "зебра", "\ud800"])
def test_a_text_that_shares_nothing_leaves_the_order(query: str) -> None:
    assert ranking(query, INTENTS) == (0, 1, 2, 3, 4)


def test_the_equally_similar_keep_their_order() -> None:
    assert ranking("red", ["blue", "red", "green", "red", "RED", "grey"]) == (1, 3, 4, 0, 2, 5)


@pytest.mark.parametrize(
    ("query", "options", "first"),
    [
        ("我想退款", ["物流", "退款", "发票"], 1),
        ("Возврат товара", ["Доставка", "Возврат"], 1),
        ("une réclamation", ["livraison", "réclamation"], 1),
        ("ÜBERWEISUNG", ["Karte", "Überweisung"], 1),
        ("broken", ["!!", "", "\x00", "\ud800 broken"], 3),
        ("a b", ["c d", "a b c", "a b"], 2),  # one letter is a word too
    ],
)
def test_other_scripts_and_odd_options(query: str, options: list[str], first: int) -> None:
    assert ranking(query, options)[0] == first


def test_options_without_a_word_keep_their_order() -> None:
    assert ranking("anything", ["!", "", "_", "..."]) == (0, 1, 2, 3)
    assert ranking("anything", []) == ()


def test_only_the_beginning_of_a_long_text_counts() -> None:
    assert ranking("x " * MAX_QUERY_CHARS + "card arrival", INTENTS) == (0, 1, 2, 3, 4)


def test_names_come_apart_into_words() -> None:
    assert words_of("Refund_not_showingUp > HTTPError/404") == "refund not showing up httperror 404"


@settings(max_examples=50, deadline=None)
@given(
    st.text(st.characters(), max_size=200),
    st.lists(st.text(st.characters(), max_size=30), max_size=20),
)
def test_any_text_and_options_give_the_same_permutation_each_time(query: str, options: list[str]) -> None:
    found = ranking(query, options)
    assert sorted(found) == list(range(len(options)))
    assert ranking(query, list(options)) == found


def test_nothing_but_ranking_pays_for_scikit_learn() -> None:
    """Neither the service nor the command line nor the dialogue with short lists."""
    code = "import sys, backend.cli, backend.wiring, backend.web.app; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_right_intent_is_mostly_among_the_first(shared_data: Path) -> None:
    """The figures are in docs/benchmarks.md; here is what they must not fall below."""
    with (shared_data / "text" / "intent_banking77.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    options = sorted({row["label"] for row in rows})
    places = [ranking(row["text"], options).index(options.index(row["label"])) for row in rows[:600]]
    assert [
        sum(place < most for place in places) / len(places) >= share
        for most, share in ((10, 0.78), (20, 0.86), (40, 0.92))
    ] == [True] * 3
