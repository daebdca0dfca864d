"""Two agents measured on the same verified tasks."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.core.agents import AgentVersion
from backend.core.audit import AuditRule
from backend.core.errors import AgentUnknown, ConfigError, InputError, ModelError, ModelUnauthorized
from backend.core.values import JSON, Reply, Request
from backend.ports.model import Capabilities
from backend.services.agent_trials import Trials
from backend.services.comparing import FEWEST, Compared, Comparing
from backend.services.estimating import first_request
from tests.fakes.installation import AGENT, Installation, replying
from tests.fakes.priced_endpoints import PricedEndpoints

PLAIN = replace(AGENT, confidence="self_reported")  # replies without token probabilities are stored, too


def number_in(request: Request) -> int:
    return int(request.messages[-1].content.rpartition("text number ")[2].split()[0])


def mostly(request: Request) -> Reply | ModelError:
    """All are "positive" in truth. "a-model" is wrong about every third one, "better" about every tenth."""
    every = {"a-model": 3, "better": 10}.get(request.model, 10**9)
    wrong = number_in(request) % every == 0
    return replying(json.dumps({"sentiment": "negative" if wrong else "positive"}))


def said(label: str) -> list[dict[str, JSON]]:
    value = {"choices": [label]}
    return [{"id": "x", "from_name": "sentiment", "to_name": "text", "type": "choices", "value": value}]


class Site:
    """A project of which people labelled the first `labelled` tasks, after they were shown predictions."""

    def __init__(self, tasks: int = 60, labelled: int = 60, answer: Any = mostly, **how: Any) -> None:
        self.here = Installation(answer, agent=PLAIN, cached=True, **how)
        self.project_id, self.ids = self.here.project(*(f"text number {n} here" for n in range(tasks)))
        self.here.run(self.project_id)
        self.here.labels.now = self.here.clock.now + timedelta(minutes=1)
        for task_id in self.ids[:labelled]:
            self.here.labels.annotate(task_id, said("positive"))
        self.here.verifier.catch_up(self.project_id)
        source = self.here.projects.template_source
        better = replace(PLAIN, name="better", model="better")
        for agent in (better, replace(better, name="same", model="a-model", temperature=0.5)):
            self.here.store.add_agent(AgentVersion.of(agent, source))
        trials = Trials(labels=self.here.labels, projects=self.here.projects, caller=self.here.caller, concurrency=4)
        self.comparing = Comparing(
            store=self.here.store,
            trials=trials,
            endpoints=PricedEndpoints(),
        )

    def compare(self, old: str, new: str, count: int = 100) -> Compared:
        return self.comparing.compare(self.comparing.plan(self.project_id, old, new, count=count))


def test_the_better_one_wins_beyond_chance() -> None:
    site = Site()
    before = len(site.here.labels.calls)
    found = site.compare("tests", "better")
    assert (found.old.n, found.old.right, found.new.right) == (60, 40, 54)
    assert found.comparison.gain == pytest.approx(14 / 60)
    assert 0 < found.comparison.interval.low < 14 / 60 < found.comparison.interval.high
    assert found.old.interval.low < 40 / 60 < found.old.interval.high
    assert found.winner == found.new.agent
    assert found.new.agent.startswith("better@")
    assert (found.old.cost_usd, found.new.cost_usd) == (0.0, 0.6)  # the first agent's replies are stored
    assert found.tasks == tuple(site.ids)
    assert len(site.here.labels.calls) == before  # nothing was written
    other = site.compare("better", "tests")
    assert other.winner == found.winner


def test_the_plan_tells_what_it_takes_and_asks_nobody() -> None:
    site = Site()
    site.here.model.requests.clear()
    plan = site.comparing.plan(site.project_id, "tests", "better", count=40)
    assert site.here.model.requests == []
    assert (plan.takes.at_most.calls, plan.takes.documents) == (2 * 40, 0)
    assert plan.takes.at_most.cost_usd == pytest.approx(0.8)
    found = site.comparing.compare(plan)
    assert found.tasks == tuple(one.task.id for one in plan.drawn)
    assert plan.takes.likely.prompt_tokens < plan.takes.at_most.prompt_tokens
    used = found.old.usage + found.new.usage
    assert used.calls <= plan.takes.at_most.calls
    assert used.prompt_tokens <= plan.takes.at_most.prompt_tokens


def test_what_is_stored_is_not_counted() -> None:
    site = Site()
    plan = site.comparing.plan(site.project_id, "tests", "better", count=40)
    questions = [site.comparing.trials.question(site.project_id, version) for version in plan.versions]
    stored = {first_request(questions[0], one.task).key for one in plan.drawn}  # type: ignore[union-attr]
    comparing = replace(site.comparing, endpoints=PricedEndpoints(stored))
    found = comparing.plan(site.project_id, "tests", "better", count=40).takes
    assert found.at_most.calls == found.likely.calls == 40


def test_at_most_counts_the_samples_that_an_answer_without_probabilities_takes() -> None:
    """The endpoint is known to give them, and then gives none."""
    site = Site(answer=lambda request: replying('{"sentiment": "positive"}'))
    for name, seed in (("first", 1), ("second", 2)):
        agent = replace(PLAIN, name=name, confidence="auto", samples=4, reasks=1, seed=seed)
        site.here.store.add_agent(AgentVersion.of(agent, site.here.projects.template_source))
    known = Capabilities(structured="json_schema", logprobs=5)
    comparing = replace(site.comparing, endpoints=PricedEndpoints(known=known))
    plan = comparing.plan(site.project_id, "first", "second", count=40)
    assert plan.takes.at_most.calls == 2 * 40 * (1 + 1 + 3)
    found = comparing.compare(plan)
    used = found.old.usage + found.new.usage
    assert used.calls <= plan.takes.at_most.calls
    assert used.prompt_tokens <= plan.takes.at_most.prompt_tokens


def test_what_is_not_counted_is_said() -> None:
    site = Site()
    agent = replace(PLAIN, name="unknown", confidence="auto")
    site.here.store.add_agent(AgentVersion.of(agent, site.here.projects.template_source))
    (note,) = site.comparing.plan(site.project_id, "tests", "unknown", count=40).takes.notes
    assert "Whether the endpoint of 'unknown' gives token probabilities is not known yet" in note


def test_before_it_is_taken_a_look_at_the_audit_is_told() -> None:
    site = Site(200, 200, audit=AuditRule(first=80, fewest_tasks=50))
    plan = site.comparing.plan(site.project_id, "tests", "better", count=100)
    assert plan.look is not None
    assert (plan.look.number, plan.look.tasks) == (1, len(plan.drawn))
    assert (plan.look.labels_before, plan.look.labels_after) == (72, 86)
    few = site.comparing.plan(site.project_id, "tests", "better", count=FEWEST - 1)
    assert few.look == replace(plan.look, tasks=FEWEST - 1)  # nobody can win, but both accuracies are told
    site.comparing.compare(few)
    site.comparing.compare(plan)
    again = site.comparing.plan(site.project_id, "tests", "same", count=100)
    assert again.look is not None
    assert again.look.number == 3
    shown = Site()
    assert shown.comparing.plan(shown.project_id, "tests", "better", count=100).look is None


def test_what_may_be_chance_has_no_winner() -> None:
    site = Site()
    assert site.compare("tests", "same").winner is None
    few = site.compare("tests", "better", count=FEWEST - 1)
    assert (few.comparison.n, few.winner) == (FEWEST - 1, None)


def test_tasks_are_drawn_by_lot_and_the_same_each_time() -> None:
    site = Site()
    draws = [site.comparing.held_out(site.project_id, count=n, seed=seed) for n, seed in ((10, 0), (20, 0), (10, 1))]
    first, more, other = ({one.task.id for one in draw} for draw in draws)
    assert first < more
    assert first != other
    assert first != set(site.ids[:10])


def test_labels_that_were_given_unseen_go_before_all_others() -> None:
    site = Site(200, 200, audit=AuditRule(first=80, fewest_tasks=50))
    plan = site.here.store.audit_plan(site.project_id)
    assert plan is not None
    drawn = {task_id for task_id in site.ids if plan.holds(task_id)}
    found = site.compare("tests", "better")
    assert len(drawn) > FEWEST
    assert (found.blind, set(found.tasks) <= drawn) == (True, True)
    site.compare("tests", "better")
    (look,) = site.here.store.audit_looks(site.project_id)  # the same again is no other one
    assert (look.number, look.kind) == (1, "compare")
    shown = Site()
    assert shown.compare("tests", "better").blind is False
    assert shown.here.store.audit_looks(shown.project_id) == []


def test_an_answer_that_cannot_be_used_is_wrong() -> None:
    def garbled(request: Request) -> Reply | ModelError:
        return replying("no idea") if request.model == "better" and number_in(request) < 50 else mostly(request)

    found = Site(answer=garbled)
    compared = found.compare("tests", "better")
    assert (compared.new.right, compared.new.unusable) == (9, 50)
    assert compared.winner == compared.old.agent


def test_a_task_is_no_example_of_itself() -> None:
    site = Site(tasks=10, labelled=10)
    agent = replace(PLAIN, name="shown", retrieved=9, selector="tfidf", model="better")
    site.here.store.add_agent(AgentVersion.of(agent, site.here.projects.template_source))
    site.here.model.requests.clear()
    site.compare("tests", "shown")
    asked = [r for r in site.here.model.requests if r.model == "better"]
    assert len(asked) == 10
    for request in asked:
        own = site.ids[number_in(request)]
        assert sorted((own, *request.examples)) == sorted(site.ids)


def test_what_there_is_nothing_to_compare_for() -> None:
    site = Site(labelled=0)
    with pytest.raises(InputError, match="No task of project 1 has a label to compare with: annotate some"):
        site.compare("tests", "better")
    with pytest.raises(ConfigError, match="Project 99 is not known here"):
        site.comparing.plan(99, "tests", "better", count=100)
    with pytest.raises(InputError, match="are the same agent"):
        site.compare("tests", "tests")
    with pytest.raises(AgentUnknown):
        site.compare("tests", "nobody")


def test_two_who_disagree_are_nobodys_truth() -> None:
    site = Site(tasks=3, labelled=3)
    site.here.labels.now += timedelta(minutes=1)
    site.here.labels.annotate(site.ids[0], said("negative"), by=99)
    site.here.verifier.look(site.project_id, [site.ids[0]])
    assert [one.task.id for one in site.comparing.held_out(site.project_id, count=9)] == site.ids[1:]


def test_what_would_stop_a_job_stops_a_comparison() -> None:
    def refused(request: Request) -> Reply | ModelError:
        return ModelUnauthorized("The key is refused.") if request.model == "better" else mostly(request)

    site = Site(answer=refused)
    site.here.refusal = ModelUnauthorized("The key is refused.")
    with pytest.raises(ModelUnauthorized, match="The key is refused"):
        site.compare("tests", "better")
