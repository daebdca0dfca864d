"""Examples by meaning: chosen by the vectors of an embeddings endpoint, and by nothing else where a model is asked."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace

import pytest

from backend.core.agents import AgentVersion
from backend.core.errors import ModelError, ModelServerError, ModelUnauthorized, ModelUnreachable
from backend.core.values import Agent, JobState, Request, Task, TaskState
from backend.labeling.parsing import parse_config
from backend.learning.example_pool import MAX_CHARS
from backend.ports.embeddings import Embedded
from backend.ports.store import Record
from backend.services.agent_trials import Trials
from backend.version import version_for
from tests.fakes.installation import AGENT, CONFIG
from tests.unit.services.test_verified_examples import Site, said

BY_MEANING = replace(AGENT, retrieved=1, selector="embeddings", embeddings_model="small")
MEANINGS = ("soup broth stew", "car bike train", "rain snow wind")


class Meanings:
    """A vector says which of the meanings a text has."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.error: ModelError | None = None
        self.longer = 0

    async def embed(self, model: str, texts: Sequence[str]) -> Embedded:
        assert model == "small"
        if self.error is not None:
            raise self.error
        self.texts += texts
        return Embedded(vectors=tuple(array("f", [*self._meaning(text), *[0.0] * self.longer]) for text in texts))

    @staticmethod
    def _meaning(text: str) -> list[float]:
        return [float(any(word in meaning.split() for word in text.split())) for meaning in MEANINGS]


class ByMeaning(Site):
    """A project whose tasks are verified, and whose agent takes examples by meaning."""

    def __init__(self, *texts: str, agent: Agent = BY_MEANING) -> None:
        super().__init__(*texts, agent=agent)
        self.meanings = Meanings()
        self.here.embedder = self.meanings
        for number in range(len(texts)):
            self.annotate(number, said("positive" if number % 2 else "negative"))

    def add(self, text: str) -> int:
        tasks = self.here.labels.projects[self.project_id].tasks
        tasks[max(tasks) + 1] = {"text": text}
        return max(tasks)

    def run(self, task_id: int) -> Record:
        self.job_id = self.here.run(self.project_id, [task_id])
        return self.here.store.records(self.project_id, self.here.version(self.project_id), [task_id])[task_id]

    def chosen(self, text: str) -> list[int]:
        """The numbers of the examples with which a new task is asked about."""
        record = self.run(self.add(text))
        assert record.state is TaskState.DONE
        return [self.ids.index(one) for one in record.examples]


def test_what_means_the_same_is_shown() -> None:
    site = ByMeaning("the soup was cold", "a fine car", "rain all day")
    assert site.meanings.texts == []  # as long as nothing can be shown nothing is asked
    assert [site.chosen(text) for text in ("nice broth", "my bike", "much snow")] == [[0], [1], [2]]
    assert site.numbers("a fine broth") != [0]  # an estimate asks nobody: words stand for meanings


def test_a_pools_vectors_are_made_once_and_for_what_is_new() -> None:
    site = ByMeaning("the soup was cold", "a fine car")
    site.chosen("nice broth")
    assert sorted(site.meanings.texts) == ["a fine car", "nice broth", "the soup was cold"]
    site.meanings.texts.clear()
    snow = site.add("much snow")
    site.run(snow)
    site.ids.append(snow)
    site.annotate(2, said("negative"))
    assert site.chosen("a lot of rain") == [2]
    assert sorted(site.meanings.texts) == ["a lot of rain", "much snow", "much snow"]


def test_a_long_text_is_embedded_by_its_beginning() -> None:
    site = ByMeaning("soup " * 1_000)
    assert site.chosen("broth " * 1_000) == [0]
    assert max(map(len, site.meanings.texts)) == MAX_CHARS


def test_vectors_of_another_length_are_compared_with_none() -> None:
    site = ByMeaning("the soup was cold", "a fine car")
    assert site.chosen("nice broth") == [0]
    site.meanings.longer = 2
    assert site.chosen("good stew") == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModelUnauthorized("The key is refused."), "The key is refused."),
        (ModelUnreachable("The model endpoint cannot be reached."), "cannot be reached"),
    ],
)
def test_an_endpoint_that_refuses_pauses_the_job(error: ModelError, words: str) -> None:
    site = ByMeaning("the soup was cold")
    site.meanings.error = error
    site.here.refusal = None
    site.here.model.requests.clear()
    record = site.run(site.add("nice broth"))
    job = site.here.store.job(site.job_id)
    assert job is not None
    assert (job.state, record.state) == (JobState.PAUSED, TaskState.QUEUED)
    assert words in str(job.reason)
    assert site.here.model.requests == []  # nothing is asked with other examples


def test_a_server_error_fails_the_task_as_a_models_does() -> None:
    site = ByMeaning("the soup was cold")
    site.meanings.error = ModelServerError("The model endpoint failed with HTTP 500.")
    record = site.run(site.add("nice broth"))
    assert (record.state, record.error) == (TaskState.FAILED, "The model endpoint failed with HTTP 500.")


def test_a_preview_shows_what_would_be_chosen() -> None:
    site = ByMeaning("the soup was cold", "a fine car")
    trials = Trials(labels=site.here.labels, projects=site.here.projects, caller=site.here.caller, concurrency=2)
    question = trials.question(site.project_id, "tests")
    task = Task(id=site.add("nice broth"), project_id=site.project_id, data={"text": "nice broth"})
    ((_, asked),) = trials.preview(question, [task])
    assert isinstance(asked, Request)
    assert asked.examples == (site.ids[0],)


def test_the_model_and_its_endpoint_are_part_of_the_version() -> None:
    agents = [
        replace(BY_MEANING, selector="tfidf", embeddings_model=None),
        BY_MEANING,
        replace(BY_MEANING, embeddings_model="large"),
        replace(BY_MEANING, embeddings_url="http://other/v1"),
    ]
    config = parse_config(CONFIG)
    assert len({version_for(agent, config, "template", "") for agent in agents}) == len(agents)
    assert len({AgentVersion.of(agent, "template").hash for agent in agents}) == len(agents)
