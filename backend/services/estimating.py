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
from backend.ports.model import Capabilities
from backend.ports.store import ProjectRow, Record, Store
from backend.prompting.render import least_tokens
from backend.prompting.tokens import estimated_tokens
from backend.services.cached_model import reply_key
from backend.services.estimate import Circumstances, Estimate, Range
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
    least: int = 0  # prompt tokens of first calls that must be paid
    estimated: int = 0
    paid: int = 0  # first calls that must be paid
    documents: int = 0
    keys: set[str] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class _Experience:
    """What calls of the version used before, on average."""

    prompt_share: float  # real tokens of a prompt as a share of the estimate
    answer: float  # tokens of an answer
    latency_s: float  # of a call


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
        if first.key in sums.keys or self.store.has_reply(self._key(first)):
            sums.cached += 1
            return
        sums.keys.add(first.key)
        sums.paid += 1
        sums.least += least_tokens(first.messages)
        sums.estimated += estimated_tokens(first.messages)

    def _key(self, request: Request) -> str:
        known = self.around.capabilities
        return reply_key(self.around.endpoint, request.key, logprobs=request.logprobs and _has_logprobs(known))

    def _experience(self, row: ProjectRow, question: Question) -> _Experience | None:
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
        return _Experience(prompt_share=real / estimated, answer=answers / calls, latency_s=latency_s / calls)

    def _whole(self, sums: _Sums, count: int, rendered: int, question: Question, real: _Experience | None) -> Estimate:
        """The run's numbers from those of the rendered tasks."""
        scale = count / rendered if rendered else 0.0
        fewest, most = calls_a_task(question, self.around.capabilities)
        followed = sums.asked - sums.paid  # of a first reply that is stored nothing is known of the further calls
        calls = (sums.paid * fewest * scale, (sums.paid * most + followed * (most - 1)) * scale)
        one = sums.estimated / sums.paid if sums.paid else 0.0
        growth = question.agent.max_tokens  # a question that is asked again holds the reply and what was wrong with it
        prompts = (sums.least * fewest * scale, calls[1] * (one + (growth if most > fewest else 0)))
        answers = (calls[0], calls[1] * question.agent.max_tokens)
        if real is not None:
            share = real.prompt_share
            prompts = (0.8 * share * sums.estimated * fewest * scale, prompts[1] * min(1.0, 1.25 * share))
            answers = (0.5 * real.answer * calls[0], min(answers[1], 2 * real.answer * calls[1]))
        seconds, bound_by = self._time(calls, prompts, answers, real)
        return Estimate(
            tasks=count,
            rendered=rendered,
            to_ask=round(sums.asked * scale),
            kept=round(sums.kept * scale),
            skipped=Counter({name: round(n * scale) for name, n in sums.skipped.items()}),
            cached=round(sums.cached * scale),
            calls=calls,
            prompt_tokens=prompts,
            completion_tokens=answers,
            calibrated=real is not None,
            cost_usd=self._cost(calls, prompts, answers, question),
            seconds=seconds,
            bound_by=bound_by,
            notes=tuple(self._notes(sums, count, rendered, question)),
        )

    def _cost(self, calls: Range, prompts: Range, answers: Range, question: Question) -> Range | None:
        """By the price of an average call: some prices depend on how long a prompt is."""
        if question.agent.is_student:
            return 0.0, 0.0
        found = []
        for n, prompt, answer in zip(calls, prompts, answers, strict=True):
            price = self.around.price(question.agent.model, round(prompt / max(n, 1)), round(answer / max(n, 1)))
            if price is None:
                return None
            found.append(price * n)
        return found[0], found[1]

    def _time(
        self, calls: Range, prompts: Range, answers: Range, real: _Experience | None
    ) -> tuple[Range | None, str | None]:
        """At the limits as they are now; the one that takes longest bounds it."""
        level, found = self.around.level, []
        if self.around.limits.per_minute is not None:
            found.append((_scaled(calls, 60 / self.around.limits.per_minute), "--max-per-minute"))
        if level is not None and level.requests_per_minute:
            found.append((_scaled(calls, 60 / level.requests_per_minute), "requests a minute"))
        if level is not None and level.tokens_per_minute:
            tokens = (prompts[0] + answers[0], prompts[1] + answers[1])
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

    def _notes(self, sums: _Sums, count: int, rendered: int, question: Question) -> Iterator[str]:
        if rendered < count:
            yield f"From {rendered:,} of {count:,} tasks, taken by chance and rendered; the rest is extrapolated."
        if sums.documents:
            yield "Documents were not opened: what their pages add is not counted."
        if question.agent.confidence == "auto" and _has_logprobs(self.around.capabilities):
            yield f"Where an answer's tokens give no score, up to {question.agent.samples - 1} more calls are made."
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


def calls_a_task(question: Question, known: Capabilities | None) -> Range:
    """Fewest and most calls for a task that is asked: samples for a score, questions asked again, relations. An
    endpoint that is known to give the probabilities of tokens is taken to give them for every answer."""
    agent = question.agent
    if agent.is_student:
        return 1, 1
    scored = any(control.has_confidence for control in question.config.controls)
    more = agent.samples - 1 if scored else 0
    sampled = agent.confidence in ("agreement", "prompt_variants")
    sampled |= agent.confidence == "auto" and not _has_logprobs(known)
    most = 1 + agent.reasks + (more if sampled else 0)
    most += 1 if agent.relations and question.config.relations is not None else 0
    return 1, most


def _has_logprobs(known: Capabilities | None) -> bool:
    return known is not None and known.logprobs > 0


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
