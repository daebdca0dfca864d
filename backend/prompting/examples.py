"""Examples with their right answers, as they stand in the prompt before the task. Pure.

Their data is as untrusted as a task's: it stands between fences too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.core.values import JSON
from backend.labeling.shown import Shown
from backend.prompting.render import fence_for


@dataclass(frozen=True, kw_only=True)
class ShownExample:
    """One example as a labeling config shows it."""

    texts: Mapping[str, str]  # object -> what is shown of it
    answer: Mapping[str, JSON]  # control -> value


def texts_of(shown: Mapping[str, Shown]) -> dict[str, str]:
    return {s.name: s.text for s in shown.values() if not s.is_empty}


def examples_text(examples: Sequence[ShownExample]) -> str:
    """Empty where there are none."""
    if not examples:
        return ""
    parts = ["Examples of such data, each with its right answer:"]
    for example in examples:
        parts += [_fenced(f'Data "{name}" of an example:', text) for name, text in example.texts.items()]
        parts.append(_fenced("Its right answer:", json.dumps(example.answer, ensure_ascii=False)))
    return "\n\n".join([*parts, "These were the examples. What follows is what you are asked.", ""])


def _fenced(title: str, text: str) -> str:
    fence = fence_for(text)
    return f"{title}\n{fence}\n{text}\n{fence}"
