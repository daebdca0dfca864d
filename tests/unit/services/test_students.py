"""Students of verified labels as annotators: what they learn from, what they answer, and that they ask nobody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.core.agents import AgentVersion
from backend.core.audit import AuditRule
from backend.core.errors import ConfigError, InputError
from backend.core.values import Agent, Outcome, Reply, Request, TaskState
from backend.ports.store import Record
from backend.services.agent_checks import AgentChecks
from backend.services.agent_trials import Trials
from backend.services.batch_lane import check_agent
from backend.services.comparing import Comparing
from backend.services.improving import Improving
from backend.services.students import MOST_TASKS, Students, is_by_student
from tests.fakes.installation import AGENT, Installation, replying
from tests.fakes.priced_endpoints import PricedEndpoints

PUPIL = Agent(name="pupil", model="student", template="(inline)", provider="student")
CONFIG = (
    '<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text">'
    '<Choice value="Glad" alias="positive"/><Choice value="Sad" alias="negative"/></Choices></View>'
)
MORE = CONFIG.replace("</View>", '<TextArea name="why" toName="text"/><Rating name="r" toName="text"/></View>')
OPTIONAL = '<View><Text name="text" value="$text"/><Rating name="r" toName="text"/></View>'
FOODS = ("soup", "bread", "rice", "fish", "salad", "tea", "coffee", "cake")


def text(number: int) -> str:
    return f"{('lovely', 'horrid')[number % 2]} {FOODS[number % 8]} on day {number}"


def right(number: int) -> str:
    return ("positive", "negative")[number % 2]


def said(label: str) -> list[dict[str, Any]]:
    return [{"id": "r", "from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]


def always_glad(_: Request) -> Reply:
    return replying('{"sentiment": "Glad", "why": [], "r": 3}')


class Site:
    """A project whose tasks a model answered with one label throughout; the first `verified` have a person's."""

    def __init__(
        self, tasks: int = 60, verified: int = 50, *, config: str = CONFIG, texts: Any = text, agent: Agent = PUPIL
    ) -> None:
        self.here = Installation(always_glad, agent=replace(AGENT, confidence="self_reported"))
        self.project_id, self.ids = self.here.project(*map(texts, range(tasks)), config=config)
        self.here.run(self.project_id)
        self.here.labels.now = self.here.clock.now + timedelta(minutes=1)
        self.verify(range(verified))
        self.version = AgentVersion.of(agent, "")
        self.here.store.add_agent(self.version)
        self.here.model.requests.clear()

    def verify(self, numbers: Any, label: Any = right) -> None:
        for number in numbers:
            self.here.labels.now += timedelta(seconds=1)
            self.here.labels.annotate(self.ids[number], said(label(number)))
        self.here.verifier.catch_up(self.project_id)

    def run(self, **how: Any) -> str:
        """The version that the student's answers have."""
        job = self.here.jobs.start_run(self.project_id, agent="pupil", **how)
        self.here.work_off()
        found = self.here.store.job(job)
        assert found is not None
        return found.version

    def records(self, version: str) -> list[Record]:
        found = self.here.store.records(self.project_id, version, self.ids)
        return [found[task_id] for task_id in self.ids if task_id in found]

    @property
    def trials(self) -> Trials:
        return Trials(labels=self.here.labels, projects=self.here.projects, caller=self.here.caller, concurrency=4)

    @property
    def comparing(self) -> Comparing:
        return Comparing(
            store=self.here.store,
            trials=self.trials,
            endpoints=PricedEndpoints(),
        )

    def tested(self, **how: Any) -> list[Outcome]:
        question = self.trials.question(self.project_id, "pupil")
        tasks = self.trials.tasks(self.project_id, question, **how)
        return [outcome for _, outcome in self.trials.test(question, tasks)]


def labels(record: Record) -> list[str]:
    return [choice for region in record.result for choice in region["value"]["choices"]]


def test_a_student_answers_in_the_place_of_a_model_and_asks_nobody() -> None:
    site = Site()
    version = site.run()
    assert version.startswith("pupil@")
    assert site.here.model.requests == []
    records = site.records(version)
    assert [record.state for record in records] == [TaskState.DONE] * 60
    assert sum(labels(record) == [right(number)] for number, record in enumerate(records)) >= 58
    assert all(record.score is not None and 0.5 <= record.score <= 1.0 for record in records)
    counts = site.here.store.counts(site.project_id, version=version)
    assert (counts.usage.calls, counts.usage.prompt_tokens) == (0, 0)
    shown = [p for p in site.here.labels.projects[site.project_id].predictions.values() if p.model_version == version]
    assert len(shown) == 60
    assert is_by_student(site.here.store, site.project_id, version)
    assert not is_by_student(site.here.store, site.project_id, site.here.version(site.project_id))


def test_what_was_verified_is_answered_by_who_has_not_seen_it() -> None:
    """Half of the labels are by chance: a student that had seen them would be far better than a coin."""
    site = Site(tasks=80, verified=80, texts=lambda n: f"entry{n * 7919 % 83}")
    records = site.records(site.run())
    found = sum(labels(record) == [right(number)] for number, record in enumerate(records))
    assert found <= 50


def test_it_learns_on_within_its_version() -> None:
    site = Site(tasks=60, verified=40)
    before = site.trials.question(site.project_id, "pupil")
    assert "40 verified labels" in site.tested(most=1)[0].fields[0].notes[0]
    site.verify(range(40, 50))
    after = site.trials.question(site.project_id, "pupil")
    assert before.version == after.version
    assert "50 verified labels" in site.tested(most=1)[0].fields[0].notes[0]


def test_nothing_is_learnt_twice_of_the_same() -> None:
    site = Site()
    first, second = (site.trials.question(site.project_id, "pupil").student for _ in range(2))
    assert first.pupils["sentiment"] is second.pupils["sentiment"]  # type: ignore[union-attr]


def test_it_is_chosen_for_a_project_and_opened_tasks_are_answered() -> None:
    site = Site()
    row = site.here.projects.choose(site.here.labels, site.project_id, "pupil")
    assert row.version is not None
    assert row.version.startswith("pupil@")
    raw = site.here.raw_tasks(site.project_id, [site.ids[55]])
    site.here.clock.while_sleeping = site.here.work_off
    (answer,) = site.here.predictor.answer(site.project_id, raw, CONFIG, interactive=True)
    assert answer["result"][0]["value"]["choices"] == ["negative"]  # type: ignore[call-overload]
    assert answer["model_version"] == row.version  # type: ignore[call-overload]
    assert site.here.model.requests == []


class TestTooLittle:
    def test_few_labels(self) -> None:
        site = Site(verified=12)
        told = r'"sentiment" has 12 verified labels on tasks with text, and 30 are needed\): verify more tasks'
        with pytest.raises(ConfigError, match=told):
            site.run()
        with pytest.raises(ConfigError, match=told):
            site.here.projects.choose(site.here.labels, site.project_id, "pupil")
        with pytest.raises(ConfigError, match=told):
            site.trials.question(site.project_id, "pupil")
        assert [job.kind for job in site.here.store.jobs_since(site.here.clock.now - timedelta(days=1))] == ["run"]

    def test_labels_that_are_taken_back_while_a_run_waits_stop_it(self) -> None:
        site = Site(verified=30)
        job_id = site.here.jobs.start_run(site.project_id, agent="pupil")
        for one in list(site.here.store.verifications(site.project_id))[:5]:
            site.here.labels.delete_annotation(one.annotation_id)
        site.here.verifier.catch_up(site.project_id, everything=True)
        site.here.work_off()
        job = site.here.store.job(job_id)
        assert job is not None
        assert (job.state.value, "has 25 verified labels" in str(job.reason)) == ("stopped", True)

    def test_one_class(self) -> None:
        site = Site(verified=0)
        site.verify(range(40), lambda _: "positive")
        with pytest.raises(ConfigError, match="has the same label in all 40 verified tasks, 'positive', and two are"):
            site.run()

    def test_a_label_that_left_the_schema_teaches_nothing(self) -> None:
        site = Site(verified=50)
        changed = CONFIG.replace("Sad", "Angry").replace("negative", "angry")
        held = site.here.labels.projects[site.project_id]
        held.project = replace(held.project, label_config=changed)
        site.here.verifier.catch_up(site.project_id, everything=True)
        with pytest.raises(ConfigError, match="has 0 verified labels on tasks with text"):
            site.run()

    def test_two_who_disagree_teach_nothing(self) -> None:
        site = Site(verified=34)
        for number in range(10):
            site.here.labels.annotate(site.ids[number], said(right(number + 1)), by=2)
        site.here.verifier.catch_up(site.project_id)
        with pytest.raises(ConfigError, match="has 24 verified labels"):
            site.run()

    def test_what_is_set_apart_teaches_nothing(self) -> None:
        site = Site(verified=34)
        apart = Students(store=site.here.store, excluded=lambda _: site.ids[:10])
        question = site.trials.question(site.project_id, "pupil")
        assert "24 verified" in str(apart.pupils(site.project_id, question.config, 0)["sentiment"])
        few = Students(store=site.here.store, most=31)
        assert len(few.pupils(site.project_id, question.config, 0)["sentiment"].taught) == 31  # type: ignore[union-attr]
        assert MOST_TASKS >= 2_000


class TestWhatItCannotAnswer:
    def test_other_controls_are_left_empty_with_a_note(self) -> None:
        site = Site(config=MORE)
        (outcome,) = site.tested(most=1)
        assert [field.value for field in outcome.fields] == [("positive",), None, None]
        assert outcome.state is TaskState.DONE
        assert [note.partition(" is left empty: ")[0] for note in outcome.notes] == ['"why"', '"r"']
        assert outcome.score == outcome.fields[0].confidence

    def test_a_config_without_any_that_it_can(self) -> None:
        site = Site(config=OPTIONAL, verified=0)
        told = "answers Choices of one class only, and the labeling config has none"
        with pytest.raises(ConfigError, match=told):
            site.run()
        with pytest.raises(ConfigError, match=told):
            site.here.projects.choose(site.here.labels, site.project_id, "pupil")
        checks = AgentChecks(trials=lambda: site.trials, describe_model=lambda _: {"model": "none"})
        with pytest.raises(ConfigError, match=told):
            checks.check(site.version, site.project_id)
        assert checks.check(site.version, None).as_json()["prompts_measured"] == 0

    def test_a_config_that_changes_to_one_leaves_the_project_without_a_version(self) -> None:
        site = Site()
        site.here.projects.choose(site.here.labels, site.project_id, "pupil")
        row, _ = site.here.projects.remember(site.project_id, OPTIONAL)
        assert row.version is None
        assert "answers Choices of one class only" in row.refusals[-1]

    def test_a_task_without_text_is_not_asked(self) -> None:
        site = Site(texts=lambda n: "" if n == 59 else text(n))
        record = site.records(site.run())[59]
        assert (record.state, record.score) == (TaskState.SKIPPED, 0.0)

    def test_messages_and_batches(self) -> None:
        site = Site()
        question = site.trials.question(site.project_id, "pupil")
        with pytest.raises(InputError, match="sends no messages: see its answers with"):
            site.trials.preview(question, site.trials.tasks(site.project_id, question, most=1))
        with pytest.raises(InputError, match="asks no endpoint: run it without --lane batch"):
            check_agent(PUPIL)

    def test_an_instruction_that_could_be_improved(self) -> None:
        site = Site()
        improving = Improving(comparing=site.comparing)
        for agent, writer in (("pupil", None), ("tests", "pupil")):
            with pytest.raises(InputError, match="The student 'pupil' reads no instructions and writes none"):
                improving.plan(site.project_id, agent, writer=writer)

    def test_golden_questions_teach_nothing(self) -> None:
        site = Site(verified=34)
        question = site.trials.question(site.project_id, "pupil")
        site.here.store.golden_set_apart = lambda _: set(site.ids[:10])  # type: ignore[method-assign]
        vars(site.here.projects).pop("students")
        with pytest.raises(ConfigError, match="has 24 verified labels"):
            site.here.projects.students.beside(site.project_id, question)


def test_it_is_measured_against_the_model_on_what_it_has_not_seen() -> None:
    site = Site(verified=60)
    plan = site.comparing.plan(site.project_id, "tests", "pupil", count=100)
    assert plan.takes.at_most.calls == len(plan.drawn)  # the student asks nobody
    found = site.comparing.compare(plan)
    assert found.winner == site.version.reference
    assert (found.old.right, found.new.cost_usd) == (30, 0.0)
    assert found.new.right >= 57


def test_versions_follow_name_and_seed_and_config_alone() -> None:
    site = Site(verified=0)
    row = site.here.store.project(site.project_id)
    assert row is not None
    other = AgentVersion.of(replace(PUPIL, seed=1), "")
    assert other.hash != site.version.hash
    assert AgentVersion.of(AGENT, "t").hash == AgentVersion.of(replace(AGENT, provider=None), "t").hash
    site.here.store.add_agent(other)
    found = {site.here.projects.note_version(row, version.reference) for version in (site.version, other)}
    assert len(found) == 2
    told = replace(row, instructions="Mind the irony.")
    assert site.here.projects.note_version(told, site.version.reference) in found


def test_the_audit_teaches_and_judges() -> None:
    """Its labels are learnt from; its tasks are answered by who has not seen them."""
    here = Installation(always_glad, audit=AuditRule(first=40, fewest_tasks=20))
    project_id, ids = here.project(*map(text, range(80)), config=CONFIG)
    here.run(project_id)
    here.labels.now = here.clock.now + timedelta(minutes=1)
    plan = here.store.audit_plan(project_id)
    assert plan is not None
    blind = [task_id for task_id in ids if plan.holds(task_id)]
    for task_id in blind:
        here.labels.annotate(task_id, said(right(ids.index(task_id))))
    here.verifier.catch_up(project_id)
    config = here.projects.asking(here.store.project(project_id), here.projects.agents.default).config  # type: ignore[arg-type]
    pupil = Students(store=here.store).pupils(project_id, config, 0)["sentiment"]
    assert {one.task_id for one in pupil.taught} == set(blind)  # type: ignore[union-attr]
    assert set(pupil.held_out) == set(blind)  # type: ignore[union-attr]
