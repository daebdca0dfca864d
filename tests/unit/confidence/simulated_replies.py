"""Replies of a model whose distribution over labels is known exactly, cut into tokens in several ways.

A model here is a distribution over whole replies, and a tokenizer a vocabulary with, at each place of a reply, a
distribution over the pieces that fit there: one is preferred (the longest, as a trained tokenizer would), the others
are possible too. Both together give the true probability of every next token, and so the alternatives an endpoint
would list, while the probability of each label is known from the start.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from backend.core.values import TokenLogprob

LABEL_SETS: tuple[tuple[str, ...], ...] = (
    ("positive", "negative", "neutral"),
    ("entail", "entailment", "neutral"),
    ("entailment", "not entailment", "not enough"),
    ("yes", "no", "not sure"),
    ("say", 'say "hi"', "say\\no"),
    ("été", "étage", "eta"),
    ("US", "us", "UK"),
    ("supports", "refutes", "not enough info", "refers"),
)
_LETTERS = "abc-é"
_OTHERS = ("I", "null", "unknown", "neg.", "n/a")


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """One reply, the range of its value, and the truth about the label in it."""

    labels: tuple[str, ...]
    chosen: str
    tokens: tuple[TokenLogprob, ...]
    start: int
    end: int
    truth: float


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is simulated: see `simulate`."""

    top: int = 20
    greedy: bool = False
    canonical: float = 0.9  # how much of the mass the longest piece takes; what is left is for the others
    other: float = 0.0  # share of replies that are no label
    variants: bool = False  # the model also writes labels in other case, space and quotes; the reply does not
    fused: bool = True  # a token may hold a quote and a part of the label
    quoted: bool = True


def simulate(random: Random, kind: Kind) -> Simulated:
    """A random label set, distribution and vocabulary, and one reply."""
    labels = _label_set(random)
    sharpness = random.choice((0.3, 1.0, 3.0))
    weights = _normalised({label: random.gammavariate(sharpness, 1.0) + 1e-6 for label in labels})
    allowed, written = {}, {}
    for label, weight in weights.items():
        for spelled, share in _spelled(label, random, kind).items():
            written[spelled] = written.get(spelled, 0.0) + weight * share * (1.0 - kind.other)
        allowed |= {text: label for text in _own(label, quoted=kind.quoted)}
    for text in random.sample(_OTHERS, 2) if kind.other else ():
        written[_framed(text, quoted=kind.quoted)] = written.get(_framed(text, quoted=kind.quoted), 0) + kind.other / 2
    vocabulary = _vocabulary(random, list(written), fused=kind.fused)
    reply, tokens = _reply(random, kind, written, allowed, vocabulary)
    chosen = allowed[reply]
    opening = '{"s":' if kind.quoted else "Label:"
    before = TokenLogprob(token=opening, logprob=0.0, top=((opening, 0.0),))
    start = len(opening) + 1
    return Simulated(
        labels=labels,
        chosen=chosen,
        tokens=(before, *tokens),
        start=start,
        end=start + len(reply) - 2,  # the space before and the brace or line break behind
        truth=weights[chosen],
    )


def _label_set(random: Random) -> tuple[str, ...]:
    if random.random() < 0.6:
        return random.choice(LABEL_SETS)
    while True:
        drawn = {"".join(random.choices(_LETTERS, k=random.randint(1, 6))) for _ in range(random.randint(2, 5))}
        if len(drawn) > 1:
            return tuple(sorted(drawn))


def _framed(value: str, *, quoted: bool, ascii_only: bool = False) -> str:
    return f" {json.dumps(value, ensure_ascii=ascii_only)}}}" if quoted else f" {value}\n"


def _own(label: str, *, quoted: bool) -> set[str]:
    """What the reply may hold for a label."""
    return {_framed(label, quoted=quoted, ascii_only=a) for a in (True, False)}


def _spelled(label: str, random: Random, kind: Kind) -> dict[str, float]:
    """The texts that a label is written as, and how often."""
    texts = sorted(_own(label, quoted=kind.quoted))
    shares = {text: random.random() for text in texts}
    if kind.variants and not set(label) & set('"\\'):
        capital = label.capitalize() if label not in ("US", "us", "UK") else label
        for text in (
            texts[-1].replace(label, capital),
            texts[-1].replace(label, " " + label),
            texts[-1].replace('"', "", 1),
        ):
            shares[text] = shares.get(text, 0.0) + random.random()
    return _normalised(shares)


def _vocabulary(random: Random, texts: Sequence[str], *, fused: bool) -> set[str]:
    """Every character, and random pieces of the texts."""
    vocabulary = {c for text in texts for c in text}
    for text in texts:
        for _ in range(random.randint(0, 8)):
            at = random.randrange(len(text)) if random.random() < 0.6 else min(random.randrange(3), len(text) - 1)
            vocabulary.add(text[at : at + random.randint(1, 10)])
    if not fused:
        vocabulary = {v for v in vocabulary if v.strip(' "}\n') in ("", v)} | {' "', '"}'}
    return vocabulary


def _pieces(text: str, vocabulary: set[str], canonical: float) -> dict[str, float]:
    """The tokens that a text can go on with."""
    fitting = [text[:n] for n in range(len(text), 0, -1) if text[:n] in vocabulary]
    rest = (1.0 - canonical) / len(fitting)
    return {piece: rest + (canonical if at == 0 else 0.0) for at, piece in enumerate(fitting)}


def _reply(
    random: Random, kind: Kind, written: Mapping[str, float], allowed: Mapping[str, str], vocabulary: set[str]
) -> tuple[str, list[TokenLogprob]]:
    """Draw one token after the other; only what leads to an allowed text may be drawn, everything is listed."""
    tokens: list[TokenLogprob] = []
    alive, at = dict(written), 0
    while not any(len(text) == at for text in alive):
        following: dict[str, dict[str, float]] = {}
        for text, weight in alive.items():
            for piece, share in _pieces(text[at:], vocabulary, kind.canonical).items():
                if weight * share > 0.0:
                    following.setdefault(piece, {})[text] = weight * share
        total = sum(alive.values())
        masses = {piece: sum(texts.values()) / total for piece, texts in following.items()}
        open_ = {p: sum(w for t, w in following[p].items() if t in allowed) for p in following}
        open_ = {p: m for p, m in open_.items() if m > 0.0}
        piece = (
            max(open_, key=lambda p: open_[p]) if kind.greedy else random.choices(*zip(*open_.items(), strict=True))[0]
        )
        ranked = sorted(masses.items(), key=lambda pair: -pair[1])[: kind.top]
        top = tuple((p, math.log(m)) for p, m in ranked)
        tokens.append(TokenLogprob(token=piece, logprob=math.log(masses[piece]), top=top))
        alive, at = following[piece], at + len(piece)
    return next(text for text in alive if len(text) == at), tokens


def _normalised(weights: Mapping[str, float]) -> dict[str, float]:
    return {key: weight / sum(weights.values()) for key, weight in weights.items()}
