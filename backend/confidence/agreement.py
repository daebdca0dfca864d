"""How many of several answers to one question agree: k samples of one prompt, or one sample of each of k variants.

The share of the plurality is the confidence of self-consistency (Wang et al., arXiv 2203.11171). An answer that could
not be read is None: it counts among the samples and never as a class, so that a model that answers with rubbish every
second time has at most half. Ties are for another judge (a person, another model), so they are said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Agreement(Generic[T]):
    """The value of the most samples; `share` in (0, 1] of all samples, unreadable ones included."""

    value: T
    share: float
    tied: bool  # another value has as many samples: route it on


@dataclass(frozen=True, kw_only=True)
class SetAgreement(Generic[T]):
    """The set that the samples agree on (labels, spans), element by element."""

    value: frozenset[T]
    share: float  # of the weakest decision, in (0, 1]
    shares: Mapping[T, float]  # for each element of `value`, the share of all samples that hold it
    tied: bool  # as many samples hold an element as lack it: route it on


def agreement(samples: Sequence[T | None]) -> Agreement[T] | None:
    """The plurality of `samples`; of tied values the one that was given first.

    None for fewer than two samples, and where none could be read.
    """
    counts = Counter(sample for sample in samples if sample is not None)  # keeps the order of first appearance
    if len(samples) < 2 or not counts:
        return None
    value, count = counts.most_common(1)[0]  # of equal counts the first seen
    tied = sum(other == count for other in counts.values()) > 1
    return Agreement(value=value, share=count / len(samples), tied=tied)


def set_agreement(samples: Sequence[AbstractSet[T] | None]) -> SetAgreement[T] | None:
    """The majority set of `samples`: each element that more of the readable samples hold than lack.

    This is the median of the sets, the one with the least summed symmetric difference to them, and also exists where
    no two samples are the same. An element that half of them hold is decided as by the first readable sample. Each
    element that any sample holds is a decision, in or out; the share of a decision is that of all samples that made
    it, unreadable ones counting for neither side. The whole set is right only if all of its decisions are, so its
    share is the lowest of them; the empty set, held by all, has the share of readable samples.

    Spans are elements by their exact bounds and label: one that is cut differently is another element.
    None for fewer than two samples, and where none could be read.
    """
    readable = [frozenset(sample) for sample in samples if sample is not None]
    if len(samples) < 2 or not readable:
        return None
    held = Counter(element for sample in readable for element in sample)
    lowest, tied, shares = len(readable), False, {}
    for element, count in held.items():
        lacking = len(readable) - count
        tied = tied or count == lacking
        if count > lacking or (count == lacking and element in readable[0]):
            shares[element] = count / len(samples)
        lowest = min(lowest, max(count, lacking))
    return SetAgreement(value=frozenset(shares), share=lowest / len(samples), shares=shares, tied=tied)
