"""What people did with predictions: from Label Studio into the store, in both ways."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from backend.adapters.sql.schema import records
from backend.core.errors import LabelStudioUnreachable, ProjectUnknown
from backend.core.values import JSON, Prediction
from backend.core.verifications import Verification, VerificationOutcome
from backend.services.verifying import Read, in_numbers
from tests.fakes.installation import CONFIG, Installation
from tests.fakes.memory_annotations import EARLY


def mood(label: str, **keys: JSON) -> list[JSON]:
    region = {"id": "x", "from_name": "sentiment", "to_name": "text", "type": "choices", "value": {"choices": [label]}}
    return [region | keys]


@pytest.fixture
def here() -> Installation:
    return Installation()


def ran(here: Installation, *texts: str, **project: Any) -> tuple[int, list[int]]:
    """A project whose tasks have a prediction each; the clock of the predictions is before that of the people."""
    project_id, ids = here.project(*(texts or ("good one", "bad one", "good two")), **project)
    here.run(project_id)
    here.labels.now = here.clock.now + timedelta(minutes=1)
    return project_id, ids


def held(here: Installation, project_id: int, task_id: int) -> int:
    """The id of the prediction that Label Studio holds of a task."""
    return next(n for n, p in here.labels.projects[project_id].predictions.items() if p.task_id == task_id)


def stored(here: Installation, project_id: int) -> dict[int, Verification]:
    """By task: the only live one of each."""
    found = list(here.store.verifications(project_id))
    assert len({v.task_id for v in found}) == len(found)
    return {v.task_id: v for v in found}


def outcomes(here: Installation, project_id: int) -> dict[int, str]:
    return {task_id: v.outcome.value for task_id, v in stored(here, project_id).items()}


def controls(v: Verification) -> list[tuple[Any, ...]]:
    return [(c.control, c.predicted, c.final, c.agreement, c.agrees) for c in v.controls]


class TestOutcomes:
    def test_confirmed_corrected_and_skipped(self, here: Installation) -> None:
        project_id, ids = ran(here)
        parents = [held(here, project_id, task_id) for task_id in ids]
        first = here.labels.annotate(ids[0], mood("positive"), parent=parents[0], by=7, lead_time_s=3.5)
        here.labels.annotate(ids[1], mood("positive"), parent=parents[1])
        here.labels.annotate(ids[2], [], parent=parents[2], skipped=True)
        read = here.verifier.catch_up(project_id)
        assert read == Read(tasks=3, changed=3, outcomes={"confirmed": 1, "corrected": 1, "skipped": 1})
        found = stored(here, project_id)
        confirmed, corrected, skipped = (found[task_id] for task_id in ids)
        assert (confirmed.outcome, confirmed.annotation_id) == (VerificationOutcome.CONFIRMED, first)
        assert (confirmed.annotator_id, confirmed.lead_time_s, confirmed.shown) == (7, 3.5, True)
        assert confirmed.version == here.version(project_id)
        assert controls(confirmed) == [("sentiment", ["positive"], ["positive"], 1.0, True)]
        assert (corrected.outcome, skipped.outcome) == (VerificationOutcome.CORRECTED, VerificationOutcome.SKIPPED)
        assert controls(corrected) == [("sentiment", ["negative"], ["positive"], 0.0, False)]
        assert skipped.controls == ()
        assert confirmed.is_label
        assert corrected.is_label
        assert not skipped.is_label
        assert here.store.verified_task_ids(project_id) == ids[:2]

    def test_a_visible_prediction_counts_as_shown_without_a_parent(self, here: Installation) -> None:
        project_id, ids = ran(here)
        here.labels.annotate(ids[0], mood("negative"))
        here.verifier.catch_up(project_id)
        (found,) = stored(here, project_id).values()
        assert (found.outcome, found.shown, found.version) == ("corrected", True, here.version(project_id))

    def test_of_several_versions_the_one_that_was_started_from_counts_else_the_current(
        self, here: Installation
    ) -> None:
        project_id, ids = ran(here)
        region = {"id": "o", "from_name": "sentiment", "to_name": "text", "type": "choices"}
        others = [
            here.labels.create_prediction(
                Prediction(
                    task_id=task_id,
                    model_version="other@1",
                    result=({**region, "value": {"choices": ["negative"]}},),
                    score=None,
                )
            )
            for task_id in ids[:2]
        ]
        here.labels.annotate(ids[0], mood("negative"), parent=others[0])
        here.labels.annotate(ids[1], mood("negative"))
        here.verifier.catch_up(project_id)
        versions = {task_id: v.version for task_id, v in stored(here, project_id).items()}
        assert versions == {ids[0]: "other@1", ids[1]: here.version(project_id)}
        assert outcomes(here, project_id) == dict.fromkeys(ids[:2], "confirmed")

    def test_a_prediction_that_came_later_was_not_seen(self, here: Installation) -> None:
        project_id, ids = ran(here)
        here.labels.made_at[held(here, project_id, ids[0])] = here.labels.now + timedelta(hours=1)
        forget_deliveries(here)
        here.labels.annotate(ids[0], mood("negative"))
        here.verifier.catch_up(project_id)
        (found,) = stored(here, project_id).values()
        assert (found.outcome, found.shown) == ("blind", False)

    def test_blind_is_compared_with_the_answer_that_was_kept_back(self, here: Installation) -> None:
        project_id, ids = ran(here, "good")
        here.labels.projects[project_id].predictions.clear()
        forget_deliveries(here)
        here.labels.annotate(ids[0], mood("negative"))
        here.verifier.catch_up(project_id)
        (found,) = stored(here, project_id).values()
        assert (found.outcome, found.shown, found.version) == ("blind", False, here.version(project_id))
        assert controls(found) == [("sentiment", ["positive"], ["negative"], 0.0, False)]
        assert found.is_label

    def test_without_any_answer_the_label_is_kept(self, here: Installation) -> None:
        project_id, ids = here.project("good")
        here.projects.remember(project_id, CONFIG)
        here.labels.annotate(ids[0], mood("negative"))
        here.verifier.catch_up(project_id)
        (found,) = stored(here, project_id).values()
        assert (found.outcome, found.version, found.predicted) == ("blind", None, ())
        assert controls(found) == [("sentiment", None, ["negative"], None, None)]

    def test_the_editor_tells_of_a_prediction_that_is_gone(self, here: Installation) -> None:
        project_id, ids = here.project("good")
        here.projects.remember(project_id, CONFIG)
        here.labels.annotate(ids[0], mood("negative", origin="prediction-changed"))
        here.verifier.catch_up(project_id)
        (found,) = stored(here, project_id).values()
        assert (found.shown, found.outcome, found.version) == (True, "corrected", None)
        assert controls(found) == [("sentiment", None, ["negative"], None, None)]

    def test_what_label_studios_action_made_was_looked_at_by_nobody(self, here: Installation) -> None:
        project_id, ids = ran(here)
        parent = held(here, project_id, ids[0])
        made = here.labels.annotate(ids[0], mood("positive"), parent=parent, action=True)
        here.verifier.catch_up(project_id)
        (found,) = stored(here, project_id).values()
        assert (found.outcome, found.is_label) == ("accepted", False)
        here.labels.delete_prediction(parent)
        here.labels.changed.add(ids[0])
        here.verifier.catch_up(project_id)
        assert outcomes(here, project_id) == {ids[0]: "accepted"}
        here.labels.reannotate(made, updated_by=4, lead_time_s=2.0)  # then a person opened and submitted it
        here.verifier.catch_up(project_id)
        assert outcomes(here, project_id) == {ids[0]: "confirmed"}

    def test_what_the_action_made_of_a_prediction_that_is_gone_by_now_is_no_confirmation(
        self, here: Installation
    ) -> None:
        project_id, ids = ran(here)
        here.labels.annotate(ids[0], mood("positive"), parent=held(here, project_id, ids[0]), action=True)
        here.labels.projects[project_id].predictions.clear()
        here.verifier.catch_up(project_id)
        assert outcomes(here, project_id) == {ids[0]: "accepted"}

    def test_imported_annotations_were_made_without_the_predictions(self, here: Installation) -> None:
        project_id, ids = ran(here)
        here.labels.annotate(ids[0], mood("negative"), by=None, action=True)
        here.verifier.catch_up(project_id)
        (found,) = stored(here, project_id).values()
        assert (found.outcome, found.shown, found.is_label) == ("blind", False, True)
        assert controls(found) == [("sentiment", ["positive"], ["negative"], 0.0, False)]


class TestFollowing:
    def test_what_was_confirmed_outlives_its_prediction(self, here: Installation) -> None:
        project_id, ids = ran(here)
        parent = held(here, project_id, ids[1])
        annotation = here.labels.annotate(ids[1], mood("negative"), parent=parent)
        here.verifier.look(project_id, [ids[1]])
        version = here.version(project_id)
        here.labels.delete_prediction(parent)
        here.labels.reannotate(annotation, ground_truth=True)
        here.verifier.look(project_id, [ids[1]])
        (found,) = stored(here, project_id).values()
        assert (found.outcome, found.version, found.ground_truth) == ("confirmed", version, True)
        assert found.predicted

    def test_a_prediction_deleted_before_the_first_look_is_replaced_by_the_record(self, here: Installation) -> None:
        project_id, ids = ran(here)
        parent = held(here, project_id, ids[1])
        here.labels.annotate(ids[1], mood("positive"), parent=parent)
        here.labels.delete_prediction(parent)
        here.verifier.catch_up(project_id)
        (found,) = stored(here, project_id).values()
        assert (found.outcome, found.shown, found.version) == ("corrected", True, here.version(project_id))

    def test_an_updated_annotation_is_compared_with_what_it_started_from(self, here: Installation) -> None:
        project_id, ids = ran(here)
        annotation = here.labels.annotate(ids[0], mood("positive"), parent=held(here, project_id, ids[0]))
        here.verifier.catch_up(project_id)
        here.labels.reannotate(annotation, result=mood("negative"), lead_time_s=9.0)
        assert here.verifier.catch_up(project_id).changed == 1
        (found,) = stored(here, project_id).values()
        assert (found.outcome, found.lead_time_s) == ("corrected", 9.0)

    def test_a_blind_annotation_that_is_changed_later_in_sight_of_a_prediction_is_not_blind(
        self, here: Installation
    ) -> None:
        project_id, ids = ran(here)
        prediction = held(here, project_id, ids[0])
        here.labels.made_at[prediction] = here.labels.now + timedelta(hours=1)
        forget_deliveries(here)
        annotation = here.labels.annotate(ids[0], mood("negative"))
        here.verifier.catch_up(project_id)
        assert outcomes(here, project_id) == {ids[0]: "blind"}
        here.labels.now += timedelta(hours=2)
        here.labels.reannotate(annotation, ground_truth=True)  # a lead stars it: what it says is the same
        here.verifier.catch_up(project_id)
        assert outcomes(here, project_id) == {ids[0]: "blind"}
        here.labels.reannotate(annotation, result=mood("positive"))
        here.verifier.catch_up(project_id)
        assert outcomes(here, project_id) == {ids[0]: "confirmed"}

    def test_deleted_annotations_are_left_out(self, here: Installation) -> None:
        project_id, ids = ran(here)
        kept, gone = (here.labels.annotate(task_id, mood("positive")) for task_id in ids[:2])
        here.verifier.catch_up(project_id)
        here.labels.delete_annotation(gone)
        assert here.verifier.look(project_id, [], [gone]).deleted == 1
        assert [v.annotation_id for v in here.store.verifications(project_id)] == [kept]
        assert here.verifier.look(project_id, [], [gone]).deleted == 0

    def test_a_deleted_annotation_is_found_by_its_tasks_change(self, here: Installation) -> None:
        project_id, ids = ran(here)
        gone = here.labels.annotate(ids[0], mood("positive"))
        here.verifier.catch_up(project_id)
        here.labels.changed.clear()
        here.labels.delete_annotation(gone)
        assert here.verifier.catch_up(project_id) == Read(tasks=1, deleted=1)

    def test_a_deleted_task_is_found_by_the_number_of_annotations(self, here: Installation) -> None:
        project_id, ids = ran(here)
        for task_id in ids:
            here.labels.annotate(task_id, mood("positive"))
        here.verifier.catch_up(project_id)
        here.labels.changed.clear()
        here.labels.delete_tasks(project_id, [ids[1]])
        assert here.verifier.catch_up(project_id) == Read(tasks=1, deleted=1)
        assert sorted(stored(here, project_id)) == [ids[0], ids[2]]

    def test_what_a_wrong_clock_hid_is_found_by_the_number_of_annotations(self, here: Installation) -> None:
        project_id, ids = ran(here)
        here.verifier.catch_up(project_id)
        here.labels.annotate(ids[0], mood("positive"))
        here.labels.changed.clear()
        assert here.verifier.catch_up(project_id).changed == 1


def forget_deliveries(here: Installation) -> None:
    """As if Label Studio had not been given the answers yet."""
    with here.store.begin() as connection:
        connection.execute(sa.update(records).values(delivered_at=None, delivery="pending"))


class TestCatchingUp:
    def test_only_what_changed_is_read(self, here: Installation) -> None:
        project_id, ids = ran(here)
        here.labels.annotate(ids[0], mood("positive"))
        assert here.verifier.catch_up(project_id).tasks == 1
        here.labels.changed = {ids[1]}  # its data was edited, or a prediction patched
        assert here.verifier.catch_up(project_id) == Read()
        here.labels.annotate(ids[1], mood("negative"))
        assert here.verifier.catch_up(project_id) == Read(tasks=1, changed=1, outcomes={"confirmed": 1})

    def test_the_time_before_the_last_reading_is_read_again(self, here: Installation, monkeypatch: Any) -> None:
        project_id, _ = ran(here)
        asked: list[Any] = []
        whole = here.labels.annotation_counts
        monkeypatch.setattr(
            here.labels, "annotation_counts", lambda p, since=None: asked.append(since) or whole(p, since=since)
        )
        began = here.clock.now
        here.verifier.catch_up(project_id)
        here.clock.sleep(600)
        here.verifier.catch_up(project_id)
        here.verifier.catch_up(project_id, everything=True)
        assert asked == [None, began - timedelta(minutes=5), None]

    def test_to_read_twice_changes_nothing(self, here: Installation) -> None:
        project_id, ids = ran(here)
        for task_id in ids:
            here.labels.annotate(task_id, mood("positive"), parent=held(here, project_id, task_id))
        assert here.verifier.catch_up(project_id).changed == 3
        assert here.verifier.catch_up(project_id, everything=True).changed == 0
        assert here.verifier.look(project_id, ids).changed == 0

    def test_pages(self, here: Installation) -> None:
        project_id, ids = ran(here, *(f"good {n}" for n in range(120)))
        for task_id in ids:
            here.labels.annotate(task_id, mood("positive"), parent=held(here, project_id, task_id))
        read = here.verifier.catch_up(project_id)
        assert (read.tasks, read.changed, read.outcomes) == (120, 120, {"confirmed": 120})

    def test_nothing_counts_as_read_when_label_studio_is_away(self, here: Installation) -> None:
        project_id, ids = ran(here)
        here.labels.annotate(ids[0], mood("positive"))
        here.labels.reachable = False
        with pytest.raises(LabelStudioUnreachable):
            here.verifier.catch_up(project_id)
        assert here.store.caught_up(project_id) is None

    def test_a_label_studio_that_is_away_fails_no_message(
        self, here: Installation, caplog: pytest.LogCaptureFixture
    ) -> None:
        project_id, _ = ran(here)
        del here.labels.projects[project_id]
        here.verifier.keep_up(project_id)
        here.labels.reachable = False
        here.verifier.keep_up(project_id)
        assert [record.levelname for record in caplog.records if "were not read" in record.message] == ["WARNING"] * 2

    def test_a_project_that_is_not_known(self, here: Installation) -> None:
        with pytest.raises(ProjectUnknown, match=r"check --project, or connect it with `prelabel connect"):
            here.verifier.catch_up(99)
        assert here.verifier.look(99, [1]) == Read()
        project_id, ids = here.project("x", config='<View><Text name="t" value="$t"/></View>')
        here.projects.remember(project_id, '<View><Text name="t" value="$t"/></View>')
        assert here.verifier.look(project_id, ids) == Read()

    def test_the_sweeper_asks_for_it_while_predictions_are_out(self, here: Installation) -> None:
        project_id, ids = here.project("good")
        here.projects.remember(project_id, CONFIG)
        here.sweeper.look()
        assert [m.work for m in here.queue.messages] == []
        here.run(project_id)
        here.labels.annotate(ids[0], mood("positive"))
        here.sweeper.look()
        here.sweeper.look()
        assert [m.work for m in here.queue.messages if m.work == "catch_up"] == ["catch_up"]
        here.work_off()
        assert list(outcomes(here, project_id)) == ids


class TestBadInput:
    def test_a_verified_task_whose_text_changed_is_kept_and_not_used(self, here: Installation) -> None:
        project_id, ids = ran(here)
        annotation = here.labels.annotate(ids[0], mood("positive"), parent=held(here, project_id, ids[0]))
        here.verifier.catch_up(project_id)
        here.labels.edit_task(project_id, ids[0], {"text": "quite another"})
        here.verifier.catch_up(project_id)
        (found,) = stored(here, project_id).values()
        assert (found.stale, found.is_label, found.outcome) == (True, False, "confirmed")
        assert here.store.verified_task_ids(project_id) == []
        assert here.verifier.catch_up(project_id).changed == 0
        assert stored(here, project_id)[ids[0]].stale
        here.labels.reannotate(annotation)  # somebody looked at the new text
        here.verifier.catch_up(project_id)
        assert not stored(here, project_id)[ids[0]].stale

    def test_a_text_that_changed_before_the_first_look_is_seen_by_the_predictions(self, here: Installation) -> None:
        project_id, ids = ran(here)
        here.labels.annotate(ids[0], mood("positive"), parent=held(here, project_id, ids[0]))
        here.labels.edit_task(project_id, ids[0], {"text": "quite another"})
        for _ in range(2):
            here.verifier.catch_up(project_id)
            assert stored(here, project_id)[ids[0]].stale

    def test_a_text_that_is_as_it_was_again_is_no_longer_stale(self, here: Installation) -> None:
        project_id, ids = ran(here, "good")
        here.labels.annotate(ids[0], mood("positive"))
        for text, stale in (("good", False), ("other", True), ("good", False)):
            here.labels.edit_task(project_id, ids[0], {"text": text})
            here.verifier.catch_up(project_id)
            assert stored(here, project_id)[ids[0]].stale is stale

    def test_a_column_that_is_not_shown_may_change(self, here: Installation) -> None:
        project_id, ids = ran(here, "good")
        here.labels.annotate(ids[0], mood("positive"))
        here.verifier.catch_up(project_id)
        here.labels.edit_task(project_id, ids[0], {"text": "good", "lang": "de"})
        here.verifier.catch_up(project_id)
        (found,) = stored(here, project_id).values()
        assert (found.stale, found.slices) == (False, {"lang": "de"})

    def test_a_label_that_left_the_schema(self, here: Installation) -> None:
        project_id, ids = ran(here)
        for task_id in ids[:2]:
            here.labels.annotate(task_id, mood("positive"), parent=held(here, project_id, task_id))
        here.verifier.catch_up(project_id)
        config = CONFIG.replace('"positive"', '"glad"')
        here.labels.edit_project(project_id, label_config=config)
        here.projects.sync(here.labels, project_id)
        here.labels.changed.clear()
        assert here.verifier.catch_up(project_id).changed == 2  # another config: everything is read again
        unfit = "holds a label that is not in the labeling config"
        assert [(v.is_label, v.problem) for v in stored(here, project_id).values()] == [
            (False, f'"sentiment" {unfit}')
        ] * 2
        assert in_numbers(here.store, project_id)["unfit"] == 2

    def test_an_annotation_of_another_config_is_kept_and_not_used(self, here: Installation) -> None:
        project_id, ids = ran(here)
        here.labels.annotate(ids[0], mood("positive", from_name="former"))
        here.verifier.catch_up(project_id)
        (found,) = stored(here, project_id).values()
        assert (found.is_label, found.problem) == (False, "was made under another labeling config")

    def test_other_columns_of_another_config_make_nothing_stale(self, here: Installation) -> None:
        project_id, ids = ran(here)
        here.labels.annotate(ids[0], mood("positive"))
        here.verifier.catch_up(project_id)
        config = CONFIG.replace("<View>", '<View><Text name="more" value="$more"/>')
        here.labels.edit_project(project_id, label_config=config)
        here.labels.projects[project_id].tasks[ids[0]] = {"text": "good one", "more": "m"}
        here.projects.sync(here.labels, project_id)
        for _ in range(2):
            here.verifier.catch_up(project_id)
            assert not stored(here, project_id)[ids[0]].stale

    @pytest.mark.parametrize(
        "result",
        [
            {"a": 1},
            "text",
            [None, 1, "x", []],
            [{"from_name": "sentiment"}],
            [{"from_name": "sentiment", "value": {"choices": [{}]}}],
            [{"from_name": ["sentiment"], "value": {"choices": ["positive"]}, "id": {}}],
            [{"from_name": "sentiment", "value": {"choices": ["x" * 2_000_000]}}],
            [{"from_name": "sentiment", "value": {"choices": ["positive"]}}] * 20_000,
            [{"from_name": "sentiment", "value": {"choices": ["\x00\ud800"]}, "score": float("nan")}],
        ],
        ids=["object", "text", "no regions", "no value", "no label", "no names", "long", "many", "unstorable"],
    )
    def test_hostile_results_are_kept_as_unfit_or_empty(self, here: Installation, result: JSON) -> None:
        project_id, ids = ran(here)
        here.labels.annotate(ids[0], result)
        here.labels.annotate(ids[1], mood("negative"), parent=held(here, project_id, ids[1]))
        assert here.verifier.catch_up(project_id).changed == 2
        found = stored(here, project_id)
        assert found[ids[1]].outcome == "confirmed"
        assert found[ids[0]].outcome == "corrected"
        assert all(control.final is None for control in found[ids[0]].controls)

    def test_slices_are_short_values_of_the_named_columns(self, here: Installation) -> None:
        project_id, ids = ran(here)
        data = {"text": "good", "lang": " pt\nBR ", "language": "x" * 81, "other": "y"}
        here.labels.edit_task(project_id, ids[0], data)
        here.labels.annotate(ids[0], mood("positive"))
        here.verifier.catch_up(project_id)
        assert stored(here, project_id)[ids[0]].slices == {"lang": "pt BR"}
        assert here.labels.now > EARLY
