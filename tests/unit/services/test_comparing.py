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
from backend.services.agent_trials import Trials
from backend.services.comparing import FEWEST, Comparing
from tests.fakes.installation import AGENT, Installation, replying

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
            store=self.here.store, trials=trials, cost=lambda model, usage, agent: usage.calls / 100
        )


def test_the_better_one_wins_beyond_chance() -> None:
    site = Site()
    before = len(site.here.labels.calls)
    found = site.comparing.compare(site.project_id, "tests", "better", count=100)
    assert (found.old.n, found.old.right, found.new.right) == (60, 40, 54)
    assert found.comparison.gain == pytest.approx(14 / 60)
    assert 0 < found.comparison.interval.low < 14 / 60 < found.comparison.interval.high
    assert found.old.interval.low < 40 / 60 < found.old.interval.high
    assert found.winner == found.new.agent
    assert found.new.agent.startswith("better@")
    assert (found.old.cost_usd, found.new.cost_usd) == (0.0, 0.6)  # the first agent's replies are stored
    assert found.tasks == tuple(site.ids)
    assert len(site.here.labels.calls) == before  # nothing was written
    other = site.comparing.compare(site.project_id, "better", "tests", count=100)
    assert other.winner == found.winner


def test_what_may_be_chance_has_no_winner() -> None:
    site = Site()
    assert site.comparing.compare(site.project_id, "tests", "same", count=100).winner is None
    few = site.comparing.compare(site.project_id, "tests", "better", count=FEWEST - 1)
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
    found = site.comparing.compare(site.project_id, "tests", "better", count=100)
    assert len(drawn) > FEWEST
    assert (found.blind, set(found.tasks) <= drawn) == (True, True)
    site.comparing.compare(site.project_id, "tests", "better", count=100)
    (look,) = site.here.store.audit_looks(site.project_id)  # the same again is no other one
    assert (look.number, look.kind) == (1, "compare")
    shown = Site()
    assert shown.comparing.compare(shown.project_id, "tests", "better", count=100).blind is False
    assert shown.here.store.audit_looks(shown.project_id) == []


def test_an_answer_that_cannot_be_used_is_wrong() -> None:
    def garbled(request: Request) -> Reply | ModelError:
        return replying("no idea") if request.model == "better" and number_in(request) < 50 else mostly(request)

    found = Site(answer=garbled)
    compared = found.comparing.compare(found.project_id, "tests", "better", count=100)
    assert (compared.new.right, compared.new.unusable) == (9, 50)
    assert compared.winner == compared.old.agent


def test_a_task_is_no_example_of_itself() -> None:
    site = Site(tasks=10, labelled=10)
    agent = replace(PLAIN, name="shown", retrieved=9, selector="tfidf", model="better")
    site.here.store.add_agent(AgentVersion.of(agent, site.here.projects.template_source))
    site.here.model.requests.clear()
    site.comparing.compare(site.project_id, "tests", "shown", count=100)
    asked = [r for r in site.here.model.requests if r.model == "better"]
    assert len(asked) == 10
    for request in asked:
        own = site.ids[number_in(request)]
        assert sorted((own, *request.examples)) == sorted(site.ids)


def test_what_there_is_nothing_to_compare_for() -> None:
    site = Site(labelled=0)
    with pytest.raises(InputError, match="No task of project 1 has a label to compare with: annotate some"):
        site.comparing.compare(site.project_id, "tests", "better", count=100)
    with pytest.raises(ConfigError, match="Project 99 is not known here"):
        site.comparing.compare(99, "tests", "better", count=100)
    with pytest.raises(InputError, match="are the same agent"):
        site.comparing.compare(site.project_id, "tests", "tests", count=100)
    with pytest.raises(AgentUnknown):
        site.comparing.compare(site.project_id, "tests", "nobody", count=100)


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
        site.comparing.compare(site.project_id, "tests", "better", count=100)
