"""A better instruction for an agent: a model writes it from what people corrected, and it has to win to be registered.

Which tasks the writer may be shown, and on which old and new are measured, `improving_tasks` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from backend.core.agents import AgentVersion
from backend.core.errors import InputError
from backend.core.values import Agent, Request, Usage
from backend.dialogue import Question
from backend.prompting.guidance import names_asked
from backend.prompting.improving import SCHEMA, Mistake, asked_again, read_guidance, writing_messages
from backend.prompting.template_check import check_template
from backend.prompting.tokens import estimated_tokens
from backend.services.agent_checks import check_guidance
from backend.services.comparing import FEWEST, Compared, Comparing, HeldOut, Look, drawn_from, is_right
from backend.services.estimated_usage import PROMPT_SHARES
from backend.services.improving_tasks import FEWEST_MISTAKES, mistake_of, need_enough, split
from backend.services.trial_usage import Expected, Takes, answering, takes

MOST_MISTAKES = 20  # that the writer is shown
_MOST_CORRECTED = 60  # tasks that the agent is asked about again, to see what it is wrong about now
_ANSWER_TOKENS = 1_500  # of the writer at least; a model that thinks takes what its agent has
_GUIDANCE_TOKENS = 400  # of a guidance, as models write it mostly
_TRIES = 2  # of the writer


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is going to be done."""

    project_id: int
    old: AgentVersion
    writer: Agent
    name: str  # of the new version
    corrected: tuple[HeldOut, ...]  # the writer may be shown
    held_out: tuple[HeldOut, ...]  # to measure on
    takes: Takes
    look: Look | None  # at the audit, that it takes


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

    def plan(
        self, project_id: int, agent: str, *, writer: str | None = None, name: str | None = None, count: int = 100
    ) -> Plan:
        """Ask nobody yet. Raises `AgentUnknown`, `ConfigError`, `TemplateError`, and `InputError` where too little is
        verified or corrected, with how much is needed."""
        agents = self.comparing.trials.projects.agents
        old = agents.find(agent)
        named = name or (f"{old.agent.name[:31]}-improved" if old == agents.default else old.agent.name)
        agents.need_free(named)
        writing = agents.find(writer).agent if writer is not None else old.agent
        for one in (old.agent, writing):
            if one.is_student:
                raise InputError(f"The student {one.name!r} reads no instructions and writes none: name another agent.")
        check_template(old.template_source)
        check_guidance(replace(old, agent=replace(old.agent, guidance="any")))
        corrected, rest = split(self.comparing, project_id)
        need_enough(project_id, len(corrected), len(rest))
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
            takes=self._takes(question, writing, corrected, drawn),
            look=self.comparing.look(project_id, drawn),
        )

    def improve(self, plan: Plan) -> Improved:
        """Let the writer write, measure, and register what wins. Raises what would stop a job, and `InputError` where
        nothing is written that can be used."""
        trials = self.comparing.trials
        question = trials.question(plan.project_id, plan.old)
        mistakes = self._mistakes(plan, question)
        guidance, shown, usage = self._written(plan, question, mistakes)
        # Means of label probabilities are those of answers to the old prompt.
        agent = replace(plan.old.agent, name=plan.name, guidance=guidance, calibrated=None)
        new = AgentVersion.of(agent, plan.old.template_source)
        compared = None
        if guidance != plan.old.agent.guidance:
            compared = self.comparing.measure(plan.project_id, (plan.old, new), plan.held_out, kind="improve")
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
            writing_cost_usd=self.comparing.endpoints.cost(plan.writer.model, usage, plan.writer),
        )

    def _mistakes(self, plan: Plan, question: Question) -> dict[int, Mistake]:
        """What the agent is wrong about now, of what was corrected; by task."""
        outcomes = self.comparing.trials.test(question, [one.task for one in plan.corrected])
        found = {
            one.task.id: mistake_of(question.config, one, outcome)
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
            guidance, fault = read_guidance(reply, names_asked(question.config))
            if fault is None:
                return guidance, shown, usage
            request = replace(request, messages=asked_again(request.messages, reply, fault))
        raise InputError(
            f"{writer.model!r} wrote nothing that can be used (the guidance {fault}), and nothing changed: let another "
            "agent's model write with --with."
        )

    def _takes(
        self, question: Question, writer: Agent, corrected: Sequence[HeldOut], drawn: Sequence[HeldOut]
    ) -> Takes:
        """The old agent answers all of these tasks, the new one those that are measured on."""
        endpoints = self.comparing.endpoints
        asked, measured = [one.task for one in (*corrected, *drawn)], [one.task for one in drawn]
        longest = sorted(corrected, key=lambda one: len(str(one.task.data)), reverse=True)[:MOST_MISTAKES]
        request = _writing(writer, question, [mistake_of(question.config, one, None) for one in longest])
        expected = (
            answering(question, endpoints, asked),
            answering(question, endpoints, measured, longer=(_GUIDANCE_TOKENS, request.max_tokens)),
            _written(writer, request, wrong_answers=len(longest) * question.agent.max_tokens),
        )
        return takes(expected, endpoints)


def _written(writer: Agent, request: Request, *, wrong_answers: int) -> Expected:
    """Likely once; `wrong_answers`: tokens of those that the request is going to name, at most."""
    prompt, answer = estimated_tokens(request.messages), request.max_tokens
    whole = min(ceil(PROMPT_SHARES[2] * prompt) + wrong_answers, writer.context_tokens)
    return Expected(
        agent=writer,
        likely=Usage(
            prompt_tokens=min(round(PROMPT_SHARES[1] * prompt), writer.context_tokens),
            completion_tokens=_GUIDANCE_TOKENS,
            calls=1,
        ),
        at_most=Usage(prompt_tokens=_TRIES * (whole + answer), completion_tokens=_TRIES * answer, calls=_TRIES),
    )


def _writing(writer: Agent, question: Question, mistakes: Sequence[Mistake]) -> Request:
    return Request(
        messages=writing_messages(question.config, question.instructions, question.agent.guidance, mistakes),
        schema=SCHEMA,
        model=writer.model,
        temperature=writer.temperature,
        max_tokens=max(writer.max_tokens, _ANSWER_TOKENS),
        seed=writer.seed,
        reasoning_effort=writer.reasoning_effort,
        logprobs=False,
    )
