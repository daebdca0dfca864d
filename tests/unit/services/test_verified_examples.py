"""Verified tasks as examples: which, with which answers, and that they serve the very next prediction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from backend.core.agents import AgentVersion
from backend.core.audit import AuditRule
from backend.core.errors import ContextTooLong, InputError, ModelError
from backend.core.values import JSON, Agent, Document, DocumentPage, Reply, Request, Task
from backend.labeling.parsing import parse_config
from backend.ports.store import BATCH
from backend.prompting.tokens import estimated_tokens
from backend.services.agent_trials import first_request
from backend.services.batch_lane import check_agent
from backend.services.verified_examples import VerifiedExamples
from tests.fakes.installation import AGENT, CONFIG, Installation, by_mood

WITH_EXAMPLES = replace(AGENT, retrieved=4, selector="tfidf")
ALIASED = (
    '<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text">'
    '<Choice value="Glad" alias="pos"/><Choice value="Sad" alias="neg"/></Choices>'
    '<Choices name="topics" toName="text" choice="multiple"><Choice value="price"/><Choice value="taste"/></Choices>'
    '<Labels name="who" toName="text"><Label value="Person" alias="PER"/></Labels></View>'
)


def said(*labels: str, name: str = "sentiment") -> dict[str, JSON]:
    return {"id": name, "from_name": name, "to_name": "text", "type": "choices", "value": {"choices": list(labels)}}


class Site:
    """A project whose first tasks were answered, and are annotated as a test says."""

    def __init__(self, *texts: str, config: str = CONFIG, agent: Agent = WITH_EXAMPLES, **how: Any) -> None:
        self.here = Installation(agent=agent, **how)
        self.project_id, self.ids = self.here.project(*texts, config=config)
        self.here.run(self.project_id)
        self.here.labels.now = self.here.clock.now + timedelta(minutes=1)

    def annotate(self, number: int, *regions: dict[str, JSON], **how: Any) -> int:
        """Of the task that the project was given as the `number`th, and told by webhook."""
        self.here.labels.now += timedelta(seconds=1)
        annotation = self.here.labels.annotate(self.ids[number], list(regions), **how)
        self.here.verifier.look(self.project_id, [self.ids[number]])
        return annotation

    def asked(self, text: str, *, task_id: int = 999) -> Request:
        """What would be asked about a text now."""

        row = self.here.store.project(self.project_id)
        assert row is not None
        question = self.here.projects.question(row)
        request = first_request(question, Task(id=task_id, project_id=self.project_id, data={"text": text}))
        assert isinstance(request, Request)
        return request

    def numbers(self, text: str = "something", **task: Any) -> list[int]:
        """The examples in what would be asked, as numbers of the project's tasks."""
        return [self.ids.index(task_id) for task_id in self.asked(text, **task).examples]

    @property
    def answers(self) -> dict[int, Any]:
        row = self.here.store.project(self.project_id)
        assert row is not None
        pool = self.here.projects.verified_examples.pool(self.project_id, parse_config(row.label_config))
        return {self.ids.index(task.task_id): task.answer for task in pool.tasks}


def test_a_verified_task_is_an_example_in_the_very_next_prompt() -> None:
    site = Site("the soup was cold", "a fine soup", "we waited")
    assert site.numbers() == []
    site.annotate(0, said("negative"))
    assert site.numbers("soup again") == [0]
    site.annotate(1, said("positive"))
    request = site.asked("a cold soup")
    assert request.examples == (site.ids[1], site.ids[0])  # the most similar one stands next to the task
    content = request.messages[-1].content
    assert content.index("a fine soup") < content.index("the soup was cold") < content.index("a cold soup")
    assert '{"sentiment": "negative"}' in content


def test_an_edited_or_deleted_annotation_is_followed() -> None:
    site = Site("one", "two")
    first = site.annotate(0, said("negative"))
    site.annotate(1, said("negative"))
    assert site.answers == {0: {"sentiment": "negative"}, 1: {"sentiment": "negative"}}
    site.here.labels.now += timedelta(seconds=1)
    site.here.labels.reannotate(first, result=[said("positive")])
    site.here.verifier.look(site.project_id, [site.ids[0]])
    assert site.answers == {0: {"sentiment": "positive"}, 1: {"sentiment": "negative"}}
    site.here.store.delete_verifications(site.project_id, [first])
    assert site.answers == {1: {"sentiment": "negative"}}


def test_the_version_stays_while_the_pool_grows() -> None:
    site = Site("one", "two")
    version = site.here.store.project(site.project_id).version  # type: ignore[union-attr]
    site.annotate(0, said("negative"))
    assert site.here.projects.sync(site.here.labels, site.project_id).version == version
    assert site.here.store.project(site.project_id).version == version  # type: ignore[union-attr]


def test_answers_are_in_the_words_that_the_model_is_shown() -> None:
    def answer(_: Request) -> Reply | ModelError:
        reply = by_mood(_)
        return replace(reply, text=json.dumps({"sentiment": "Glad", "topics": [], "who": []}))

    site = Site("Ann paid too much", "nothing", config=ALIASED, answer=answer)
    span = {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}
    site.annotate(
        0,
        said("neg"),
        said("taste", "price", name="topics"),
        {"id": "w", "from_name": "who", "to_name": "text", "type": "labels", "value": span},
    )
    site.annotate(1, said("pos"))
    full = {"sentiment": "Sad", "topics": ["price", "taste"], "who": [{"text": "Ann", "label": "Person"}]}
    assert site.answers == {0: full, 1: {"sentiment": "Glad", "topics": [], "who": []}}
    assert site.numbers() == [0, 1] or site.numbers() == [1, 0]


class TestWhatIsNone:
    def test_the_task_itself_and_its_duplicates(self) -> None:
        site = Site("cold soup", "Cold soup!", "warm soup")
        for number in range(3):
            site.annotate(number, said("negative"))
        assert site.numbers("cold  SOUP") == [2]
        assert site.numbers("another text by now", task_id=site.ids[2]) != [2]
        assert 2 not in site.numbers("another text by now", task_id=site.ids[2])

    def test_a_duplicate_with_a_document(self) -> None:
        """The pool knows a document's address and not its text: both are compared by the same."""
        config = (
            '<View><Text name="text" value="$text"/><Pdf name="file" value="$file"/><Choices name="sentiment" '
            'toName="text"><Choice value="positive"/><Choice value="negative"/></Choices></View>'
        )
        site = Site("Invoice", config=config)
        store, tasks = site.here.store, site.here.labels.projects[site.project_id].tasks
        site.here.media.found = {"/1.pdf": Document(pages=(DocumentPage(text="Total: 17 EUR"),), page_count=1)}
        for task_id, text in ((7, "Invoice of May"), (8, "Invoice of June"), (9, "Invoice of May")):
            tasks[task_id] = {"text": text, "file": "/1.pdf"}
        site.ids += [7, 8]
        site.here.run(site.project_id, [7, 8])
        site.annotate(1, said("positive"))
        site.annotate(2, said("negative"))
        assert list(site.answers) == [1, 2]
        site.here.run(site.project_id, [9])
        assert "Total: 17 EUR" in site.here.model.requests[-1].messages[-1].content
        assert store.records(site.project_id, site.here.version(site.project_id), [9])[9].examples == (8,)

    def test_what_was_skipped_or_accepted_unseen_or_is_stale(self) -> None:
        site = Site("one", "two", "three")
        site.annotate(0, skipped=True)
        parent = next(
            n for n, p in site.here.labels.projects[site.project_id].predictions.items() if p.task_id == site.ids[1]
        )
        site.annotate(1, said("positive"), parent=parent, action=True)
        site.annotate(2, said("positive"))
        assert list(site.answers) == [2]
        site.here.labels.projects[site.project_id].tasks[site.ids[2]]["text"] = "changed"
        site.here.verifier.look(site.project_id, [site.ids[2]])
        assert site.answers == {}

    def test_where_annotators_disagree(self) -> None:
        site = Site("one")
        site.annotate(0, said("positive"), by=1)
        site.annotate(0, said("negative"), by=2)
        assert site.answers == {}
        site.annotate(0, said("negative"), by=3)
        assert site.answers == {0: {"sentiment": "negative"}}

    def test_what_the_model_could_not_answer_itself(self) -> None:
        """Nothing chosen where one label must be: it is in the pool and never shown."""
        site = Site("one", "two")
        site.annotate(0)
        site.annotate(1, said("positive"))
        assert site.numbers() == [1]

    def test_a_task_that_was_never_asked_about(self) -> None:
        """Its data is not known here."""
        site = Site("one")
        (added,) = site.here.labels.add_tasks(site.project_id, [{"text": "later"}])
        site.ids.append(added)
        site.annotate(1, said("positive"))
        assert site.answers == {}

    def test_audit_tasks(self) -> None:
        site = Site(*(f"text {n}" for n in range(60)), audit=AuditRule(first=20, fewest_tasks=10))
        plan = site.here.store.audit_plan(site.project_id)
        assert plan is not None
        for number in range(60):
            site.annotate(number, said("positive"))
        drawn = {n for n, task_id in enumerate(site.ids) if plan.holds(task_id)}
        assert 5 < len(drawn) < 40
        assert set(site.answers) == set(range(60)) - drawn

    def test_tasks_that_are_set_apart(self) -> None:
        site = Site("one", "two")
        site.annotate(0, said("positive"))
        site.annotate(1, said("positive"))
        apart: set[int] = set()
        examples = VerifiedExamples(store=site.here.store, excluded=lambda _: apart)
        config = parse_config(CONFIG)
        assert len(examples.pool(site.project_id, config).tasks) == 2
        apart.add(site.ids[0])
        assert [task.task_id for task in examples.pool(site.project_id, config).tasks] == [site.ids[1]]


def test_of_too_many_the_newest_are_kept() -> None:
    site = Site("one", "two", "three", "four")
    examples = VerifiedExamples(store=site.here.store, most=2)
    config = parse_config(CONFIG)

    def kept() -> list[int]:
        return [site.ids.index(task.task_id) for task in examples.pool(site.project_id, config).tasks]

    site.annotate(3, said("positive"))
    assert kept() == [3]
    for number in (0, 1):
        site.annotate(number, said("positive"))
    assert kept() == [0, 1]
    site.annotate(2, said("positive"))
    assert kept() == [1, 2]
    again = VerifiedExamples(store=site.here.store, most=2)
    assert again.pool(site.project_id, config).tasks == examples.pool(site.project_id, config).tasks


def test_where_more_changed_than_are_kept_only_the_newest_are_read() -> None:
    site = Site("one", "two", "three", "four", "five")
    store, config = site.here.store, parse_config(CONFIG)
    examples = VerifiedExamples(store=store, most=2)
    site.annotate(0, said("positive"))
    assert [task.task_id for task in examples.pool(site.project_id, config).tasks] == site.ids[:1]
    for number in (1, 2, 3, 4):
        site.annotate(number, said("positive"))
    with patch.object(store, "verifications", wraps=store.verifications) as read:
        assert [task.task_id for task in examples.pool(site.project_id, config).tasks] == site.ids[3:]
    assert [call.kwargs["task_ids"] for call in read.call_args_list] == [site.ids[3:]]


def test_an_agent_without_them_asks_the_store_nothing() -> None:
    site = Site("one", "two", agent=AGENT)
    site.annotate(0, said("positive"))
    site.here.projects.verified_examples.store = None  # type: ignore[assignment]
    assert site.numbers() == []


def test_a_run_notes_the_examples_of_each_record() -> None:
    site = Site("one", "two")
    site.annotate(0, said("negative"))
    (added,) = site.here.labels.add_tasks(site.project_id, [{"text": "one more"}])
    site.here.run(site.project_id)
    row = site.here.store.project(site.project_id)
    assert row is not None
    assert row.version is not None
    found = site.here.store.records(site.project_id, row.version, [*site.ids, added])
    assert {task_id: record.examples for task_id, record in found.items()} == {
        site.ids[0]: (),
        site.ids[1]: (),
        added: (site.ids[0],),
    }
    assert "Its right answer" in site.here.model.requests[-1].messages[-1].content


def test_the_least_similar_are_dropped_first_where_the_window_is_full() -> None:
    texts = [f"soup {'and ' * 60}{word}" for word in ("cold", "warm", "stale", "fine")]
    counts = []
    for window in (2_000, 1_100, 1_000, 900, 600):
        site = Site(*texts, agent=replace(WITH_EXAMPLES, context_tokens=window))
        for number in range(4):
            site.annotate(number, said("negative" if number % 2 else "positive"))
        request = site.asked("cold soup")
        counts.append(len(request.examples))
        assert request.examples[-1:] in ((), (site.ids[0],))
        assert not request.examples or estimated_tokens(request.messages) + AGENT.max_tokens <= window
    assert (counts[0], counts[-1]) == (4, 0)
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) > 2


def test_an_endpoint_with_a_smaller_window_gets_fewer() -> None:
    heard: list[int] = []

    def answer(request: Request) -> Reply | ModelError:
        heard.append(len(request.examples))
        return ContextTooLong("too long") if request.examples else by_mood(request)

    site = Site(*(f"soup {n}" for n in range(4)), answer=answer)
    for number in range(4):
        site.annotate(number, said("negative" if number % 2 else "positive"))
    heard.clear()
    site.here.labels.add_tasks(site.project_id, [{"text": "another soup"}])
    site.here.run(site.project_id)
    assert heard == [4, 2, 1, 0]


@pytest.mark.parametrize("selector", ["tfidf", "random"])
def test_what_is_asked_is_another_request_with_other_examples(selector: str) -> None:
    """So that no stored reply to a question with fewer examples answers it."""
    site = Site("one", "two", agent=replace(WITH_EXAMPLES, selector=selector))
    keys = [site.asked("x").key]
    site.annotate(0, said("negative"))
    keys.append(site.asked("x").key)
    assert site.asked("x", task_id=5).key == keys[-1]  # tasks that are alike are asked alike
    site.annotate(1, said("positive"))
    keys.append(site.asked("x").key)
    assert len(set(keys)) == 3


def test_labels_that_a_shortened_list_leaves_out_are_in_no_example() -> None:
    names = [f"label {chr(97 + n)}" for n in range(26)]
    options = "".join(f'<Choice value="{name}"/>' for name in names)
    config = (
        f'<View><Text name="text" value="$text"/><Choices name="sentiment" toName="text">{options}</Choices></View>'
    )

    def answer(request: Request) -> Reply | ModelError:
        return replace(by_mood(request), text=json.dumps({"sentiment": "label a"}))

    site = Site("about a", "about z", config=config, answer=answer, agent=replace(WITH_EXAMPLES, max_options=8))
    site.annotate(0, said("label a"))
    site.annotate(1, said("label z"))
    assert site.numbers("label a label b label c label d label e label f label g label h") == [0]
    assert site.numbers("label z label y label x label w label v label u label t label s") == [1]


def test_another_choice_is_another_agent() -> None:
    source = Installation().projects.template_source
    agents: Sequence[Agent] = [AGENT, WITH_EXAMPLES, replace(WITH_EXAMPLES, retrieved=5)]
    assert len({AgentVersion.of(agent, source).hash for agent in agents}) == 3


def test_a_batch_lane_is_refused() -> None:
    """Its replies would fit prompts that are asked no more."""
    check_agent(AGENT)
    with pytest.raises(InputError, match="shows verified tasks as examples, which change while a batch is away: run"):
        check_agent(WITH_EXAMPLES)
    parts = Site("one").here.parts()
    with pytest.raises(InputError, match="without --lane batch"):
        parts.start_run(1, lane=BATCH)
