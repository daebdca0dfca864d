"""A better instruction for an agent: a model writes it from what people corrected, and it has to win to be registered.

The tasks that the writer is shown and those on which old and new are measured have nothing in common, not even a text
that says the same. Which half a task belongs to follows from its text alone, so that later rounds measure on nothing
that an earlier one was shown. Tasks of the blind audit, all others that were labelled unseen, and those that are set
apart are never shown to the writer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from backend.core.agents import AgentVersion
from backend.core.errors import InputError
from backend.core.values import JSON, Agent, Outcome, Request, Usage
from backend.core.verifications import VerificationOutcome
from backend.dialogue import Question
from backend.labeling.config import LabelingConfig
from backend.learning.example_pool import says
from backend.ports.model import Capabilities
from backend.prompting.examples import texts_of
from backend.prompting.guidance import MAX_GUIDANCE_CHARS
from backend.prompting.improving import SCHEMA, Mistake, asked_again, read_guidance, writing_messages
from backend.prompting.shortlist import joined_text
from backend.prompting.template_check import check_template
from backend.prompting.tokens import estimated_tokens
from backend.services.agent_checks import check_guidance
from backend.services.comparing import FEWEST, Compared, Comparing, HeldOut, drawn_from, is_right
from backend.services.estimating import calls_a_task, first_request

FEWEST_MISTAKES = 5  # from fewer the writer would take one person's slip for a rule
MOST_MISTAKES = 20  # that the writer is shown
_MOST_CORRECTED = 60  # tasks that the agent is asked about again, to see what it is wrong about now
_ANSWER_TOKENS = 1_500  # of the writer at least; a model that thinks takes what its agent has
_GUIDANCE_TOKENS = MAX_GUIDANCE_CHARS // 3  # that a prompt may grow by
_TRIES = 2  # of the writer


@dataclass(frozen=True, kw_only=True)
class AtMost:
    """What calls take, from above: replies that are stored already cost nothing."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None  # None: not known


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is going to be done."""

    project_id: int
    old: AgentVersion
    writer: Agent
    name: str  # of the new version
    corrected: tuple[HeldOut, ...]  # the writer may be shown
    held_out: tuple[HeldOut, ...]  # to measure on
    at_most: AtMost


@dataclass(frozen=True, kw_only=True)
class Improved:
    """What came of it."""

    plan: Plan
    new: AgentVersion
    shown: tuple[int, ...]  # tasks that the writer was shown
    compared: Compared | None  # None: the guidance is what it was
    registered: bool
    writing: Usage
    writing_cost_usd: float | None  # None: not known


@dataclass(frozen=True, kw_only=True)
class Improving:
    """Better instructions in one installation. Written are the replies' cache, and a version that wins."""

    comparing: Comparing
    capabilities: Callable[[Agent], Capabilities | None]  # of an agent's endpoint, as far as they are known

    def plan(
        self, project_id: int, agent: str, *, writer: str | None = None, name: str | None = None, count: int = 100
    ) -> Plan:
        """Ask nobody yet. Raises `AgentUnknown`, `ConfigError`, `TemplateError`, and `InputError` where too little is
        verified or corrected, with how much is needed."""
        agents = self.comparing.trials.projects.agents
        old = agents.find(agent)
        named = name or (f"{old.agent.name[:31]}-improved" if old == agents.default else old.agent.name)
        agents.need_free(named)
        check_template(old.template_source)
        check_guidance(replace(old, agent=replace(old.agent, guidance="any")))
        writing = agents.find(writer).agent if writer is not None else old.agent
        corrected, rest = self._split(project_id)
        _need_enough(project_id, len(corrected), len(rest))
        drawn = drawn_from(rest, count=max(count, FEWEST))
        question = self.comparing.trials.question(project_id, old)
        corrected = drawn_from(corrected, count=_MOST_CORRECTED)
        return Plan(
            project_id=project_id,
            old=old,
            writer=writing,
            name=named,
            corrected=tuple(corrected),
            held_out=tuple(drawn),
            at_most=self._at_most(question, writing, corrected, drawn),
        )

    def improve(self, plan: Plan) -> Improved:
        """Let the writer write, measure, and register what wins. Raises what would stop a job, and `InputError` where
        nothing is written that can be used."""
        trials = self.comparing.trials
        question = trials.question(plan.project_id, plan.old)
        mistakes = self._mistakes(plan, question)
        guidance, shown, usage = self._written(plan, question, mistakes)
        new = AgentVersion.of(replace(plan.old.agent, name=plan.name, guidance=guidance), plan.old.template_source)
        compared = None
        if guidance != plan.old.agent.guidance:
            compared = self.comparing.measure(plan.project_id, (plan.old, new), plan.held_out)
        wins = compared is not None and compared.winner == new.reference
        if wins:
            self.comparing.store.add_agent(new)
        return Improved(
            plan=plan,
            new=new,
            shown=tuple(shown),
            compared=compared,
            registered=wins,
            writing=usage,
            writing_cost_usd=self.comparing.cost(plan.writer.model, usage, plan.writer),
        )

    def _split(self, project_id: int) -> tuple[list[HeldOut], list[HeldOut]]:
        """Corrected tasks for the writer, and what to measure on."""
        store = self.comparing.store
        config, found = self.comparing.labelled(project_id)
        audit, apart = (
            store.audit_plan(project_id),
            set(self.comparing.trials.projects.verified_examples.excluded(project_id)),
        )
        was_corrected = {
            v.task_id
            for v in store.verifications(project_id)
            if v.is_label and v.outcome is VerificationOutcome.CORRECTED
        }
        texts = {one.task.id: _says(config, one) for one in found}
        secret = {
            one.task.id
            for one in found
            if one.blind or one.task.id in apart or (audit is not None and audit.holds(one.task.id))
        }
        secret_texts = {texts[i] for i in secret}
        for_writer = {i for i, text in texts.items() if text and text not in secret_texts and _by_lot(text)}
        corrected = [one for one in found if one.task.id in for_writer & was_corrected]
        return corrected, [one for one in found if one.task.id not in for_writer]

    def _mistakes(self, plan: Plan, question: Question) -> dict[int, Mistake]:
        """What the agent is wrong about now, of what was corrected; by task."""
        outcomes = self.comparing.trials.test(question, [one.task for one in plan.corrected])
        found = {
            one.task.id: _mistake(question.config, one, outcome)
            for one, (_, outcome) in zip(plan.corrected, outcomes, strict=True)
            if not is_right(question.config, one, outcome)
        }
        if len(found) < FEWEST_MISTAKES:
            raise InputError(
                f"Of {len(plan.corrected)} corrected tasks {plan.old.reference} is wrong about {len(found)} now, and "
                f"{FEWEST_MISTAKES} are needed: verify more tasks."
            )
        return dict(list(found.items())[:MOST_MISTAKES])

    def _written(self, plan: Plan, question: Question, mistakes: Mapping[int, Mistake]) -> tuple[str, list[int], Usage]:
        """The guidance, the tasks that the writer was shown, and what it took."""
        shown, writer = list(mistakes), plan.writer
        request = _writing(writer, question, [*mistakes.values()])
        while len(shown) > 1 and estimated_tokens(request.messages) + request.max_tokens > writer.context_tokens:
            shown = shown[: len(shown) // 2]
            request = _writing(writer, question, [mistakes[i] for i in shown])
        usage, fault = Usage(), None
        for _ in range(_TRIES):
            reply = self.comparing.trials.ask(writer, request)
            usage += reply.usage
            guidance, fault = read_guidance(reply, [control.name for control in question.config.controls])
            if fault is None:
                return guidance, shown, usage
            request = replace(request, messages=asked_again(request.messages, reply, fault))
        raise InputError(
            f"{writer.model!r} wrote nothing that can be used (the guidance {fault}), and nothing changed: let another "
            "agent's model write with --with."
        )

    def _at_most(
        self, question: Question, writer: Agent, corrected: Sequence[HeldOut], drawn: Sequence[HeldOut]
    ) -> AtMost:
        agent = question.agent
        _, calls = calls_a_task(question, self.capabilities(agent))
        sizes = {one.task.id: _size(question, one) for one in (*corrected, *drawn)}
        again = agent.max_tokens if calls > 1 else 0  # a question that is asked again holds the reply
        old = [sizes[one.task.id] + again for one in (*corrected, *drawn)]
        new = [sizes[one.task.id] + again + _GUIDANCE_TOKENS for one in drawn]
        asked = round(calls) * (len(old) + len(new))
        labelling = Usage(
            prompt_tokens=round(calls) * (sum(old) + sum(new)),
            completion_tokens=asked * agent.max_tokens,
            calls=asked,
        )
        answer = _answer_tokens(writer)
        whole = _writing(writer, question, [_mistake(question.config, one, None) for one in corrected[:MOST_MISTAKES]])
        prompt = min(estimated_tokens(whole.messages), writer.context_tokens)
        written = Usage(prompt_tokens=_TRIES * (prompt + answer), completion_tokens=_TRIES * answer, calls=_TRIES)
        costs = [
            self.comparing.cost(agent.model, labelling, agent),
            self.comparing.cost(writer.model, written, writer),
        ]
        known = [cost for cost in costs if cost is not None]
        both = labelling + written
        return AtMost(
            calls=both.calls,
            prompt_tokens=both.prompt_tokens,
            completion_tokens=both.completion_tokens,
            cost_usd=sum(known) if len(known) == len(costs) else None,
        )


def _need_enough(project_id: int, corrected: int, rest: int) -> None:
    if corrected < FEWEST_MISTAKES:
        raise InputError(
            f"Project {project_id} has {corrected} corrected tasks to learn from, and {FEWEST_MISTAKES} are needed: "
            "correct some more with their predictions in sight, of which about every second one counts (the others, "
            "and all of the audit, are kept to measure on)."
        )
    if rest < FEWEST:
        raise InputError(
            f"Project {project_id} has {rest} verified tasks to measure on, and {FEWEST} are needed: verify about "
            f"{2 * (FEWEST - rest)} more, of which about every second one counts."
        )


def _says(config: LabelingConfig, one: HeldOut) -> str:
    return says(joined_text(config.bind(one.task.data).show(one.task.data).values()))


def _by_lot(text: str) -> bool:
    """Whether a task that says this belongs to the half that the writer may be shown."""
    return hashlib.sha256(f"improve:{text}".encode("utf-8", "surrogatepass")).digest()[0] % 2 == 0


def _mistake(config: LabelingConfig, one: HeldOut, outcome: Outcome | None) -> Mistake:
    bound = config.bind(one.task.data)
    controls = [control for control in bound.controls if control.name in one.right]
    given: dict[str, JSON] | None = None
    if outcome is not None and outcome.error is None:
        given = {c.name: c.encode(c.value_of(outcome.result).value) for c in controls}
    return Mistake(
        texts=texts_of(bound.show(one.task.data)),
        given=given,
        right={c.name: c.encode(one.right[c.name].value) for c in controls},
    )


def _size(question: Question, one: HeldOut) -> int:
    """Tokens of the first prompt; 0: the task is not asked."""
    first = first_request(question, one.task)
    return 0 if isinstance(first, str) else estimated_tokens(first.messages)


def _answer_tokens(writer: Agent) -> int:
    return max(writer.max_tokens, _ANSWER_TOKENS)


def _writing(writer: Agent, question: Question, mistakes: Sequence[Mistake]) -> Request:
    return Request(
        messages=writing_messages(question.config, question.instructions, question.agent.guidance, mistakes),
        schema=SCHEMA,
        model=writer.model,
        temperature=writer.temperature,
        max_tokens=_answer_tokens(writer),
        seed=writer.seed,
        reasoning_effort=writer.reasoning_effort,
        logprobs=False,
    )
