"""Which examples can be shown for a labeling config, and why not the others. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from backend.core.values import JSON, Example, Reply, Task, Usage
from backend.fields import only_visible, read_reply
from backend.labeling.config import LabelingConfig
from backend.labeling.following import every
from backend.labeling.shown import Shown
from backend.prompting.examples import ShownExample, texts_of

_NO_USAGE = Usage()


@dataclass(frozen=True, kw_only=True)
class ConfigExamples:
    """The examples of an agent under one labeling config, in the agent's order."""

    shown: tuple[ShownExample, ...]
    left_out: Mapping[int, str]  # number, from 1 -> why: one phrase

    def beside(self, task: Mapping[str, Shown], asked: Collection[str]) -> tuple[ShownExample, ...]:
        """What stands in a task's prompt: not the task itself, and only what answers all that is asked."""
        texts = texts_of(task)
        return tuple(
            replace(example, answer={name: example.answer[name] for name in asked})
            for example in self.shown
            if example.texts != texts and set(asked) <= set(example.answer)
        )


@dataclass(frozen=True, kw_only=True)
class RetrievedExample:
    """A verified task that may stand in another one's prompt."""

    task_id: int
    shown: ShownExample


class Retriever(Protocol):
    """Where a project's verified tasks are chosen from."""

    def examples(self, task: Task, asked: LabelingConfig) -> Sequence[RetrievedExample]:
        """Those for a task, the most similar first, each with what answers all that is asked. Raises `StoreError`."""
        ...


def offered(answer: Mapping[str, JSON], asked: LabelingConfig) -> bool:
    """Whether the labels of an answer are among those that a shortened list still offers."""
    names = {control.name: {option.name for option in control.options} for control in every(asked.controls)}
    return all(
        label in names[name]
        for name, given in answer.items()
        if names.get(name)
        for item in (given if isinstance(given, list) else [given])
        for label in _labels_in(item)
    )


def _labels_in(item: JSON) -> list[JSON]:
    """The labels that an answer, or one item of its list, gives."""
    if isinstance(item, Mapping):
        several = item.get("labels")
        return [*([item["label"]] if "label" in item else []), *(several if isinstance(several, list) else [])]
    return [item] if isinstance(item, str) else []


def examples_for(config: LabelingConfig, examples: Sequence[Example]) -> ConfigExamples:
    """The examples whose answers name controls of the config and are right as answers to them."""
    found = [shown_example(config, example) for example in examples]
    return ConfigExamples(
        shown=tuple(one for one in found if isinstance(one, ShownExample)),
        left_out={number: one for number, one in enumerate(found, start=1) if isinstance(one, str)},
    )


def shown_example(config: LabelingConfig, example: Example) -> ShownExample | str:
    """The example as the config shows it; a phrase where it cannot be shown."""
    bound = config.bind(example.data)
    missing = [c.name for c in bound.controls if c.name not in example.answer]
    if missing or not bound.controls:
        return f"its answer does not name the control {missing[0]!r}" if missing else "nothing can be asked about it"
    shown = bound.show(example.data)
    texts = texts_of(shown)
    if not texts:
        return "its data has nothing that the labeling config shows as text"
    answer = {c.name: example.answer[c.name] for c in bound.controls}
    reply = Reply(text=json.dumps(answer, ensure_ascii=False), finish_reason="stop", usage=_NO_USAGE, model="")
    for field in only_visible(read_reply(reply, bound, shown), bound):
        if field.problem is not None:
            return f'"{field.control}" {field.problem}'
        if field.usable < 1:
            return f'"{field.control}" has an item that cannot be used'
    return ShownExample(texts=texts, answer=answer)
