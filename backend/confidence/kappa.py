"""How far people agree beyond chance, on labels that are names. Labels are compared with `==`.

1: always; 0: as chance would have it; below 0: less. None where that cannot be said: nothing was labelled twice, or
everything that was has one and the same label, so that chance alone would agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence


def cohen_kappa(pairs: Iterable[tuple[Hashable, Hashable]]) -> float | None:
    """Of two raters: (label of the first, label of the second), a task (Cohen 1960). None is a missing label."""
    both = [(first, second) for first, second in pairs if first is not None and second is not None]
    firsts, seconds = Counter(first for first, _ in both), Counter(second for _, second in both)
    n = len(both)
    by_chance = sum(firsts[label] * seconds[label] for label in firsts)  # n * n times the expected share
    if by_chance == n * n:
        return None
    agreed = sum(first == second for first, second in both)
    return (agreed * n - by_chance) / (n * n - by_chance)


def krippendorff_alpha(tasks: Iterable[Sequence[Hashable]]) -> float | None:
    """Of any number of raters: all labels of one task in one sequence, None for a missing one (Krippendorff 2011).

    The nominal form. Tasks with fewer than two labels say nothing and are left out; raters need not be the same ones.
    """
    totals: Counter[Hashable] = Counter()
    disagreed = 0.0  # ordered pairs of different labels, each task's weighted as 1 / (its labels - 1)
    for task in tasks:
        labels = Counter(label for label in task if label is not None)
        size = labels.total()
        if size > 1:
            totals.update(labels)
            disagreed += (size * size - sum(count * count for count in labels.values())) / (size - 1)
    n = totals.total()
    expected = n * n - sum(count * count for count in totals.values())  # ordered pairs of different labels over all
    return 1 - (n - 1) * disagreed / expected if expected else None
