"""What every way to Label Studio must do: the one in memory, and the HTTP client over an application that answers as
Label Studio does. The real one is in `tests/e2e`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest

from backend.adapters import label_studio, label_studio_annotations
from backend.adapters.label_studio import LabelStudioApi
from backend.core.errors import (
    LabelStudioError,
    LabelStudioNotFound,
    LabelStudioUnauthorized,
    LabelStudioUnreachable,
)
from backend.core.values import Prediction
from backend.ports.labels import Labels, NewTask
from tests.fakes.installation import CONFIG
from tests.fakes.label_studio import KEY, application
from tests.fakes.memory_annotations import EARLY
from tests.fakes.memory_labels import MemoryLabels

URL = "http://here:9090"


@pytest.fixture
def behind() -> MemoryLabels:
    """The Label Studio behind the labels under test, for its switches and for looking."""
    return MemoryLabels()


@pytest.fixture(params=["memory", "http"])
def labels(request: pytest.FixtureRequest, behind: MemoryLabels) -> Iterator[Labels]:
    if request.param == "memory":
        yield behind
        return
    transport = httpx.WSGITransport(app=application(behind))
    api = LabelStudioApi("http://label-studio", KEY, transport=transport)
    yield api
    api.close()


def prediction(task_id: int, label: str = "positive", version: str = "v@1", score: float | None = 0.5) -> Prediction:
    region = {"id": "r", "from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": [label]}}
    return Prediction(task_id=task_id, model_version=version, result=(region,), score=score)


def project(behind: MemoryLabels, tasks: int = 3) -> tuple[int, list[int]]:
    number = behind.add_project(
        CONFIG, [{"text": f"text {n}", "other": n} for n in range(tasks)], instructions="<p>x</p>"
    )
    return number, sorted(behind.projects[number].tasks)


def test_people_have_names(labels: Labels, behind: MemoryLabels) -> None:
    behind.names = {1: "Ann Lee", 2: "bob"}
    assert labels.people() == {1: "Ann Lee", 2: "bob"}


def test_a_project_as_it_is(labels: Labels, behind: MemoryLabels) -> None:
    number, _ = project(behind)
    found = labels.project(number)
    assert (found.id, found.label_config, found.instructions) == (number, CONFIG, "<p>x</p>")
    assert (found.model_version, found.task_count) == (None, 3)


def test_the_installation(labels: Labels) -> None:
    assert labels.version() == "1.23.2"
    assert labels.whoami() == "somebody@example.com"
    assert labels.key_kind() == "legacy token"


def test_tasks_come_with_the_named_data_only(labels: Labels, behind: MemoryLabels) -> None:
    number, ids = project(behind)
    found = list(labels.tasks(number, ["text", "missing"]))
    assert [(t.id, t.project_id, dict(t.data)) for t in found] == [
        (task_id, number, {"text": f"text {n}"}) for n, task_id in enumerate(ids)
    ]


def test_tasks_by_id_leave_out_unknown_ones(labels: Labels, behind: MemoryLabels) -> None:
    number, ids = project(behind)
    other, other_ids = project(behind)
    found = [t.id for t in labels.tasks(number, ["text"], ids=[ids[2], 9999, ids[0], other_ids[0]])]
    assert sorted(found) == [ids[0], ids[2]]
    assert list(labels.tasks(number, ["text"], ids=[])) == []
    assert other != number


def test_tasks_without_a_version(labels: Labels, behind: MemoryLabels) -> None:
    number, ids = project(behind)
    labels.import_predictions(number, [prediction(ids[0], version="v@1"), prediction(ids[1], version="v@0")])
    assert [t.id for t in labels.tasks(number, ["text"], without_version="v@1")] == ids[1:]


def test_some_tasks_without_a_version(labels: Labels, behind: MemoryLabels) -> None:
    number, ids = project(behind, 4)
    labels.import_predictions(number, [prediction(ids[0], version="v@1")])
    assert list(labels.task_ids(number, ids=ids[:3], without_version="v@1")) == ids[1:3]


def test_changed_tasks(labels: Labels, behind: MemoryLabels) -> None:
    number, ids = project(behind, 3)
    behind.changed = {ids[1], 9999}
    (task,) = labels.changed_tasks(number, ["text"], since=datetime(2026, 1, 1, tzinfo=UTC))
    assert (task.id, list(task.data)) == (ids[1], ["text"])


def test_how_many_predictions_of_each_version(labels: Labels, behind: MemoryLabels) -> None:
    number, ids = project(behind)
    assert labels.version_counts(number) == {}
    labels.import_predictions(number, [prediction(i, version=v) for i, v in zip(ids, ("v@1", "v@1"), strict=False)])
    assert labels.version_counts(number) == {"v@1": 2}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9])
def test_tasks_of_many_pages(labels: Labels, behind: MemoryLabels, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(label_studio, "PAGE_SIZE", 2)
    number, ids = project(behind, count)
    assert [t.id for t in labels.tasks(number, ["text"])] == ids
    assert sorted(t.id for t in labels.tasks(number, ["text"], ids=ids)) == ids


def test_tasks_above_an_id(labels: Labels, behind: MemoryLabels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_studio, "PAGE_SIZE", 2)
    number = behind.add_project(CONFIG, [{"text": str(n)} for n in range(7)])
    ids = sorted(behind.projects[number].tasks)
    behind.create_prediction(prediction(ids[4]))
    assert [t.id for t in labels.tasks(number, ["text"], after=ids[2])] == ids[3:]
    assert [t.id for t in labels.tasks(number, ["text"], without_version="v@1", after=ids[2])] == [ids[3], *ids[5:]]
    assert [t.id for t in labels.tasks(number, ["text"], ids=[ids[5], ids[0], ids[3]])] == [ids[0], ids[3], ids[5]]


def test_pages_do_not_shift_when_predictions_arrive_meanwhile(
    labels: Labels, behind: MemoryLabels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_studio, "PAGE_SIZE", 2)
    number, ids = project(behind, 6)
    seen = []
    for task in labels.tasks(number, ["text"], without_version="v@1"):
        seen.append(task.id)
        labels.import_predictions(number, [prediction(task.id)])
    assert seen == ids


def test_existing_tasks(labels: Labels, behind: MemoryLabels) -> None:
    number, ids = project(behind)
    assert labels.existing_tasks(number, [*ids[:2], 9999]) == set(ids[:2])
    assert labels.existing_tasks(number, []) == set()


class TestPredictions:
    def test_are_imported_and_counted(self, labels: Labels, behind: MemoryLabels) -> None:
        number, ids = project(behind)
        assert labels.import_predictions(number, [prediction(i, score=None) for i in ids]) == 3
        assert behind.written(number, ids[0]) == [prediction(ids[0], score=None)]
        assert [p.task_id for i in ids for p in labels.predictions(number, i)] == ids

    def test_are_not_deduplicated(self, labels: Labels, behind: MemoryLabels) -> None:
        number, ids = project(behind)
        for _ in range(2):
            labels.import_predictions(number, [prediction(ids[0])])
        assert [p.model_version for p in labels.predictions(number, ids[0])] == ["v@1", "v@1"]

    def test_an_unknown_task_fails_the_whole_call(self, labels: Labels, behind: MemoryLabels) -> None:
        number, ids = project(behind)
        with pytest.raises(LabelStudioError) as raised:
            labels.import_predictions(number, [prediction(ids[0]), prediction(9999)])
        assert raised.value.status == 400
        assert labels.predictions(number, ids[0]) == []

    @pytest.mark.parametrize(("fast", "created"), [(True, 2), (False, 1)])
    def test_an_invalid_one_is_dropped_in_silence_or_taken(
        self, labels: Labels, behind: MemoryLabels, fast: bool, created: int
    ) -> None:
        behind.fast = fast
        number, ids = project(behind)
        sent = [prediction(ids[0]), prediction(ids[1], label="no such label")]
        assert labels.import_predictions(number, sent) == created
        assert labels.fast_import(number) is fast

    def test_one_by_one(self, labels: Labels, behind: MemoryLabels) -> None:
        number, ids = project(behind)
        created = labels.create_prediction(prediction(ids[0]))
        (found,) = labels.predictions(number, ids[0])
        assert (found.id, found.task_id, found.model_version) == (created, ids[0], "v@1")
        labels.update_prediction(created, prediction(ids[0], "negative", score=None))
        assert behind.written(number, ids[0]) == [prediction(ids[0], "negative", score=None)]
        labels.delete_prediction(created)
        assert labels.predictions(number, ids[0]) == []

    def test_of_what_does_not_exist(self, labels: Labels, behind: MemoryLabels) -> None:
        number, _ = project(behind)
        with pytest.raises(LabelStudioNotFound):
            labels.update_prediction(9999, prediction(1))
        with pytest.raises(LabelStudioNotFound):
            labels.delete_prediction(9999)
        for call in (lambda: labels.create_prediction(prediction(9999)), lambda: labels.predictions(number, 9999)):
            with pytest.raises(LabelStudioError) as raised:
                call()
            assert raised.value.status == 400


class TestVersion:
    def test_is_refused_until_something_has_it(self, labels: Labels, behind: MemoryLabels) -> None:
        number, _ = project(behind)
        with pytest.raises(LabelStudioError) as raised:
            labels.set_model_version(number, "v@1")
        assert raised.value.status == 400

    def test_is_taken_when_a_prediction_has_it(self, labels: Labels, behind: MemoryLabels) -> None:
        number, ids = project(behind)
        labels.import_predictions(number, [prediction(ids[0])])
        labels.set_model_version(number, "v@1")
        assert labels.project(number).model_version == "v@1"

    def test_is_taken_when_a_backend_has_it(self, labels: Labels, behind: MemoryLabels) -> None:
        number, _ = project(behind)
        labels.save_backend(number, None, {"url": URL, "title": "v@1", "auth_method": "NONE"})
        labels.set_project(number, {"model_version": "v@1", "show_collab_predictions": True})
        assert labels.project(number).model_version == "v@1"
        assert behind.projects[number].settings == {"show_collab_predictions": True}


class TestBackend:
    def test_connecting_makes_a_webhook_and_sets_the_version(self, labels: Labels, behind: MemoryLabels) -> None:
        number, _ = project(behind)
        backend = labels.save_backend(number, None, {"url": URL, "title": "v@1", "auth_method": "NONE"})
        assert labels.backends(number) == [backend]
        assert (backend.url, backend.title, backend.state) == (URL, "v@1", "CO")
        assert [(w.url, w.active, dict(w.headers)) for w in labels.webhooks(number)] == [(f"{URL}/webhook", True, {})]
        assert labels.project(number).model_version == "v@1"

    def test_a_new_title_keeps_the_rest_and_its_basic_auth(self, labels: Labels, behind: MemoryLabels) -> None:
        """Label Studio answers 500 to a change without the URL, and calls the backend with what is in the change."""
        number, _ = project(behind)
        auth = {"auth_method": "BASIC_AUTH", "basic_auth_user": "ann", "basic_auth_pass": "secret"}
        backend = labels.save_backend(number, None, {"url": URL, "title": "v@1", **auth})
        changed = labels.save_backend(number, backend.id, {"title": "v@2"})
        assert (changed.id, changed.url, changed.title) == (backend.id, URL, "v@2")
        if labels is not behind:
            assert behind.projects[number].secrets[backend.id] == auth

    def test_one_that_does_not_answer(self, labels: Labels, behind: MemoryLabels) -> None:
        number, _ = project(behind)
        behind.backend_answers = False
        with pytest.raises(LabelStudioError) as raised:
            labels.save_backend(number, None, {"url": URL, "title": "v@1"})
        assert raised.value.status == 400
        assert "Can't connect" in raised.value.detail

    def test_a_local_address(self, labels: Labels, behind: MemoryLabels) -> None:
        number, _ = project(behind)
        behind.blocks_backends = behind.blocks_webhooks = True
        calls: list[Callable[[], object]] = [
            lambda: labels.save_backend(number, None, {"url": URL, "title": "v@1"}),
            lambda: labels.save_webhook(number, None, {"url": f"{URL}/webhook"}),
        ]
        for call in calls:
            with pytest.raises(LabelStudioError) as raised:
                call()
            assert raised.value.status == 403
            assert "reserved network address" in raised.value.detail


def test_webhooks(labels: Labels, behind: MemoryLabels) -> None:
    number, _ = project(behind)
    labels.save_webhook(number, None, {"url": f"{URL}/webhook", "is_active": False, "headers": {}})
    (webhook,) = labels.webhooks(number)
    assert not webhook.active
    labels.save_webhook(number, webhook.id, {"is_active": True, "headers": {"a": "b"}})
    (webhook,) = labels.webhooks(number)
    assert (webhook.url, webhook.active, dict(webhook.headers)) == (f"{URL}/webhook", True, {"a": "b"})
    labels.delete_webhook(webhook.id)
    assert labels.webhooks(number) == []


def test_tabs(labels: Labels, behind: MemoryLabels) -> None:
    number, _ = project(behind)
    tab = labels.save_tab(number, None, {"title": "one", "ordering": ["tasks:id"]})
    assert labels.tabs(number) == [tab]
    labels.save_tab(number, tab.id, {"title": "two"})
    assert [(t.id, t.title, dict(t.data)) for t in labels.tabs(number)] == [(tab.id, "two", {"title": "two"})]


READS: list[Callable[[Labels, int], object]] = [
    lambda labels, number: labels.project(number),
    lambda labels, number: list(labels.tasks(number, ["text"])),
    lambda labels, number: labels.import_predictions(number, [prediction(1)]),
    lambda labels, number: labels.backends(number),
    lambda labels, number: labels.webhooks(number),
    lambda labels, number: labels.tabs(number),
    lambda labels, number: labels.set_model_version(number, "v@1"),
]


@pytest.mark.parametrize("call", READS)
def test_an_unknown_project(labels: Labels, call: Callable[[Labels, int], object]) -> None:
    with pytest.raises(LabelStudioNotFound):
        call(labels, 9999)


@pytest.mark.parametrize("call", [*READS, lambda labels, number: labels.version()])
@pytest.mark.parametrize(
    ("switch", "error"), [("reachable", LabelStudioUnreachable), ("key_is_good", LabelStudioUnauthorized)]
)
def test_away_or_with_a_bad_key(
    labels: Labels,
    behind: MemoryLabels,
    call: Callable[[Labels, int], object],
    switch: str,
    error: type[LabelStudioError],
) -> None:
    number, _ = project(behind)
    setattr(behind, switch, False)
    with pytest.raises(error):
        call(labels, number)


@pytest.mark.parametrize("blocked", [[], ["backend"], ["webhook"], ["backend", "webhook"]])
def test_which_address_rules_refuse_is_asked_and_nothing_is_saved(
    labels: Labels, behind: MemoryLabels, blocked: list[str]
) -> None:
    number, _ = project(behind)
    behind.blocks_backends, behind.blocks_webhooks = "backend" in blocked, "webhook" in blocked
    found = labels.address_refusals(URL)
    assert list(found) == blocked
    assert all("reserved" in words for words in found.values())
    assert (behind.backends(number), behind.webhooks(number)) == ([], [])


def _filters(conjunction: str, *items: tuple[str, str, object]) -> dict[str, object]:
    plain = [{"filter": f"filter:tasks:{c}", "operator": o, "type": "String", "value": v} for c, o, v in items]
    return {"conjunction": conjunction, "items": plain}


def test_task_ids_are_those_of_a_view_page_by_page(
    labels: Labels, behind: MemoryLabels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_studio, "PAGE_SIZE", 2)
    number, tasks = project(behind, 7)
    assert list(labels.task_ids(number)) == tasks
    some = {
        "filters": _filters("or", ("data.other", "less", 2), ("data.text", "contains", "5"), ("data.other", "equal", 1))
    }
    assert list(labels.task_ids(number, view=some)) == [tasks[0], tasks[1], tasks[5]]
    both = {"filters": _filters("and", ("data.other", "greater", 1), ("data.other", "less", 5))}
    assert list(labels.task_ids(number, view=both)) == tasks[2:5]
    chosen = {**both, "selectedItems": {"all": False, "included": [tasks[3], tasks[6]]}}
    assert list(labels.task_ids(number, view=chosen)) == [tasks[3]]
    without = {"selectedItems": {"all": True, "excluded": tasks[:5]}}
    assert list(labels.task_ids(number, view=without)) == tasks[5:]


def test_task_ids_of_some_and_of_those_that_lack_a_version(labels: Labels, behind: MemoryLabels) -> None:
    number, tasks = project(behind, 4)
    labels.import_predictions(number, [prediction(tasks[0]), prediction(tasks[2])])
    assert list(labels.task_ids(number, without_version="v@1")) == [tasks[1], tasks[3]]
    assert list(labels.task_ids(number, ids=[tasks[2], 999_999, tasks[0], tasks[1]])) == tasks[:3]
    assert list(labels.task_ids(number, ids=tasks[:3], without_version="v@1")) == [tasks[1]]
    assert list(labels.task_ids(number, ids=[])) == []


class TestAnnotations:
    def test_tasks_with_everything_that_was_said_of_them(self, labels: Labels, behind: MemoryLabels) -> None:
        number, ids = project(behind)
        labels.import_predictions(number, [prediction(ids[0])])
        (made,) = behind.projects[number].predictions
        result = [dict(region) for region in prediction(ids[0], "negative").result]
        first = behind.annotate(ids[0], result, parent=made, by=3, lead_time_s=2.5)
        second = behind.annotate(ids[0], [], by=None, skipped=True, lead_time_s=None)
        tasks = list(labels.annotated_tasks(number, [ids[1], ids[0], 9999, ids[0]]))
        assert [task.id for task in tasks] == ids[:2]
        one, other = tasks[0].annotations
        assert one == behind.annotations[first].annotation
        assert other == behind.annotations[second].annotation
        assert (one.parent_prediction, one.lead_time_s, one.annotator_id) == (made, 2.5, 3)
        (held,) = tasks[0].predictions
        assert (held.id, held.version, held.created_at) == (made, "v@1", EARLY)
        assert held.result == [dict(region) for region in prediction(ids[0]).result]
        assert dict(tasks[1].data) == {"text": "text 1", "other": 1}
        assert (tasks[1].annotations, tasks[1].predictions) == ((), ())

    def test_a_deleted_prediction_is_nobodys_parent(self, labels: Labels, behind: MemoryLabels) -> None:
        number, ids = project(behind)
        labels.import_predictions(number, [prediction(ids[0])])
        (made,) = behind.projects[number].predictions
        behind.annotate(ids[0], [], parent=made)
        labels.delete_prediction(made)
        (task,) = labels.annotated_tasks(number, [ids[0]])
        assert [a.parent_prediction for a in task.annotations] == [None]

    def test_how_many_annotations_each_task_has(self, labels: Labels, behind: MemoryLabels) -> None:
        number, ids = project(behind)
        assert list(labels.annotation_counts(number)) == []
        assert labels.annotation_total(number) == 0
        behind.annotate(ids[0], [])
        behind.annotate(ids[0], [], skipped=True)
        gone = behind.annotate(ids[1], [])
        behind.delete_annotation(gone)
        behind.annotate(ids[2], [], skipped=True)
        assert list(labels.annotation_counts(number)) == [(ids[0], 2), (ids[2], 1)]
        since = datetime(2026, 1, 1, tzinfo=UTC)
        assert list(labels.annotation_counts(number, since=since)) == [(ids[0], 2), (ids[1], 0), (ids[2], 1)]
        assert labels.annotation_total(number) == 3

    @pytest.mark.parametrize("count", [1, 2, 3, 5])
    def test_they_are_read_in_pages(
        self, labels: Labels, behind: MemoryLabels, monkeypatch: pytest.MonkeyPatch, count: int
    ) -> None:
        monkeypatch.setattr(label_studio_annotations, "ANNOTATED_PAGE", 2)
        monkeypatch.setattr(label_studio_annotations, "COUNT_PAGE", 2)
        number, ids = project(behind, count)
        for task_id in ids:
            behind.annotate(task_id, [])
        assert list(labels.annotation_counts(number)) == [(task_id, 1) for task_id in ids]
        assert [task.id for task in labels.annotated_tasks(number, ids)] == ids

    def test_of_a_project_that_is_not_there(self, labels: Labels) -> None:
        with pytest.raises(LabelStudioNotFound):
            labels.annotation_total(99)
        with pytest.raises(LabelStudioNotFound):
            list(labels.annotation_counts(99))
        with pytest.raises(LabelStudioNotFound):
            list(labels.annotated_tasks(99, [1]))


def test_tasks_are_imported_with_their_predictions(labels: Labels, behind: MemoryLabels) -> None:
    number, ids = project(behind)
    region = prediction(1).result[0]
    new = [
        NewTask(data={"text": f"new {n}", "other": n}, model_version="v@1", result=(region,), score=s)
        for n, s in enumerate((0.25, None))
    ]
    assert labels.newest_task(number) == ids[-1]
    made = labels.import_tasks(number, new)
    assert [behind.projects[number].tasks[task_id] for task_id in made] == [task.data for task in new]
    assert [behind.written(number, task_id)[0].score for task_id in made] == [0.25, None]
    assert [behind.written(number, task_id)[0].model_version for task_id in made] == ["v@1", "v@1"]
    assert labels.newest_task(number) == max(made)


def test_several_people_are_to_annotate_a_task(labels: Labels, behind: MemoryLabels) -> None:
    _, ids = project(behind)
    labels.set_overlap(ids[1], 3)
    assert behind.overlaps == {ids[1]: 3}
    with pytest.raises(LabelStudioNotFound):
        labels.set_overlap(9999, 3)


def test_tasks_are_deleted(labels: Labels, behind: MemoryLabels) -> None:
    number, ids = project(behind)
    labels.delete_tasks(number, [])
    assert set(behind.projects[number].tasks) == set(ids)
    labels.delete_tasks(number, [ids[0], 9999])
    assert set(behind.projects[number].tasks) == set(ids[1:])


def test_a_project_without_tasks_has_no_newest(labels: Labels, behind: MemoryLabels) -> None:
    assert labels.newest_task(project(behind, 0)[0]) == 0
