"""Which tasks a selection means, over an installation in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backend.core.errors import InputError
from backend.core.values import FieldReading, Outcome, Reply, Request, TaskState
from backend.services.differing import resolved_version, same_answer
from backend.services.projects import answerable
from backend.services.selection import Selection, selected_ids, selected_tasks
from tests.fakes.installation import Installation, by_mood, replying

TEXTS = ("good", "bad", "fine", "bad too", "ok", "so so")


def chosen(installation: Installation, project_id: int, selection: Selection) -> list[tuple[int, bool]]:
    """Ids and whether Label Studio lacks them; the tasks are the same as the ids that are told without them."""
    row = installation.projects.sync(installation.labels, project_id)
    variables = answerable(row.label_config).variables
    labels, store = installation.labels, installation.store
    tasks = list(selected_tasks(selection, labels, store, row, variables))
    assert all(task.data == installation.labels.projects[project_id].tasks[task.id] for task, _ in tasks)
    found = [(task.id, absent) for task, absent in tasks]
    assert sorted(selected_ids(selection, labels, store, row)) == sorted(found)
    return found


def ids(installation: Installation, project_id: int, **selection: Any) -> list[int]:
    return [task_id for task_id, _ in chosen(installation, project_id, Selection(**selection))]


@pytest.fixture
def installation() -> Installation:
    return Installation()


def view(*task_ids: int) -> dict[str, Any]:
    return {"selectedItems": {"all": False, "included": list(task_ids)}}


def test_missing_are_those_without_the_version_and_those_that_failed(installation: Installation) -> None:
    project_id, tasks = installation.project(*TEXTS)
    installation.run(project_id, tasks[:3])
    record = installation.store.records(project_id, installation.version(project_id), tasks[:1])[tasks[0]]
    installation.store.set_refused(record.id, "no")
    expected = [(tasks[3], True), (tasks[4], True), (tasks[5], True), (tasks[0], False)]
    assert chosen(installation, project_id, Selection()) == expected
    within = Selection(view=view(*tasks[:4]))
    assert chosen(installation, project_id, within) == [(tasks[0], False), (tasks[3], True)]
    assert ids(installation, project_id, keep="all") == tasks
    assert ids(installation, project_id, keep="all", view=view(tasks[1])) == [tasks[1]]
    assert ids(installation, project_id, keep="all", task_ids=(tasks[5], tasks[1], tasks[5])) == [tasks[1], tasks[5]]


def test_a_sample_is_the_same_each_time_and_grows(installation: Installation) -> None:
    project_id, tasks = installation.project(*(f"good {n}" for n in range(40)))
    small, large = (set(ids(installation, project_id, sample=n)) for n in (5, 20))
    assert len(small) == 5
    assert small < large < set(tasks)
    assert set(ids(installation, project_id, sample=5, seed=1)) != small
    assert set(ids(installation, project_id, sample=99)) == set(tasks)
    installation.run(project_id, sorted(small))
    assert not small & set(ids(installation, project_id, sample=20))


def test_below_a_score(installation: Installation) -> None:
    project_id, tasks = installation.project(*TEXTS)
    job_id = installation.start_run(project_id)
    version = installation.version(project_id)
    for score, record in zip((0.1, 0.2, 0.9), installation.store.claim(version, project_id, tasks, "w"), strict=False):
        outcome = Outcome(state=TaskState.DONE, score=score, fields=(FieldReading(control="c", value=1, step="s"),))
        installation.store.save_outcomes([(record.id, record.data_hash, outcome)])
    assert installation.store.job(job_id) is not None
    assert ids(installation, project_id, keep="below", below=0.5) == tasks[:2]
    assert ids(installation, project_id, keep="below", below=0.5, view=view(tasks[1], tasks[2])) == [tasks[1]]
    assert ids(installation, project_id, keep="below", below=0.5, sample=1)[0] in tasks[:2]


def test_where_two_versions_differ() -> None:
    def strict(request: Request) -> Reply:
        asked = str(request.messages)
        return replying('{"sentiment": "negative"}') if "fine" in asked and "Be strict" in asked else by_mood(request)

    installation = Installation(strict)
    project_id, tasks = installation.project(*TEXTS)
    installation.run(project_id)
    first = installation.version(project_id)
    installation.labels.edit_project(project_id, instructions="Be strict.")

    installation.run(project_id)
    second = installation.version(project_id)
    assert first != second
    assert resolved_version(installation.store, project_id, first) == first
    assert resolved_version(installation.store, project_id, "tests") in (first, second)
    assert ids(installation, project_id, keep="differ", differ=(first, second)) == [tasks[2]]
    with pytest.raises(InputError, match="'nobody' has no stored answers in project"):
        resolved_version(installation.store, project_id, "nobody")


def region(labels: list[str], **changes: Any) -> dict[str, Any]:
    value = {"choices": labels, **changes.pop("value", {})}
    return {"id": "x", "from_name": "c", "to_name": "t", "type": "choices", "score": 0.5, "value": value, **changes}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([region(["a", "b"])], [region(["b", "a"], id="y", score=0.1)], True),
        ([region(["a"])], [region(["b"])], False),
        ([region(["a"], value={"start": 1, "end": 5})], [region(["a"], value={"start": 1, "end": 6})], False),
        ([region(["a"]), region(["b"])], [region(["b"]), region(["a"])], True),
        ([region(["a"])], [region(["a"]), region(["a"])], False),
        ([], [], True),
        ([{"value": {"ranker": ["a", "b"]}}], [{"value": {"ranker": ["b", "a"]}}], False),
        ([{"value": {"taxonomy": [["a"], ["b"]]}}], [{"value": {"taxonomy": [["b"], ["a"]]}}], True),
        (
            [region(["a"]), region(["b"], id="y"), {"type": "relation", "from_id": "x", "to_id": "y"}],
            [region(["a"], id="1"), region(["b"], id="2"), {"type": "relation", "from_id": "1", "to_id": "2"}],
            True,
        ),
        (
            [region(["a"]), region(["b"], id="y"), {"type": "relation", "from_id": "x", "to_id": "y"}],
            [region(["a"]), region(["b"], id="y"), {"type": "relation", "from_id": "y", "to_id": "x"}],
            False,
        ),
    ],
)
def test_what_is_the_same_answer(one: list[Any], other: list[Any], same: bool) -> None:
    assert same_answer(one, other) is same


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"view": {}, "task_ids": (1,)}, "cannot be combined"),
        ({"keep": "some"}, "no selection"),
        ({"keep": "below"}, "one of --all, --below and --differ"),
        ({"keep": "all", "below": 0.5}, "one of --all, --below and --differ"),
        ({"keep": "below", "below": 0.0}, "no score"),
        ({"keep": "below", "below": float("nan")}, "no score"),
        ({"sample": 0}, "at least 1"),
        ({"again": True}, "say which tasks"),
    ],
)
def test_parts_that_make_no_sense_together(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Selection(**parts)


def test_a_selection_as_it_is_stored_says_what_differs_from_the_default() -> None:
    assert Selection().to_json() == {"keep": "missing"}
    named = Selection(keep="all", task_ids=(3, 1), again=True)
    assert named.to_json() == {"keep": "all", "task_ids": [3, 1], "again": True}
    sample = Selection(keep="differ", differ=("a@1", "b@2"), sample=7, seed=3)
    assert sample.to_json() == {"keep": "differ", "differ": ["a@1", "b@2"], "sample": 7, "seed": 3}


def test_what_is_asked_anew_gets_a_new_reply_and_is_written_once() -> None:
    answers = ["positive"]
    installation = Installation(lambda _: replying(json.dumps({"sentiment": answers[-1]})), cached=True)
    project_id, tasks = installation.project("good", "bad")
    installation.run(project_id)
    calls = len(installation.model.requests)
    answers.append("negative")
    job_id = installation.jobs.start_run(project_id, selection=Selection(keep="all", task_ids=(tasks[0],), again=True))
    installation.work_off()
    assert len(installation.model.requests) == calls + 1
    assert installation.choices(project_id) == {tasks[0]: ["negative"], tasks[1]: ["positive"]}
    job = installation.store.job(job_id)
    assert job is not None
    assert (job.state, job.total) == ("done", 1)
