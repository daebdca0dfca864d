"""The probability of the chosen label, read off its own tokens."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.confidence.label_logprob import MOST_LABELS, LabelProbability, label_probability
from backend.core.values import TokenLogprob
from tests.unit.confidence.simulated_replies import Kind, simulate

Token = tuple[str, Mapping[str, float]]  # the text, and the probabilities of what stood to choose
MOODS = ("positive", "negative", "neutral")
NLI = ("entail", "entailment", "neutral")


def certain(text: str) -> Token:
    return text, {text: 1.0}


def of_value(tokens: Sequence[Token], chosen: str, labels: Mapping[str, Sequence[str]]) -> LabelProbability | None:
    """Over a reply `{"s": ...}`, whatever the value holds."""
    text = "".join(token for token, _ in tokens)
    return label_probability([_token(t, top) for t, top in tokens], len('{"s": '), text.rindex("}"), chosen, labels)


def of_plain_text(tokens: Sequence[Token], chosen: str, labels: Sequence[str] = MOODS) -> LabelProbability | None:
    """Over a reply that is the label itself, with no quotes of JSON around it."""
    start = "".join(token for token, _ in tokens).casefold().index(chosen)
    listed = [_token(t, top) for t, top in tokens]
    return label_probability(listed, start, start + len(chosen), chosen, {label: [label] for label in labels})


def probability(
    tokens: Sequence[Token], chosen: str, labels: Sequence[str] | Mapping[str, Sequence[str]] = MOODS
) -> LabelProbability | None:
    """Over a reply whose only string value is the last string in it."""
    text = "".join(token for token, _ in tokens)
    end = text.rindex('"') + 1
    start = text.rindex('"', 0, end - 1)
    spellings = labels if isinstance(labels, Mapping) else {label: [label] for label in labels}
    return label_probability([_token(t, top) for t, top in tokens], start, end, chosen, spellings)


def _token(text: str, top: Mapping[str, float]) -> TokenLogprob:
    ranked = sorted(((t, math.log(p)) for t, p in top.items()), key=lambda pair: -pair[1])
    return TokenLogprob(token=text, logprob=math.log(top.get(text, 0.01)), top=tuple(ranked))


BEFORE, AFTER = certain('{"s": "'), certain('"}')


@pytest.mark.parametrize(
    ("name", "tokens", "chosen", "labels", "expected"),
    [
        ("one token", [BEFORE, ("positive", {"positive": 0.7, "negative": 0.2, "neutral": 0.1}), AFTER],
         "positive", MOODS, 0.7),
        ("normalised over the set", [BEFORE, ("positive", {"positive": 0.6, "negative": 0.2, "joy": 0.2}), AFTER],
         "positive", ("positive", "negative"), 0.75),
        ("a shared first token", [BEFORE, ("ne", {"ne": 0.8, "positive": 0.2}),
                                  ("utral", {"utral": 0.6, "gative": 0.4}), AFTER],
         "neutral", MOODS, 0.8 * 0.6),
        ("a first token that all share", [BEFORE, certain("n"), ("o", {"o": 0.7, "ever": 0.3}), AFTER],
         "no", ("no", "never"), 0.7),
        ("case variants before the grammar", [BEFORE, ("positive", {" Positive": 0.5, "positive": 0.2, "POS": 0.1,
                                                                      "Negative": 0.2}), AFTER],
         "positive", MOODS, 0.8),
        ("variants of a shared beginning", [BEFORE, ("ne", {"ne": 0.5, " Ne": 0.3, "positive": 0.2}),
                                            ("utral", {"utral": 0.5, "gative": 0.5}), AFTER],
         "neutral", MOODS, 0.8 * 0.5),
        ("a shared beginning that was not taken says nothing",
         [BEFORE, ("neutral", {"neutral": 0.4, "ne": 0.2, "positive": 0.4}), AFTER], "neutral", MOODS, 0.5),
        ("a quote fused in front", [certain('{"s":'), (' "pos', {' "pos': 0.7, ' "neg': 0.3}), certain('itive"}')],
         "positive", ("positive", "negative"), 0.7),
        ("a quote fused behind", [BEFORE, ('no"', {'no"': 0.6, 'yes"': 0.4}), certain("}")], "no", ("yes", "no"), 0.6),
        ("a whole reply in one token", [('{"s": "no"}', {'{"s": "no"}': 0.9, '{"s": "yes"}': 0.1})],
         "no", ("yes", "no"), 0.9),
        ("only quotes and space as alternatives", [certain('{"s":'), (' "', {' "': 0.6, ' ""': 0.3, " ": 0.1}),
                                                    ("no", {"no": 0.6, "yes": 0.4}), AFTER],
         "no", ("yes", "no"), 0.6),
        ("the shorter of two parts at the quote", [BEFORE, ("entail", {"entail": 0.8, "neutral": 0.2}),
                                                    ('"}', {'"}': 0.6, "ment": 0.4})],
         "entail", NLI, 0.8 * 0.6),
        ("the longer of two parts at the quote", [BEFORE, ("entail", {"entail": 0.8, "neutral": 0.2}),
                                                   ("ment", {'"}': 0.6, "ment": 0.4}), AFTER],
         "entailment", NLI, 0.8 * 0.4),
        ("the shorter one against the whole longer one",
         [BEFORE, ("entail", {"entail": 0.5, "entailment": 0.3, "neutral": 0.2}), certain('"}')], "entail", NLI, 0.5),
        ("the longer one against the whole shorter one",
         [BEFORE, ("entailment", {"entail": 0.5, "entailment": 0.3, "neutral": 0.2}), certain('"}')],
         "entailment", NLI, 0.3),
        ("labels of several words", [BEFORE, ("not", {"not": 0.7, "ent": 0.3}), certain(" ent"), certain("ailment"),
                                     AFTER],
         "not entailment", ("entailment", "not entailment"), 0.7),
        ("an alias and a name are one label", [BEFORE, ("good", {"good": 0.5, "pos": 0.3, "neg": 0.2}), AFTER],
         "pos", {"pos": ["pos", "good"], "neg": ["neg", "bad"]}, 0.8),
        ("a label below the listed ones has at most the least listed probability",
         [BEFORE, ("positive", {"positive": 0.9, "joy": 0.04}), AFTER], "positive", MOODS, 0.9 / (0.9 + 0.06)),
        ("one alternative alone, not certain", [BEFORE, ("yes", {"yes": 0.7}), AFTER], "yes", ("yes", "no"), 0.7),
        ("a chosen label below the listed ones", [BEFORE, ("positive", {"negative": 0.7, "neutral": 0.2}), AFTER],
         "positive", MOODS, 0.01 / 0.91),
        ("an alternative that spells the whole label beside its beginning",
         [BEFORE, ("ne", {"ne": 0.5, "neutral": 0.3, "positive": 0.2}),
          ("utral", {"utral": 0.5, "gative": 0.5}), AFTER], "neutral", MOODS, 0.55),
        ("a whole label in other case beside its beginning",
         [BEFORE, ("ne", {"Neutral": 0.6, "ne": 0.3, "positive": 0.1}),
          ("utral", {"utral": 0.6, "gative": 0.4}), AFTER], "neutral", MOODS, 0.78),
        ("a beginning of two labels, shorter than the one taken, is split between them",
         [BEFORE, ("neut", {"neut": 0.5, "n": 0.2, "positive": 0.3}), certain("ral"), AFTER], "neutral", MOODS, 0.6),
        ("another label begun by the token that opens the quotes",
         [certain('{"s":'), (' "', {' "': 0.5, ' "negative': 0.5}), ("positive", {"positive": 0.99, "neutral": 0.01}),
          AFTER], "positive", MOODS, 0.5 * 0.99),
        ("another label begun by the space before the quotes",
         [certain('{"s":'), (" ", {" ": 0.4, ' "': 0.4, ' "neg': 0.2}), certain('"'),
          ("positive", {"positive": 0.9, "neutral": 0.1}), AFTER], "positive", MOODS, 0.8 * 0.9),
        ("spaced otherwise before the quotes",
         [certain('{"s"'), (': "', {': "': 0.5, ':"negative': 0.5}), ("positive", {"positive": 0.9, "neutral": 0.1}),
          AFTER], "positive", MOODS, 0.5 * 0.9),
        ("what is no value says nothing before the quotes",
         [certain('{"s"'), (': "', {': "': 0.5, "\n": 0.5}), ("positive", {"positive": 0.9, "neutral": 0.1}), AFTER],
         "positive", MOODS, 0.9),
        ("only case tells the labels apart, and the tokens do",
         [BEFORE, ("US", {"US": 0.5, "us": 0.4, "UK": 0.1}), AFTER], "US", ("US", "us", "UK"), 0.5),
        ("Devanagari", [BEFORE, ("सका", {"सका": 0.9, "नका": 0.1}), certain("रात्मक"), AFTER],
         "सकारात्मक", ("सकारात्मक", "नकारात्मक"), 0.9),
    ],
)  # fmt: skip
def test_cases(name: str, tokens: Sequence[Token], chosen: str, labels: Sequence[str], expected: float | None) -> None:
    found = probability(tokens, chosen, labels)
    assert (found and found.probability) == (expected if expected is None else pytest.approx(expected)), name


def test_mass_outside_the_label_set_is_its_own_signal() -> None:
    found = probability([BEFORE, ("positive", {"positive": 0.6, "I": 0.3, "negative": 0.1}), AFTER], "positive")
    assert found is not None
    assert found.off_label == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("name", "tokens", "chosen", "labels"),
    [
        ("no alternatives", [BEFORE, ("positive", {}), AFTER], "positive", MOODS),
        ("no tokens at the value", [], "positive", MOODS),
        ("everything certain", [BEFORE, certain("positive"), AFTER], "positive", MOODS),
        ("not spelled by the tokens", [BEFORE, ("ＮＯ", {"ＮＯ": 0.6, "yes": 0.4}), AFTER], "no", ("yes", "no")),
        ("a chosen label outside the set", [BEFORE, ("joy", {"joy": 0.6, "x": 0.4}), AFTER], "joy", MOODS),
        (
            "only case tells the labels apart, and is that of neither",
            [BEFORE, ("Us", {"Us": 0.5, "us": 0.4}), AFTER],
            "US",
            ("US", "us"),
        ),
        ("one label alone", [BEFORE, ("positive", {"positive": 0.6, "x": 0.4}), AFTER], "positive", ("positive",)),
    ],
)
def test_unknown_is_none(name: str, tokens: Sequence[Token], chosen: str, labels: Sequence[str]) -> None:
    if not tokens:
        assert label_probability([], 6, 16, chosen, {label: [label] for label in labels}) is None
    else:
        assert probability(tokens, chosen, labels) is None, name


def test_two_labels_that_share_the_spelling_cannot_be_told_apart() -> None:
    tokens = [BEFORE, ("other", {"other": 0.6, "pos": 0.4}), AFTER]
    assert probability(tokens, "x", {"x": ["x", "other"], "y": ["y", "other"], "pos": ["pos"]}) is None


def test_of_labels_with_quotes_in_them_the_longer_one_parts_at_an_escaped_quote() -> None:
    labels = {label: [label] for label in ("say", 'say "hi"', "shout")}
    head = [certain('{"s": "'), ("say", {"say": 0.6, "shout": 0.4})]
    options = {'"}': 0.3, ' \\"': 0.7}
    shorter = of_value([*head, ('"}', options)], "say", labels)
    longer = of_value([*head, (' \\"', options), certain("hi"), certain('\\"'), certain('"}')], 'say "hi"', labels)
    assert shorter is not None
    assert longer is not None
    assert (shorter.probability, longer.probability) == (pytest.approx(0.18), pytest.approx(0.42))


@pytest.mark.parametrize("label", ['a "b"', "a\\b", "two\nlines", "été"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_label_is_found_as_json_writes_it(label: str, ascii_only: bool) -> None:
    written = json.dumps(label, ensure_ascii=ascii_only)[1:-1]
    tokens = [certain('{"s": "'), (written, {written: 0.7, "other": 0.3}), certain('"}')]
    found = of_value(tokens, label, {label: [label], "other": ["other"]})
    assert found is not None
    assert found.probability == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("name", "tokens", "chosen", "labels", "expected"),
    [
        ("one token", [(" positive", {" positive": 0.2, " Positive": 0.5, " negative": 0.3})], "positive", MOODS, 0.7),
        ("with what follows it", [("Positive.", {"Positive.": 0.6, "Negative,": 0.4})], "positive", MOODS, 0.6),
        ("quotes of its own", [('"', {'"': 0.5, "negative": 0.5}), ("positive", {"positive": 0.8, "neutral": 0.2}),
                               certain('"')], "positive", MOODS, 0.4),
        ("the shorter of two, with the line's end", [("entail", {"entail": 0.8, "neutral": 0.2}),
                                                      ("\n", {"\n": 0.6, "ment": 0.3, ".": 0.1})], "entail", NLI, 0.56),
        ("the shorter of two, with the reply's end",
         [("entail", {"entail": 0.8, "neutral": 0.2}), ("</s>", {"</s>": 0.5, "": 0.2, "ment": 0.3})],
         "entail", NLI, 0.56),
        ("the shorter of two, its end unseen", [("entail", {"entail": 0.8, "neutral": 0.2})], "entail", NLI, None),
    ],
)  # fmt: skip
def test_labels_in_plain_text(
    name: str, tokens: Sequence[Token], chosen: str, labels: Sequence[str], expected: float | None
) -> None:
    found = of_plain_text(tokens, chosen, labels)
    assert (found and found.probability) == (expected if expected is None else pytest.approx(expected)), name


def test_what_was_split_is_told() -> None:
    found = probability([BEFORE, ("neutral", {"neutral": 0.4, "ne": 0.2, "positive": 0.4}), AFTER], "neutral")
    assert found is not None
    assert found.assumed == pytest.approx(0.2)


def test_a_value_that_is_no_string_has_no_probability() -> None:
    tokens = [_token(t, top) for t, top in (certain('{"s": ["'), ("no", {"no": 0.6, "yes": 0.4}), certain('"]}'))]
    assert label_probability(tokens, 6, 12, "no", {"yes": ["yes"], "no": ["no"]}) is None


def test_probabilities_of_zero_are_unknown() -> None:
    top = (("no", -9999.0), ("yes", -9999.0))
    tokens = [TokenLogprob(token=t, logprob=-9999.0, top=top) for t in ('{"s": "', "no", '"}')]
    assert label_probability(tokens, 6, 10, "no", {"yes": ["yes"], "no": ["no"]}) is None


_LABELS = st.lists(st.text("abcde-é İ", min_size=1, max_size=8).map(str.strip), min_size=2, max_size=5, unique=True)


@given(_LABELS, st.data())
def test_the_chain_rule_holds_for_every_way_of_cutting_labels_into_tokens(
    labels: list[str], data: st.DataObject
) -> None:
    """A model that draws a label from a known distribution, one token after the other, is read back exactly."""
    folded = {label.casefold().strip() for label in labels}
    if len(folded) < len(labels) or "" in folded:
        return
    weights = [data.draw(st.floats(0.05, 1)) for _ in labels]
    distribution = {label: w / sum(weights) for label, w in zip(labels, weights, strict=True)}
    chosen = data.draw(st.sampled_from(labels))
    width = data.draw(st.integers(1, 4))
    tokens = [BEFORE, *_drawn(chosen, distribution, width)]
    found = probability(tokens, chosen, labels)
    assert found is not None
    assert found.probability == pytest.approx(distribution[chosen], rel=1e-6)


def _drawn(chosen: str, distribution: Mapping[str, float], width: int) -> list[Token]:
    """Tokens of `width` characters, the closing quote a token of its own, with their true alternatives."""
    tokens: list[Token] = []
    for at in range(0, len(chosen) + 1, width):
        alive = {label: p for label, p in distribution.items() if label[:at] == chosen[:at] and len(label) >= at}
        pieces: dict[str, float] = {}
        for label, p in alive.items():
            piece = label[at : at + width] or '"'
            pieces[piece] = pieces.get(piece, 0.0) + p / sum(alive.values())
        tokens.append((chosen[at : at + width] or '"', pieces))
    return tokens if tokens[-1][0] == '"' else [*tokens, certain('"')]


_TOKENS = st.lists(
    st.builds(
        lambda token, top: TokenLogprob(token=token, logprob=-0.5, top=tuple(top)),
        st.text('po"ne{}:, ', max_size=4),
        st.lists(st.tuples(st.text('po"ne{}:, ', max_size=4), st.floats(max_value=0.0, allow_nan=False)), max_size=4),
    ),
    max_size=8,
)


@given(_TOKENS, st.integers(0, 20), st.integers(0, 20))
def test_no_tokens_make_it_raise_or_leave_the_unit_interval(tokens: list[TokenLogprob], start: int, end: int) -> None:
    found = label_probability(tokens, start, end, "po", {"po": ["po"], "pone": ["pone"], "ne": ["ne"]})
    assert found is None or (0 <= found.probability <= 1 and 0 <= found.off_label <= 1)


@pytest.mark.parametrize("canonical", [0.97, 0.7, 0.3])
@pytest.mark.parametrize("quoted", [True, False])
def test_with_all_alternatives_the_truth_is_no_further_off_than_what_was_assumed(
    canonical: float, quoted: bool
) -> None:
    for seed in range(200):
        case = simulate(Random(seed), Kind(top=1_000_000, canonical=canonical, quoted=quoted))
        spellings = {label: [label] for label in case.labels}
        found = label_probability(case.tokens, case.start, case.end, case.chosen, spellings)
        assert found is not None
        assert abs(found.probability - case.truth) <= found.assumed + 1e-6, (seed, case)


@pytest.mark.parametrize(
    ("kind", "above_005", "above_02"),
    [
        # A tokenizer that keeps quotes apart, as most do, and mostly cuts a text in one way.
        (Kind(canonical=0.97, fused=False), 0.15, 0.05),
        (Kind(canonical=0.97, fused=False, top=5, greedy=True), 0.14, 0.03),
        (Kind(canonical=0.97, fused=False, variants=True, other=0.1), 0.66, 0.16),
        (Kind(canonical=0.97, fused=False, variants=True, other=0.1, top=5, greedy=True), 0.68, 0.17),
        (Kind(canonical=0.97, fused=False, quoted=False, other=0.1), 0.15, 0.04),
        # One that fuses anything, and one that also cuts as it likes.
        (Kind(canonical=0.97), 0.38, 0.09),
        (Kind(canonical=0.97, top=5, greedy=True), 0.33, 0.05),
        (Kind(canonical=0.5), 0.48, 0.09),
        (Kind(canonical=0.5, variants=True, other=0.1), 0.64, 0.17),
    ],
)
def test_how_far_it_is_off_in_simulated_replies(kind: Kind, above_005: float, above_02: float) -> None:
    errors = []
    for seed in range(400):
        case = simulate(Random(seed), kind)
        spellings = {label: [label] for label in case.labels}
        found = label_probability(case.tokens, case.start, case.end, case.chosen, spellings)
        assert found is not None
        errors.append(abs(found.probability - case.truth))
    assert sum(e > 0.05 for e in errors) <= above_005 * len(errors)
    assert sum(e > 0.2 for e in errors) <= above_02 * len(errors)


def test_each_label_has_its_probability() -> None:
    found = probability([BEFORE, ("positive", {"positive": 0.6, "negative": 0.2, "neutral": 0.1}), AFTER], "positive")
    assert found is not None
    assert dict(found.labels) == pytest.approx({"positive": 2 / 3, "negative": 2 / 9, "neutral": 1 / 9})
    assert list(found.labels) == ["positive", "negative", "neutral"]
    assert found.labels["positive"] == found.probability
    assert found.rest == 0.0


def test_labels_that_part_where_the_reply_did_not_go_share_equally() -> None:
    found = probability([BEFORE, ("positive", {"positive": 0.6, "ne": 0.4}), AFTER], "positive")
    assert found is not None
    assert dict(found.labels) == pytest.approx({"positive": 0.6, "negative": 0.2, "neutral": 0.2})


def test_labels_that_part_on_the_way_have_their_own() -> None:
    tokens = [BEFORE, ("ne", {"ne": 0.8, "positive": 0.2}), ("utral", {"utral": 0.6, "gative": 0.4}), AFTER]
    found = probability(tokens, "neutral")
    assert found is not None
    assert dict(found.labels) == pytest.approx({"neutral": 0.48, "negative": 0.32, "positive": 0.2})


def test_of_many_labels_the_likeliest_are_kept_and_the_chosen_one() -> None:
    names = [f"{letter}{other}" for letter in "abcdefgh" for other in "xyzvw"]
    listed = {name: 0.02 + 0.0001 * place for place, name in enumerate(names)}
    listed["ax"] = 0.001  # chosen all the same, by a sampled answer
    found = probability([BEFORE, ("ax", listed), AFTER], "ax", names)
    assert found is not None
    assert len(found.labels) == MOST_LABELS == 20
    assert next(iter(found.labels)) == "hw"
    assert list(found.labels)[-1] == "ax"
    assert sum(found.labels.values()) + found.rest == pytest.approx(1)
    assert found.rest > 0.3


@given(st.integers(0, 2**32), st.builds(Kind, top=st.integers(1, 20), variants=st.booleans(), quoted=st.booleans()))
def test_label_probabilities_of_any_reply_sum_up_to_one(seed: int, kind: Kind) -> None:
    case = simulate(Random(seed), kind)
    spellings = {label: [label] for label in case.labels}
    found = label_probability(case.tokens, case.start, case.end, case.chosen, spellings)
    if found is not None:
        assert set(found.labels) == set(case.labels)
        assert sum(found.labels.values()) == pytest.approx(1)
        assert found.labels[case.chosen] == pytest.approx(found.probability)
