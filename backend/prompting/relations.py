"""The question that follows the regions: which of them are related."""

from __future__ import annotations

from backend.core.values import Message
from backend.labeling.relations import Relations
from backend.prompting.render import fence_for, one_line


def relations_question(relations: Relations) -> Message:
    """The user message over the `marks`. What they quote is the task's own text and stands between fences."""
    marks = "\n".join(f"{number}. {one_line(mark.described)}" for number, mark in enumerate(relations.marks, start=1))
    fence = fence_for(marks)
    options = "".join(f"\n- {one_line(option.name)}" for option in relations.options)
    return Message(
        role="user",
        content=(
            f"These regions were marked in the data:\n{fence}\n{marks}\n{fence}\n\n"
            f'"{relations.name}": {relations.ask()}{":" if options else ""}{options}\n\n'
            f'Answer with exactly this JSON object and nothing else:\n{{"{relations.name}": {relations.shape()}}}'
        ),
    )
