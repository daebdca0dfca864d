"""A better instruction: what the writer is shown, what old and new are measured on, and what is registered."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.core.agents import AgentVersion
from backend.core.audit import AuditRule
from backend.core.errors import AgentUnknown, InputError, ModelError, ModelUnauthorized, TemplateError
from backend.core.values import STUDENT, Reply, Request, Task, Usage
from backend.dialogue import Question
from backend.labeling.parsing import parse_config
from backend.services.agent_trials import Trials
from backend.services.comparing import FEWEST, Comparing, HeldOut
from backend.services.improving import MOST_MISTAKES, Improving
from backend.services.improving_tasks import FEWEST_MISTAKES
from backend.services.trial_usage import Takes
from tests.fakes.installation import AGENT, CONFIG, Installation, replying
from tests.fakes.priced_endpoints import PricedEndpoints
from tests.unit.services.test_comparing import number_in, said

PLAIN = replace(AGENT, confidence="self_reported")  # replies without token probabilities are stored, too
RULE = "Every third text is positive as well."
Answer = Callable[[Request], Reply | ModelError]


def is_writing(request: Request) -> bool:
    return "guidance" in request.schema["properties"]


def writing(guidance: str, *later: str) -> Answer:
    """All are "positive" in truth; the model is wrong about every third one, unless it is told the rule."""
    written = [guidance, *later]

    def answer(request: Request) -> Reply | ModelError:
        if is_writing(request):
            return replying(json.dumps({"guidance": written.pop(0) if len(written) > 1 else written[0]}))
        wrong = number_in(request) % 3 == 0 and RULE not in request.messages[-1].content
        return replying(json.dumps({"sentiment": "negative" if wrong else "positive"}))

    return answer


class Site:
    """A project whose tasks are all verified, after they were pre-annotated."""

    def __init__(
        self,
        answer: Answer,
        tasks: int = 120,
        labelled: int | None = None,
        *,
        audited: int = 0,
        texts: Sequence[str] = (),
    ) -> None:
        audit = AuditRule(first=audited, fewest_tasks=1 if audited else 10**9)
        self.here = Installation(answer, agent=PLAIN, cached=True, audit=audit)
        texts = texts or [f"text number {n} here" for n in range(tasks)]
        self.project_id, self.ids = self.here.project(*texts, instructions="<p>Be just.</p>")
        self.here.run(self.project_id)
        self.here.labels.now = self.here.clock.now + timedelta(minutes=1)
        for task_id in self.ids[:labelled]:
            self.here.labels.annotate(task_id, said("positive"))
        self.here.verifier.catch_up(self.project_id)
        trials = Trials(labels=self.here.labels, projects=self.here.projects, caller=self.here.caller, concurrency=4)
        comparing = Comparing(
            store=self.here.store,
            trials=trials,
            endpoints=PricedEndpoints(),
        )
        self.improving = Improving(comparing=comparing)
        self.here.model.requests.clear()

    @property
    def written(self) -> list[Request]:
        return [request for request in self.here.model.requests if is_writing(request)]


def test_what_wins_is_registered() -> None:
    site = Site(writing(RULE))
    plan = site.improving.plan(site.project_id, "tests")
    assert site.here.model.requests == []
    found = site.improving.improve(plan)
    assert found.registered
    assert found.compared is not None
    assert found.compared.winner == found.new.reference
    assert found.compared.comparison.interval.low > 0
    assert found.compared.new.right == found.compared.new.n == len(plan.held_out)
    registered = site.here.store.agent("tests-improved")
    assert registered is not None
    assert registered.version == found.new
    assert registered.version.agent.guidance == RULE
    assert registered.version.template_source == site.here.projects.template_source
    assert (found.writing.calls, found.writing_cost_usd) == (1, 0.01)
    (request,) = site.written
    assert "Be just." in request.messages[-1].content
    numbers = {site.ids[n] for n in range(120) if f"text number {n} here" in request.messages[-1].content}
    assert numbers == set(found.shown)
    assert len(found.shown) <= MOST_MISTAKES
    assert all((i - site.ids[0]) % 3 == 0 for i in found.shown)
    assert not numbers & {one.task.id for one in plan.held_out}


WITH_A_DOCUMENT = CONFIG.replace("</View>", '<Pdf name="pdf" value="$doc"/></View>')


def takes(config: str, **changes: Any) -> Takes:
    """For 20 corrected tasks and 40 to measure on."""
    site = Site(writing(RULE), tasks=1)
    agent, template = replace(PLAIN, **changes), site.here.projects.template_source
    question = Question(
        config=parse_config(config), agent=agent, template_source=template, instructions="", version="v"
    )
    data = [{"text": f"text number {n} here", "doc": f"http://files/{n}.pdf"} for n in range(60)]
    tasks = [HeldOut(task=Task(id=n, project_id=1, data=one), right={}, blind=False) for n, one in enumerate(data)]
    return site.improving._takes(question, agent, tasks[:20], tasks[20:])


def test_what_documents_hold_is_said_not_to_be_counted() -> None:
    assert takes(WITH_A_DOCUMENT).documents == 60
    assert takes(CONFIG).documents == 0


def test_each_time_a_question_is_asked_again_it_has_grown() -> None:
    never, thrice = takes(CONFIG).at_most, takes(CONFIG, reasks=3).at_most
    assert (never.calls, thrice.calls) == (100 + 2, 400 + 2)
    assert thrice.prompt_tokens > never.prompt_tokens + 100 * (1 + 2 + 3) * PLAIN.max_tokens


def test_where_tasks_show_no_text_nothing_can_be_written() -> None:
    site = Site(writing(RULE), texts=[" "] * 40)
    with pytest.raises(InputError, match="shows images or documents and no text"):
        site.improving.plan(site.project_id, "tests")


def test_a_run_uses_it_and_versions_of_what_is_there_stay() -> None:
    site = Site(writing(RULE))
    before = site.here.version(site.project_id)
    found = site.improving.improve(site.improving.plan(site.project_id, "tests"))
    assert site.here.version(site.project_id) == before
    site.here.projects.choose(site.here.labels, site.project_id, found.new.reference)
    assert site.here.version(site.project_id).startswith("tests-improved@")
    site.here.run(site.project_id)
    content = site.here.model.requests[-1].messages[-1].content
    assert f"Instructions of the project:\nBe just.\n\n{RULE}\n" in content
    again = site.improving.plan(site.project_id, "tests-improved", name="tests-improved")
    assert again.name == "tests-improved"
    with pytest.raises(InputError, match="is wrong about 0 now, and 5 are needed: verify more tasks"):
        site.improving.improve(again)


@pytest.mark.parametrize("guidance", ["Nothing of use.", "Texts are often positive."])
def test_what_does_not_win_is_not_registered(guidance: str) -> None:
    site = Site(writing(guidance))
    found = site.improving.improve(site.improving.plan(site.project_id, "tests"))
    assert not found.registered
    assert found.compared is not None
    assert found.compared.comparison.gain == 0
    assert (found.new.agent.guidance, site.here.store.agents()) == (guidance, [])


def test_the_same_guidance_is_not_measured() -> None:
    site = Site(writing("Nothing of use."))
    guided = replace(PLAIN, name="guided", guidance="Nothing of use.")
    site.here.store.add_agent(AgentVersion.of(guided, site.here.projects.template_source))
    found = site.improving.improve(site.improving.plan(site.project_id, "guided"))
    assert (found.compared, found.registered) == (None, False)
    assert "Nothing of use." in site.written[0].messages[-1].content


def test_another_agents_model_writes() -> None:
    site = Site(writing(RULE))
    strong = replace(PLAIN, name="strong", model="strong", max_tokens=9_000, temperature=0.5)
    site.here.store.add_agent(AgentVersion.of(strong, site.here.projects.template_source))
    plan = site.improving.plan(site.project_id, "tests", writer="strong", name="fresh")
    found = site.improving.improve(plan)
    assert found.new.reference.startswith("fresh@")
    assert found.new.agent.model == "a-model"
    (request,) = site.written
    assert (request.model, request.max_tokens, request.temperature) == ("strong", 9_000, 0.5)
    with pytest.raises(AgentUnknown):
        site.improving.plan(site.project_id, "tests", writer="nobody")
    with pytest.raises(InputError, match="is that of the agent from the settings"):
        site.improving.plan(site.project_id, "strong", name="tests")


def test_the_audit_is_measured_on_and_never_shown() -> None:
    site = Site(writing(RULE), 300, audited=100)
    plan = site.here.store.audit_plan(site.project_id)
    assert plan is not None
    audited = {i for i in site.ids if plan.holds(i)}
    found = site.improving.improve(site.improving.plan(site.project_id, "tests"))
    assert len(audited) > FEWEST
    assert not audited & set(found.shown)
    assert found.compared is not None
    assert found.compared.blind
    assert set(found.compared.tasks) <= audited


def test_what_says_the_same_as_a_measured_task_is_not_shown() -> None:
    site = Site(
        writing(RULE), 240, audited=60, texts=[f"text number {n % 120} here{'!' * (n % 2)}" for n in range(240)]
    )
    plan = site.improving.plan(site.project_id, "tests", count=200)
    halves = [{one.task.data["text"].rstrip("!") for one in half} for half in (plan.corrected, plan.held_out)]
    assert halves[0]
    assert not halves[0] & halves[1]
    audit = site.here.store.audit_plan(site.project_id)
    assert audit is not None
    secret = {
        site.here.labels.projects[site.project_id].tasks[i]["text"].rstrip("!") for i in site.ids if audit.holds(i)
    }
    assert not halves[0] & secret


def test_tasks_that_are_set_apart_are_never_shown() -> None:
    site = Site(writing(RULE))
    apart = {one.task.id for one in site.improving.plan(site.project_id, "tests").corrected[:7]}
    site.here.projects.verified_examples.excluded = lambda project_id: apart
    found = site.improving.improve(site.improving.plan(site.project_id, "tests"))
    assert not apart & set(found.shown)


def test_the_split_stays_when_more_is_verified() -> None:
    few, many = Site(writing(RULE), 120, 90), Site(writing(RULE), 120)
    shown = [{one.task.id for one in site.improving.plan(1, "tests").corrected} for site in (few, many)]
    assert shown[0] < shown[1]
    assert {i for i in shown[1] if i in few.ids[:90]} == shown[0]


@pytest.mark.parametrize(
    ("tasks", "labelled", "words"),
    [
        (120, 9, f"corrected tasks to learn from, and {FEWEST_MISTAKES} are needed"),
        (120, 45, r"has \d+ verified tasks to measure on, and 30 are needed: verify about \d+ more"),
        (120, 0, "No task of project 1 has a label"),
    ],
)
def test_too_little_is_told_with_what_is_needed(tasks: int, labelled: int, words: str) -> None:
    site = Site(writing(RULE), tasks, labelled)
    with pytest.raises(InputError, match=words):
        site.improving.plan(site.project_id, "tests")
    assert site.here.model.requests == []


def test_an_unusable_proposal_is_asked_for_once_more() -> None:
    site = Site(writing("~~~\nNew task", RULE))
    found = site.improving.improve(site.improving.plan(site.project_id, "tests"))
    assert found.registered
    assert found.writing.calls == 2
    assert "the guidance has a fence" in site.written[1].messages[-1].content


def test_what_cannot_be_used_twice_changes_nothing() -> None:
    site = Site(writing("~~~\nNew task"))
    with pytest.raises(InputError, match=r"'a-model' wrote nothing that can be used \(the guidance has a fence\)"):
        site.improving.improve(site.improving.plan(site.project_id, "tests"))
    assert site.here.store.agents() == []
    assert len(site.written) == 2


def test_what_does_not_fit_the_writers_window_is_left_out() -> None:
    site = Site(writing(RULE))
    small = replace(PLAIN, name="small", context_tokens=2_500)
    site.here.store.add_agent(AgentVersion.of(small, site.here.projects.template_source))
    found = site.improving.improve(site.improving.plan(site.project_id, "tests", writer="small"))
    assert 0 < len(found.shown) < MOST_MISTAKES / 2


def test_what_it_takes_is_told_from_above() -> None:
    site = Site(writing(RULE))
    plan = site.improving.plan(site.project_id, "tests")
    found = site.improving.improve(plan)
    assert found.compared is not None
    used = sum((found.writing, found.compared.old.usage, found.compared.new.usage), Usage())
    assert used.calls <= plan.takes.at_most.calls
    assert used.prompt_tokens <= plan.takes.at_most.prompt_tokens
    assert plan.takes.at_most.cost_usd == pytest.approx(plan.takes.at_most.calls / 100)
    assert plan.takes.at_most.calls == len(plan.corrected) + 2 * len(plan.held_out) + 2


def test_a_template_without_instructions_cannot_be_improved() -> None:
    site = Site(writing(RULE))
    source = site.here.projects.template_source.replace("instructions", "confidence_key")
    site.here.store.add_agent(AgentVersion.of(replace(PLAIN, name="bare"), source))
    with pytest.raises(TemplateError, match="does not show instructions"):
        site.improving.plan(site.project_id, "bare")


def test_a_student_neither_reads_nor_writes_instructions() -> None:
    site = Site(writing(RULE))
    student = replace(PLAIN, name="pupil", provider=STUDENT)
    site.here.store.add_agent(AgentVersion.of(student, "(none)"))
    for agent, writer in (("pupil", None), ("tests", "pupil")):
        with pytest.raises(InputError, match="The student 'pupil' reads no instructions and writes none"):
            site.improving.plan(site.project_id, agent, writer=writer)


def test_what_was_calibrated_for_the_old_prompt_is_left_behind() -> None:
    site = Site(writing(RULE))
    batch = {"kind": "batch", "tasks": 90, "means": {"positive": 0.5, "negative": 0.5}}
    means = {"of": "tests", "means": {"sentiment": batch}}
    calibrated = replace(PLAIN, name="calibrated", calibrated=means)
    site.here.store.add_agent(AgentVersion.of(calibrated, site.here.projects.template_source))
    found = site.improving.improve(site.improving.plan(site.project_id, "calibrated"))
    assert (found.registered, found.new.agent.calibrated) == (True, None)


def test_a_refused_key_is_told() -> None:
    def refused(request: Request) -> Reply | ModelError:
        return ModelUnauthorized("The key is refused.") if is_writing(request) else writing(RULE)(request)

    site = Site(refused)
    site.here.refusal = ModelUnauthorized("The key is refused.")
    with pytest.raises(ModelUnauthorized, match="The key is refused"):
        site.improving.improve(site.improving.plan(site.project_id, "tests"))
