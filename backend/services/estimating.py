"""What a run would take, without a model call and without writing anything: tasks, calls, tokens, cost, time.

Prompts are rendered as the run would, for all tasks or for a sample of them. Their tokens are estimated without a
tokenizer; where the version has answered tasks before, the estimate is set right by what these really used.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from backend.core.values import Document, DocumentPage, Media, Picture, Request, Task, TaskState
from backend.dialogue import Question, annotate
from backend.ports.labels import Labels
from backend.ports.store import ProjectRow, Record, Store
from backend.prompting.answer_size import NO_TOKENS, Size, answer_tokens
from backend.prompting.tokens import estimated_tokens
from backend.services.estimate import Circumstances, Estimate, Range, Spent
from backend.services.estimated_usage import (
    PROMPT_SHARES,
    Experience,
    answer_sizes,
    calls_a_task,
    first_reply_key,
    has_logprobs,
    likely_calls,
    prompt_shares,
    samples_unknown,
)
from backend.services.selection import Selection, selected_ids

SAMPLE = 200  # prompts that are rendered; of more tasks these stand for all
_ANSWERED = (TaskState.DONE, TaskState.EMPTY, TaskState.INVALID)
_CALIBRATION = 50  # answered tasks whose real tokens are compared with the estimate
_FEWEST = 5
_PICTURE = Picture(data_uri="", width=1, height=1)
_DOCUMENT = Document(pages=(DocumentPage(text="(a page)"),), page_count=1)


@dataclass
class _Sums:
    """Over the rendered tasks."""

    asked: int = 0
    kept: int = 0
    cached: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    estimated: int = 0  # prompt tokens of first calls that must be paid
    answers: list[Size] = field(default_factory=list)  # likewise
    paid: int = 0  # first calls that must be paid
    documents: int = 0
    keys: set[str] = field(default_factory=set)

    @property
    def answer_size(self) -> Size:
        n = max(1, len(self.answers))
        return sum(self.answers, NO_TOKENS).times(1 / n, 1 / n, 1 / n)


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """`sample`: as many prompts are rendered."""

    labels: Labels
    store: Store
    around: Circumstances
    sample: int = SAMPLE

    def estimate(self, selection: Selection, row: ProjectRow, question: Question) -> Estimate:
        count, drawn = _drawn(selected_ids(selection, self.labels, self.store, row), self.sample)
        variables = question.config.variables
        tasks = list(self.labels.tasks(row.id, variables, ids=drawn)) if drawn else []
        stored = self.store.records(row.id, question.version, drawn)
        sums = _Sums()
        for task in tasks:
            self._add(sums, task, stored.get(task.id), question, anew=selection.asks_anew)
        return self._whole(sums, count, len(tasks), question, self._experience(row, question))

    def _add(self, sums: _Sums, task: Task, record: Record | None, question: Question, *, anew: bool) -> None:
        answered = record is not None and record.state in _ANSWERED and record.data_hash == task.data_hash
        if answered and not anew:
            sums.kept += 1
            return
        if question.student is not None or (question.calibration and not anew and question.calibration.reread(task)):
            sums.asked += 1  # and nothing is paid for
            sums.cached += question.student is None
            return
        first = first_request(question, task)
        if isinstance(first, str):
            sums.skipped[first] += 1
            return
        sums.asked += 1
        sums.documents += len(question.config.document_sources(task.data)) > 0
        take = (record.take if record is not None else 0) + (1 if answered and anew else 0)
        first = replace(first, take=take) if take else first
        key = first_reply_key(self.around.endpoint, first, self.around.capabilities)
        if first.key in sums.keys or self.store.has_reply(key):
            sums.cached += 1
            return
        sums.keys.add(first.key)
        sums.paid += 1
        sums.estimated += estimated_tokens(first.messages)
        sums.answers.append(answer_tokens(first.schema, first.max_tokens))

    def _experience(self, row: ProjectRow, question: Question) -> Experience | None:
        """From tasks that the version answered; None where there are too few to tell."""
        real = estimated = answers = calls = 0
        latency_s = 0.0
        paid = self.store.paid_sample(row.id, question.version, _CALIBRATION)
        for record, usage, seconds in paid:
            first = first_request(question, record.task)
            if not isinstance(first, str):
                real, answers = real + usage.prompt_tokens, answers + usage.completion_tokens
                estimated += estimated_tokens(first.messages) * usage.calls
                calls, latency_s = calls + usage.calls, latency_s + seconds
        if len(paid) < _FEWEST or not estimated or not real:
            return None
        return Experience(
            calls=calls / len(paid),
            prompt_share=real / estimated,
            answer=answers / calls,
            latency_s=latency_s / calls,
        )

    def _whole(self, sums: _Sums, count: int, rendered: int, question: Question, real: Experience | None) -> Estimate:
        """The run's numbers from those of the rendered tasks."""
        scale = count / rendered if rendered else 0.0
        calls = likely_calls(question, self.around.capabilities, real)
        low, likely, high = (
            self._spent(sums, n, share, answer, scale, question)
            for n, share, answer in zip(calls, prompt_shares(real), answer_sizes(sums.answer_size, real), strict=True)
        )
        seconds, bound_by = self._time(low, high, real)
        return Estimate(
            tasks=count,
            rendered=rendered,
            to_ask=round(sums.asked * scale),
            kept=round(sums.kept * scale),
            skipped=Counter({name: round(n * scale) for name, n in sums.skipped.items()}),
            cached=round(sums.cached * scale),
            calls=(low.calls, high.calls),
            prompt_tokens=(low.prompt_tokens, high.prompt_tokens),
            completion_tokens=(low.completion_tokens, high.completion_tokens),
            likely=likely,
            at_most=self._at_most(sums, scale, question, high),
            calibrated=real is not None,
            cost_usd=None if low.cost_usd is None or high.cost_usd is None else (low.cost_usd, high.cost_usd),
            seconds=seconds,
            bound_by=bound_by,
            notes=tuple(self._notes(sums, count, rendered, question, likely)),
        )

    def _spent(
        self, sums: _Sums, calls: float, prompt_share: float, answer: float, scale: float, question: Question
    ) -> Spent:
        """By `calls` a task, the share of the estimate that a prompt really has, and the tokens of an answer. Where a
        task's first reply is stored, only the further calls are paid."""
        one = sums.estimated / sums.paid if sums.paid else 0.0
        paid = (sums.paid * calls + (sums.asked - sums.paid) * (calls - 1)) * scale
        prompts, answers = paid * prompt_share * one, paid * answer
        return Spent(
            calls=paid,
            prompt_tokens=prompts,
            completion_tokens=answers,
            cost_usd=self._cost(paid, prompts, answers, question),
        )

    def _at_most(self, sums: _Sums, scale: float, question: Question, high: Spent) -> Spent:
        fewest, most = calls_a_task(question, self.around.capabilities)
        longest = question.agent.max_tokens
        one = sums.estimated / sums.paid if sums.paid else 0.0
        calls = (sums.paid * most + (sums.asked - sums.paid) * (most - 1)) * scale
        # A question that is asked again holds the reply and what was wrong with it.
        prompts = max(high.prompt_tokens, calls * (PROMPT_SHARES[2] * one + (longest if most > fewest else 0)))
        answers = max(high.completion_tokens, calls * longest)
        cost = self._cost(calls, prompts, answers, question)
        return Spent(calls=calls, prompt_tokens=prompts, completion_tokens=answers, cost_usd=cost)

    def _cost(self, calls: float, prompts: float, answers: float, question: Question) -> float | None:
        """By the price of an average call: some prices depend on how long a prompt is."""
        if question.agent.is_student:
            return 0.0
        n = max(calls, 1)
        price = self.around.price(question.agent.model, round(prompts / n), round(answers / n))
        return None if price is None else price * calls

    def _time(self, low: Spent, high: Spent, real: Experience | None) -> tuple[Range | None, str | None]:
        """At the limits as they are now; the one that takes longest bounds it."""
        level, found = self.around.level, []
        calls = (low.calls, high.calls)
        if self.around.limits.per_minute is not None:
            found.append((_scaled(calls, 60 / self.around.limits.per_minute), "--max-per-minute"))
        if level is not None and level.requests_per_minute:
            found.append((_scaled(calls, 60 / level.requests_per_minute), "requests a minute"))
        if level is not None and level.tokens_per_minute:
            tokens = (low.prompt_tokens + low.completion_tokens, high.prompt_tokens + high.completion_tokens)
            found.append((_scaled(tokens, 60 / level.tokens_per_minute), "tokens a minute"))
        if real is not None:
            parallel = self.around.concurrency * max(1, self.around.workers)
            if level is not None and level.window:
                parallel = min(parallel, max(1, int(level.window)))
            found.append((_scaled(calls, real.latency_s / parallel), f"{parallel} calls at a time"))
        if not found:
            return None, None
        longest, why = max(found, key=lambda one: one[0][1])
        paused_s = level.paused_s if level is not None else 0.0
        return (longest[0] + paused_s, longest[1] + paused_s), why

    def _notes(self, sums: _Sums, count: int, rendered: int, question: Question, likely: Spent) -> Iterator[str]:
        if rendered < count:
            yield f"From {rendered:,} of {count:,} tasks, taken by chance and rendered; the rest is extrapolated."
        if sums.documents:
            yield "Documents were not opened: what their pages add is not counted."
        if question.agent.confidence == "auto" and has_logprobs(self.around.capabilities):
            yield f"Where an answer's tokens give no score, up to {question.agent.samples - 1} more calls are made."
        if samples_unknown(question, self.around.capabilities):
            yield (
                "The endpoint has not been asked yet whether it gives token probabilities; likely is with them. "
                f"Without them each task takes {question.agent.samples} calls, and all together likely "
                f"{question.agent.samples * (likely.prompt_tokens + likely.completion_tokens):,.0f} tokens."
            )
        if not self.around.workers:
            yield "No bulk worker is running: the time is that of one."


def first_request(question: Question, task: Task) -> Request | str:
    """What is asked first of a task; or the class under which it would be skipped. Nothing is loaded: an image counts
    as one that fits, and a document as an almost empty one."""
    media: Media = {
        **dict.fromkeys(question.config.document_sources(task.data), _DOCUMENT),
        **dict.fromkeys(question.config.media_sources(task.data), _PICTURE),
    }
    dialogue = annotate(question, task, media)
    try:
        return next(dialogue)
    except StopIteration as stop:
        return str(stop.value.error_class)


def _drawn(ids: Iterator[tuple[int, bool]], most: int) -> tuple[int, list[int]]:
    """How many there are, and up to `most` of them by chance: always the same ones of the same tasks."""
    drawn: list[int] = []
    chance, count = random.Random(0), 0  # noqa: S311
    for task_id, _ in ids:
        count += 1
        if len(drawn) < most:
            drawn.append(task_id)
        elif (place := chance.randrange(count)) < most:
            drawn[place] = task_id
    return count, sorted(drawn)


def _scaled(two: Range, factor: float) -> Range:
    return two[0] * factor, two[1] * factor
