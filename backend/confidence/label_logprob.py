"""The probability of the chosen label, read off the label's own tokens and normalised over the label set.

Averaging over all tokens of a reply (MEGAnno+, arXiv 2402.18050) counts braces and quotes, which are certain, and
reads a label probability of 0.5 as about 0.87. Here only the tokens of the value count, and only against the other
labels. Log-probabilities under a grammar or schema are often those *before* the grammar, so that ` Positive` may
stand above the chosen ` positive`: all spellings of a label are summed, case and surrounding quotes folded.

At each token of the value, every label that still fits what was written is alive. The alternatives of that token
split their probability between the chosen label and the others that they could begin. Labels that share a first
token ("neutral", "negative") part at a later one, and of two labels where one begins the other ("entail",
"entailment") the shorter one parts at the closing quote.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backend.core.values import TokenLogprob

_BEFORE_A_LABEL = " \t\r\n\"'`"
_CERTAIN = 1.0 - 1e-9


@dataclass(frozen=True, kw_only=True)
class LabelProbability:
    """`probability` in [0, 1] of the chosen label; `off_label` the mass at its first token that begins no label."""

    probability: float
    off_label: float


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One token of the value."""

    token: TokenLogprob
    lead: str  # what of it stands before the label
    written: str  # what of the label stands before it, folded
    text: str  # the part of it that belongs to the label, folded; empty for a closing quote alone
    closes: bool  # it reaches the closing quote

    @property
    def alternatives(self) -> list[tuple[str, float]]:
        """The other tokens that were considered, with their probabilities."""
        return [(t, math.exp(min(0.0, logprob))) for t, logprob in self.token.top if t != self.token.token]

    @property
    def probability(self) -> float:
        return math.exp(min(0.0, self.token.logprob))


def label_probability(
    tokens: Sequence[TokenLogprob],
    start: int,
    end: int,
    chosen: str,
    spellings: Mapping[str, Sequence[str]],
) -> LabelProbability | None:
    """Probability of the label `chosen` against the other keys of `spellings`.

    `start` and `end` are the half-open character range of the label in the concatenated tokens; of a JSON string, with
    its quotes.
    None, which is unknown and not 0.5, when the tokens carry no alternatives, do not spell the label, or are all
    certain where the labels part (an endpoint that reports 0.0 for everything).
    """
    labels = {label: [form.casefold().strip() for form in forms] for label, forms in spellings.items()}
    alive = set(labels) - {chosen}
    if chosen not in labels or not alive:
        return None
    share, off_label, informed = 1.0, 0.0, False
    for step in _steps(tokens, start, end):
        if not alive:
            break
        now = step.written + step.text
        if not step.token.top or not any(f.startswith(now) or now.startswith(f) for f in labels[chosen]):
            return None
        mine, theirs, outside = _split(step, labels[chosen], {label: labels[label] for label in alive})
        if step.text and not step.written:
            off_label = outside
        if mine + theirs <= 0.0:
            return None
        if step.alternatives or mine < _CERTAIN:
            share *= mine / (mine + theirs)
            informed = True
        alive = {label for label in alive if _fits(now, labels[label], whole=step.closes)}
    if not informed:
        return None
    return LabelProbability(probability=min(1.0, max(0.0, share)), off_label=min(1.0, max(0.0, off_label)))


def _steps(tokens: Sequence[TokenLogprob], start: int, end: int) -> Iterator[_Step]:
    """The tokens that hold a part of the label or its closing quote."""
    quoted = "".join(t.token for t in tokens)[start : start + 1] == '"'
    begin_label, end_label, begin, written = start + quoted, end - quoted, 0, ""
    for token in tokens:
        after = begin + len(token.token)
        if begin_label < after and begin <= end_label:
            text = token.token[max(0, begin_label - begin) : max(0, end_label - begin)].casefold()
            text = text if written else text.lstrip()
            lead = token.token[: max(0, begin_label - begin)]
            yield _Step(token=token, lead=lead, written=written, text=text, closes=after > end_label)
            written += text
        begin = after


def _split(step: _Step, chosen: Sequence[str], others: Mapping[str, Sequence[str]]) -> tuple[float, float, float]:
    """Mass for the chosen label, for the other alive labels, and for neither."""
    mine, theirs, outside = step.probability, 0.0, 0.0
    seen: set[str] = set()
    for token, probability in step.alternatives:
        piece, closes = _piece(token, step)
        if not piece and not step.written:
            continue  # only quotes or space before the label: says nothing about it
        now = step.written + piece
        fitting = {label for label, forms in others.items() if _fits(now, forms, whole=closes)}
        seen |= fitting
        if not _fits(now, chosen, whole=closes):
            theirs += probability if fitting else 0.0
            outside += 0.0 if fitting else probability
        elif not fitting or (piece == step.text and not closes) or now in chosen:
            mine += probability  # what it shares with others is parted by later tokens
        elif any(now in others[label] for label in fitting):
            theirs += probability
    # A label that can only be reached by a token below the listed ones has at most the smallest listed probability.
    unseen = [
        label
        for label, forms in others.items()
        if label not in seen and not _fits(step.written + step.text, forms, whole=step.closes)
    ]
    listed = [step.probability, *(p for _, p in step.alternatives)]
    return mine, theirs + min(max(0.0, 1.0 - sum(listed)), min(listed) * len(unseen)), outside


def _piece(token: str, step: _Step) -> tuple[str, bool]:
    """The part of an alternative that would belong to the label, folded, and whether a quote ends the label there."""
    folded = token.removeprefix(step.lead).casefold()
    if not step.written:
        folded = folded.lstrip(_BEFORE_A_LABEL)
    piece, quote, _ = folded.partition('"')
    return piece, bool(quote)


def _fits(written: str, forms: Sequence[str], *, whole: bool) -> bool:
    """Whether what was written can still become one of the forms or, if `whole`, is one of them."""
    return written in forms if whole else any(form.startswith(written) for form in forms)
