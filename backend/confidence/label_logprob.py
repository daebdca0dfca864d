"""The probability of the chosen label, read off the label's own tokens and normalised over the label set.

Averaging over all tokens of a reply (MEGAnno+, arXiv 2402.18050) counts braces and quotes, which are certain, and
reads a label probability of 0.5 as about 0.87. Here only the tokens of the value count, and only against the other
labels: P(chosen) / P(any label), over the tree of tokens that can be seen. Its trunk is the reply; at each token of
the value, every alternative that was listed is a branch, reached with the product of what was taken before it:

- A branch that only the chosen label can go through counts for it, one that only others can go through for them,
  and one that no label can go through counts for neither.
- A branch that reads the same as the token taken, but for case, quotes and space, is a part of the trunk. So later
  tokens resolve it. Log-probabilities under a grammar or schema are often those *before* the grammar, and ` Positive`
  may then stand above the chosen ` positive`.
- Any other branch that both the chosen label and others can go through is not resolved by what can be seen: `ne`
  where `neutral` was taken. If it spells one label out, it counts for that one; else it is split evenly between the
  labels it fits, and `assumed` tells how much was decided in such ways. In simulated replies (see the tests) this
  holds up for tokenizers that mostly cut a text in one way and for those that cut it at random; all to the others is
  a little better for the first and worse for the second, in proportion to what is known of each label is worse for
  the first.

The trunk is followed until the chosen label is the only one left. Of two labels where one begins the other ("entail",
"entailment") the shorter one parts at the closing quote.

The probabilities of the other labels are read off the same tree. Two of them that part only behind a token that was
not taken ("ne" of "neutral" and "negative", where "positive" was written) cannot be told apart and get equal parts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest

from backend.confidence.spellings import Spellings
from backend.core.values import TokenLogprob

MOST_LABELS = 20  # that a probability is kept of
_SPACE = " \t\r\n"
_BEFORE_A_LABEL = _SPACE + "\"'`"
_CERTAIN = 1.0 - 1e-9


@dataclass(frozen=True, kw_only=True)
class LabelProbability:
    """`probability` in [0, 1] of the chosen label, and two signs of how much it is worth.

    `off_label` is the mass at the label's first token that begins no label. `assumed` is the mass whose label is not
    to be seen in the listed tokens: where they are all listed, `probability` is off by no more than that.
    `labels` are the most likely labels, the chosen one among them, and `rest` is what all others have together: with it
    they sum up to 1.
    """

    probability: float
    off_label: float
    assumed: float = 0.0
    labels: Mapping[str, float] = field(default_factory=dict)  # the most likely first, at most MOST_LABELS
    rest: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One token of the value, or of the space and quotes before it."""

    token: TokenLogprob
    reply: str
    begin: int  # where the token stands in the reply
    lead: str  # what of it stands before the value
    before: str  # what of the label stands before it
    now: str  # the same with it; empty while only space and quotes were written
    ends: bool  # it reaches the end of the value

    @property
    def probability(self) -> float:
        return math.exp(min(0.0, self.token.logprob))


@dataclass(frozen=True, kw_only=True)
class _Branch:
    """A token that was considered in the place of the one taken."""

    labels: frozenset[str]  # that can go through it
    likely: frozenset[str]  # those of them that share its mass
    probability: float
    silent: bool = False  # only space or quotes: it says nothing about the label
    same: bool = False  # it reads as the token taken does
    cut: bool = False  # it is a shorter or longer piece of the very text that was written


class _Tally:
    """The mass of each label; of what is no label's alone, each has an equal part."""

    def __init__(self, chosen: str, labels: Iterable[str]) -> None:
        self._chosen = chosen
        self._mass: Counter[str] = Counter(dict.fromkeys(labels, 0.0))
        self.mine = self.theirs = self.assumed = 0.0

    def add(self, labels: frozenset[str], mass: float, likely: frozenset[str] = frozenset()) -> None:
        sharing = likely or labels
        part = mass / len(sharing) if self._chosen in sharing else 0.0
        self.mine += part
        self.theirs += mass - part
        self._mass.update(dict.fromkeys(sharing, mass / len(sharing)))
        if self._chosen in labels and len(labels) > 1:
            self.assumed += mass

    def likeliest(self) -> dict[str, float]:
        """Of the chosen label and the most likely others the share of all mass, the largest first."""
        total = self.mine + self.theirs
        others = ((-mass, label) for label, mass in self._mass.items() if label != self._chosen)
        found = [*nsmallest(MOST_LABELS - 1, others), (-self.mine, self._chosen)]
        return {label: min(1.0, -mass / total) for mass, label in sorted(found)}


def label_probability(
    tokens: Sequence[TokenLogprob],
    start: int,
    end: int,
    chosen: str,
    spellings: Mapping[str, Sequence[str]],
) -> LabelProbability | None:
    """Probability of the label `chosen` against the other keys of `spellings`.

    `start` and `end` are a half-open character range in the concatenated tokens: of a JSON string with its quotes if
    a double quote stands at `start`, else of the label itself in plain text.
    None, which is unknown and not 0.5, when the tokens carry no alternatives, do not spell the label, do not tell it
    from another, or are all certain where the labels part (an endpoint that reports 0.0 for everything).
    """
    reply = "".join(t.token for t in tokens)
    quoted = reply[start : start + 1] == '"'
    alive, known, tally = frozenset(spellings), Spellings(spellings, quoted=quoted), _Tally(chosen, spellings)
    if chosen not in alive or len(alive) == 1:
        return None
    reach, off_label, informed = 1.0, 0.0, False
    for step in _steps(tokens, reply, start, end, quoted=quoted):
        fitting = known.whole(step.now) if step.ends else known.begun(step.now)[0]
        if chosen not in fitting or (step.now and not step.token.top):
            return None
        branches = list(_branches(step, known, fitting))
        told = [b for b in branches if not b.silent]
        trunk = step.probability + sum(b.probability for b in branches if b.same)
        parting = [b for b in branches if b.labels and not b.same]
        outside = sum(b.probability for b in told if not b.labels)
        if step.now:
            informed |= bool(step.token.top[1:]) or trunk < _CERTAIN
        else:  # what else a reply may hold here is not about labels: only what begins a value counts
            informed |= bool(told)
            reach /= max(trunk + sum(b.probability for b in parting) + outside, 1e-300)
        for branch in parting:
            tally.add(branch.labels, reach * branch.probability, branch.likely)
        tally.assumed += reach * sum(b.probability for b in branches if b.same or (b.silent and not b.cut))
        unseen = alive - fitting.union(*(b.labels for b in told))
        if step.now and unseen:
            tally.add(unseen, reach * _unlisted(step, len(unseen)))
        off_label += 0.0 if step.before else reach * outside
        reach *= trunk
        alive = fitting
        if alive == {chosen}:
            break
    if alive != {chosen} or not informed:
        return None
    tally.add(alive, reach)
    total = tally.mine + tally.theirs
    if total <= 0.0:
        return None
    labels = tally.likeliest()
    return LabelProbability(
        probability=min(1.0, tally.mine / total),
        off_label=min(1.0, off_label),
        assumed=min(1.0, tally.assumed / total),
        labels=labels,
        rest=max(0.0, 1.0 - math.fsum(labels.values())) if len(spellings) > MOST_LABELS else 0.0,
    )


def _steps(tokens: Sequence[TokenLogprob], reply: str, start: int, end: int, *, quoted: bool) -> Iterator[_Step]:
    """The tokens of the value and of what stands directly before it: there too an alternative may begin a label.

    In plain text the token behind the label is one of them, for it tells that the label ended there.
    """
    first = len(reply[:start].rstrip(_SPACE if quoted else _BEFORE_A_LABEL))
    begin_label, end_label = (start + 1, end - 1) if quoted else (start, end)
    begin, written = 0, ""
    for token in tokens:
        after = begin + len(token.token)
        if first < after and begin <= end_label and token.token:
            piece = token.token[max(0, begin_label - begin) : max(0, end_label - begin)]
            now = (written + piece).lstrip()
            lead = token.token[: max(0, first - begin)]
            yield _Step(
                token=token, reply=reply, begin=begin, lead=lead, before=written, now=now, ends=after > end_label
            )
            written = now
        begin = after


def _branches(step: _Step, known: Spellings, fitting: frozenset[str]) -> Iterator[_Branch]:
    """The alternatives of a token, without those that do not get as far as the value."""
    for token, logprob in step.token.top:
        after_lead = _after(step.lead, token)
        if token == step.token.token or after_lead is None:
            continue
        probability = math.exp(min(0.0, logprob))
        cut = step.reply.startswith(token, step.begin)
        text = step.before + after_lead if step.before else after_lead.lstrip()
        if not text.strip(_BEFORE_A_LABEL):
            # Space that is written otherwise leads where the token taken leads. But a token that stops before the
            # label, where the one taken holds some of it, leads to labels that are cut otherwise.
            leads = known.begun("")[0] if cut and step.now else frozenset[str]()
            yield _Branch(labels=leads, likely=leads, probability=probability, silent=True, same=not step.now, cut=cut)
            continue
        labels, ends = (known.whole(text), True) if not token else known.begun(text)  # empty: the reply ends
        if not labels and not step.before:
            text = text.lstrip(_BEFORE_A_LABEL)
            labels, ends = known.begun(text)
        same = ends == step.ends and labels == fitting and known.value(text).casefold() == step.now.casefold()
        value = known.value(text)
        likely = (known.whole(value) if value == value.strip() else None) or labels
        yield _Branch(labels=labels, likely=likely, probability=probability, same=same, cut=cut)


def _after(lead: str, token: str) -> str | None:
    """What follows in `token` after `lead`, which may be spaced otherwise; None if it does not begin with it."""
    at = 0
    for character in "".join(lead.split()):
        while token[at : at + 1].isspace():
            at += 1
        if token[at : at + 1] != character:
            return None
        at += 1
    return token[at:]


def _unlisted(step: _Step, labels: int) -> float:
    """The mass of labels that no listed token leads to: each has at most the smallest listed probability."""
    listed = [step.probability, *(math.exp(min(0.0, p)) for t, p in step.token.top if t != step.token.token)]
    return min(max(0.0, 1.0 - sum(listed)), min(listed) * labels)
