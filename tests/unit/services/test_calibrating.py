"""Batch calibration as an agent of its own: adopted on the audit's evidence, read from what was answered."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from math import log
from typing import Any

import pytest

from backend.confidence.batch_calibration import BatchMeans
from backend.confidence.certificate import ErrorOf
from backend.core.agents import AgentVersion
from backend.core.audit import AuditRule
from backend.core.errors import ConfigError, InputError
from backend.core.values import Agent, FieldReading, Outcome, Reply, Request, TaskState, TokenLogprob
from backend.labeling.parsing import parse_config
from backend.recalibrating import recalibrated
from backend.services.agent_trials import Trials
from backend.services.batch_lane import check_agent
from backend.services.calibrating import Calibrated, calibrate
from backend.services.certifying import Certifying
from backend.services.projects import answerable
from backend.services.students import has_met_the_audit
from tests.fakes.installation import CONFIG, Installation, replying
from tests.unit.services.test_students import PUPIL, said
from tests.unit.test_cli import Command, prelabel  # noqa: F401  - a fixture

SHOWN = CONFIG.replace("/></Choices>", '/></Choices><TextArea name="why" toName="text"/>', 1)


def biased(request: Request) -> Reply:
    """Says "positive" of everything: surely of what is good, hardly of what is bad."""
    data = request.messages[-1].content.partition("Annotate the data above")[0]
    share = 0.55 if "bad" in data else 0.8
    alternatives = (("positive", log(share)), ("negative", log(1 - share)))
    tokens = (
        TokenLogprob(token='{"sentiment": "', logprob=0.0, top=(('{"sentiment": "', 0.0),)),
        TokenLogprob(token="positive", logprob=log(share), top=alternatives),
        TokenLogprob(token='"}', logprob=0.0, top=(('"}', 0.0),)),
    )
    return replying("".join(token.token for token in tokens), tokens=tokens)


class Site:
    """A project of which the audit's tasks were annotated as they are, or (`by_the_model`) as the model says."""

    def __init__(
        self, *, tasks: int = 120, audit: int = 100, by_the_model: bool = False, answer: Any = biased, **how: Any
    ) -> None:
        self.here = Installation(answer, audit=AuditRule(first=audit, fewest_tasks=20), chunk_size=50, **how)
        self.project_id, self.ids = self.here.project(*(f"{('good', 'bad')[n % 2]} number {n}" for n in range(tasks)))
        self.here.run(self.project_id)
        self.here.labels.now = self.here.clock.now + timedelta(minutes=1)
        plan = self.here.store.audit_plan(self.project_id)
        self.blind = [i for i in self.ids if plan is not None and plan.holds(i)]
        for task_id in self.blind:
            number = self.ids.index(task_id)
            self.here.labels.annotate(task_id, said("negative" if number % 2 and not by_the_model else "positive"))
        self.here.verifier.catch_up(self.project_id)
        self.here.model.requests.clear()

    def calibrate(self) -> Calibrated:
        here = self.here
        row = here.store.project(self.project_id)
        assert row is not None
        assert row.version is not None
        made_by = here.projects.made_by(row)
        return calibrate(here.store, row, row.version, made_by, answerable(row.label_config))

    def labels_of(self, version: str) -> list[str]:
        records = self.here.store.records(self.project_id, version, self.ids)
        return [records[i].result[0]["value"]["choices"][0] for i in self.ids]


def test_it_is_adopted_and_read_from_what_was_answered() -> None:
    site = Site()
    made = site.calibrate()
    assert made.agent.agent.name == "tests-calibrated"
    gain = made.gains["sentiment"]
    assert (gain["audit"], gain["spoiled"]) == (len(site.blind), 0)
    assert gain["mended"] == sum(site.ids.index(i) % 2 for i in site.blind)
    before = site.here.version(site.project_id)
    job = site.here.jobs.start_run(site.project_id, agent=made.agent.reference)
    site.here.work_off()
    found = site.here.store.job(job)
    assert found is not None
    assert site.here.model.requests == []  # nothing was asked
    assert site.labels_of(found.version) == ["positive", "negative"] * 60
    assert site.labels_of(before) == ["positive"] * 120  # what the model said stays
    records = site.here.store.records(site.project_id, found.version, site.ids)
    record = records[site.ids[1]]
    assert record.score == record.result[0]["score"] or abs((record.score or 0) - record.result[0]["score"]) < 0.001
    assert record.score is not None
    assert 0.5 < record.score < 0.7
    counts = site.here.store.counts(site.project_id, version=found.version)
    assert (counts.usage.calls, counts.states["done"]) == (0, 120)
    assert site.calibrate().is_new is False


def test_a_task_that_was_not_answered_is_asked_and_read_in_the_same_way() -> None:
    site = Site()
    made = site.calibrate()
    project = site.here.labels.projects[site.project_id]
    new = max(project.tasks) + 1
    project.tasks[new] = {"text": "bad and new"}
    trials = Trials(labels=site.here.labels, projects=site.here.projects, caller=site.here.caller, concurrency=2)
    question = trials.question(site.project_id, made.agent)
    ((_, asked), (_, known)) = trials.test(question, trials.tasks(site.project_id, question, ids=[new, site.ids[1]]))[
        ::-1
    ]
    assert len(site.here.model.requests) == 1
    for outcome in (asked, known):
        (field,) = outcome.fields
        assert (field.value, field.method) == (("negative",), "batch_calibration")
        assert field.notes == ("batch calibration says 'negative' where the model said 'positive'",)
        assert field.signals["before_calibration"] == pytest.approx(0.55, abs=0.01)
        assert field.confidence == outcome.score
    assert asked.usage.calls == 1
    assert known.usage.calls == 0


def test_a_changed_text_and_a_task_asked_anew_are_asked() -> None:
    site = Site()
    made = site.calibrate()
    site.here.labels.projects[site.project_id].tasks[site.ids[0]] = {"text": "bad by now"}
    trials = Trials(labels=site.here.labels, projects=site.here.projects, caller=site.here.caller, concurrency=2)
    question = trials.question(site.project_id, made.agent)
    ((_, outcome),) = trials.test(question, trials.tasks(site.project_id, question, ids=[site.ids[0]]))
    assert outcome.fields[0].value == ("negative",)
    assert len(site.here.model.requests) == 1


class TestWithoutEvidence:
    def test_labels_that_would_be_spoiled(self) -> None:
        site = Site(by_the_model=True)
        told = r'not adopted: "sentiment": of \d+ audited labels it would make 0 right and \d+ wrong: no gain'
        with pytest.raises(InputError, match=told):
            site.calibrate()
        assert site.here.store.agents() == []

    def test_too_small_an_audit(self) -> None:
        site = Site(tasks=60, audit=22)
        assert 0 < len(site.blind) < 30
        with pytest.raises(InputError, match=rf"{len(site.blind)} audited labels can be judged by, and 30 are needed"):
            site.calibrate()

    def test_no_probabilities(self) -> None:
        site = Site(answer=lambda _: replying('{"sentiment": "positive"}'))
        with pytest.raises(InputError, match="no answer holds the probabilities of its labels"):
            site.calibrate()

    def test_agents_that_have_no_labels_of_a_models_own(self) -> None:
        site = Site()
        row = site.here.store.project(site.project_id)
        assert row is not None
        made = site.calibrate().agent
        config = answerable(row.label_config)
        for version, told in ((AgentVersion.of(PUPIL, ""), "is a student"), (made, "is batch-calibrated")):
            with pytest.raises(ConfigError, match=told):
                calibrate(site.here.store, row, str(row.version), version, config)

    def test_controls_that_others_show(self) -> None:
        shown = SHOWN.replace(
            'name="why"', 'name="why" visibleWhen="choice-selected" whenTagName="sentiment" whenChoiceValue="negative"'
        )
        site = Site()
        row = site.here.store.project(site.project_id)
        assert row is not None
        with pytest.raises(ConfigError, match="visibleWhen"):
            calibrate(site.here.store, row, str(row.version), site.here.projects.agents.default, parse_config(shown))


def test_the_batch_lane_is_not_for_it() -> None:
    with pytest.raises(InputError, match="run it without --lane batch"):
        check_agent(replace(PUPIL, provider=None, calibrated={"of": "a", "means": {}}))


def test_versions_and_hashes_of_others_stay() -> None:
    one = Agent(name="a", model="m", template="default.v1")
    means = BatchMeans(means={"positive": 0.7, "negative": 0.3}, tasks=100).to_json()
    other = replace(one, calibrated={"of": "a", "means": {"sentiment": means}})
    assert AgentVersion.of(one, "t").hash != AgentVersion.of(other, "t").hash
    site = Site()
    site.here.store.add_agent(AgentVersion.of(other, "t"))
    found = site.here.store.agent("a")
    assert found is not None
    assert found.version.agent == other


def test_a_certificate_of_it_is_made_at_half_the_risk() -> None:
    site = Site()
    site.here.projects.choose(site.here.labels, site.project_id, site.calibrate().agent.reference)
    assert has_met_the_audit(site.here.store, site.project_id, site.here.version(site.project_id))
    site.here.run(site.project_id)
    verdict = Certifying(store=site.here.store, labels=site.here.labels).verdict(
        site.project_id, max_error=0.2, confidence=0.95, error_of=ErrorOf.ACCEPTED
    )
    assert verdict.version.startswith("tests-calibrated@")


def test_what_cannot_be_read_again_stays_as_it_is() -> None:
    config = parse_config(CONFIG)
    means = {"sentiment": BatchMeans(means={"positive": 0.7, "negative": 0.3}, tasks=100)}
    region = {"id": "r", "from_name": "sentiment", "value": {"choices": ["positive"]}}
    for field in (
        FieldReading(control="sentiment", value=("positive",), step="x"),
        FieldReading(control="sentiment", value=None, step="x", label_probabilities={"positive": 1.0}),
        FieldReading(control="sentiment", value=("positive",), step="x", label_probabilities={"negative": 1.0}),
        FieldReading(control="sentiment", value=("positive",), step="x", label_probabilities={"positive": 0.0}),
        FieldReading(control="other", value=("positive",), step="x", label_probabilities={"positive": 1.0}),
    ):
        outcome = Outcome(state=TaskState.DONE, result=(region,), fields=(field,))
        assert recalibrated(outcome, config, means) == outcome
    failed = Outcome(state=TaskState.FAILED, score=0.0)
    assert recalibrated(failed, config, means) == failed


class TestCommand:
    @pytest.fixture
    def site(self) -> Site:
        return Site()

    @pytest.fixture
    def installation(self, site: Site) -> Installation:
        return site.here

    def test_it_is_proposed_and_adopted(self, site: Site, prelabel: Command) -> None:  # noqa: F811
        _, out, _ = prelabel("scores", "--project", site.project_id, "--refit")
        assert "`prelabel scores --calibrate` adopts it" in out
        code, out, err = prelabel("scores", "--project", site.project_id, "--calibrate")
        assert (code, err) == (0, "")
        assert "batch calibration would make" in out
        assert "Next: prelabel run --project 1 --agent tests-calibrated@" in out
        told = json.loads(prelabel("scores", "--project", site.project_id, "--calibrate", "--json")[1])
        assert told["agent"].startswith("tests-calibrated@")
        assert (told["is_new"], told["gains"]["sentiment"]["spoiled"]) == (False, 0)
