"""Which labels the beginning of a value can still become."""

from __future__ import annotations

import pytest

from backend.confidence.spellings import Spellings

LABELS = {label: [label] for label in ("entail", "entailment", "not entail", 'say "hi"', "US", "us", "été")}


@pytest.mark.parametrize(
    ("text", "labels", "ends"),
    [
        ("", set(LABELS), False),
        ("En", {"entail", "entailment"}, False),
        ("entail", {"entail", "entailment"}, False),
        ('entail"', {"entail"}, True),
        ('ENTAIL "}', {"entail"}, True),
        ("entailed", set(), False),
        ("entail.", set(), False),
        ('say \\"', {'say "hi"'}, False),
        ('say "', set(), True),
        ("\\u00E9t", {"été"}, False),
        ("ét", {"été"}, False),
        ("U", {"US"}, False),
        ("us", {"us"}, False),
        ("Us", {"US", "us"}, False),
    ],
)
def test_in_a_json_string(text: str, labels: set[str], ends: bool) -> None:
    assert Spellings(LABELS, quoted=True).begun(text) == (labels, ends)


@pytest.mark.parametrize(
    ("text", "labels", "ends"),
    [
        ("entail", {"entail", "entailment"}, False),
        ("entail.", {"entail"}, True),
        ("Entail\nbecause", {"entail"}, True),
        ("entailed", set(), False),
        ("entail-", set(), False),
        ("not ent", {"not entail"}, False),
        ('say "', {'say "hi"'}, False),
        ("éte", set(), False),
    ],
)
def test_in_plain_text(text: str, labels: set[str], ends: bool) -> None:
    assert Spellings(LABELS, quoted=False).begun(text) == (labels, ends)
