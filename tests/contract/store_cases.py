"""What every store must do, whatever the database. A test class inherits these and gives `url`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import ANY

import alembic.autogenerate
import alembic.migration
import pytest
import sqlalchemy as sa

from backend.adapters.sql import selecting
from backend.adapters.sql.records import LEASE
from backend.adapters.sql.schema import metadata, records
from backend.adapters.sql.store import SqlStore
from backend.core.errors import StoreError
from backend.core.values import FieldReading, JobState, Outcome, Reply, Task, TaskState, TokenLogprob, Usage
from backend.ports.batches import BatchRequest, BatchRow, BatchState
from backend.ports.ledger import Spending
from backend.ports.model import Capabilities
from backend.ports.overview import PausedJob
from backend.ports.store import JobLimits, ProjectRow, Record
from tests.contract.agent_store_cases import AgentStoreCases
from tests.contract.audit_store_cases import AuditStoreCases
from tests.contract.example_store_cases import ExampleStoreCases
from tests.contract.golden_store_cases import GoldenStoreCases
from tests.contract.scoring_store_cases import ScoringStoreCases
from tests.contract.vector_store_cases import VectorStoreCases
from tests.contract.verification_store_cases import VerificationStoreCases
from tests.fakes.installation import HandClock

VERSION = "tests@00000000"
PROJECT = 1
USAGE = Usage(prompt_tokens=10, completion_tokens=3, calls=1)
REGION = {"id": "r", "from_name": "s", "to_name": "t", "type": "choices", "value": {"choices": ["yes"]}}


def task(number: int, text: str = "text", project: int = PROJECT) -> Task:
    return Task(id=number, project_id=project, data={"text": text})


def paid(text: str = "yes", **changes: Any) -> Reply:
    return Reply(**{"text": text, "finish_reason": "stop", "usage": USAGE, "model": "m", **changes})


def asked(key: str) -> BatchRequest:
    return BatchRequest(custom_id=key, request_key=f"request of {key}", logprobs=key == "a")


def done(**changes: Any) -> Outcome:
    return Outcome(**{"state": TaskState.DONE, "result": (REGION,), "score": 0.9, "usage": USAGE, **changes})


class StoreCases(
    AgentStoreCases,
    AuditStoreCases,
    ExampleStoreCases,
    GoldenStoreCases,
    VectorStoreCases,
    VerificationStoreCases,
    ScoringStoreCases,
):
    """The contract. `url` is a fixture of the subclass: an empty database."""

    @pytest.fixture
    def clock(self) -> HandClock:
        return HandClock()

    @pytest.fixture
    def store(self, url: str, clock: HandClock) -> Iterator[SqlStore]:
        store = SqlStore(url, clock=clock)
        store.migrate()
        yield store
        store.close()

    # --- small steps --------------------------------------------------------------------------------------------

    def enlist(self, store: SqlStore, *tasks: Task, absent: bool = False, hold_s: float = 0.0) -> int:
        job_id = store.create_job(PROJECT, VERSION, "run")
        store.enlist(job_id, tasks, absent=absent, hold_s=hold_s)
        store.set_job_state(job_id, "queued")
        return job_id

    def answer(self, store: SqlStore, *tasks: Task, outcome: Outcome | None = None) -> list[Record]:
        """Enlisted, claimed and answered; the records as they were claimed."""
        self.enlist(store, *tasks)
        claimed = store.claim(VERSION, PROJECT, [t.id for t in tasks], "worker")
        for record in claimed:
            store.save_outcomes([(record.id, record.data_hash, outcome or done())])
        return claimed

    def record(self, store: SqlStore, number: int = 1) -> Record:
        return store.records(PROJECT, VERSION, [number])[number]

    # --- what a job may spend --------------------------------------------------------------------------------------

    def test_calls_fit_the_budget_with_those_in_flight(self, store: SqlStore) -> None:
        job_id = self.enlist(store, task(1))
        store.set_job_limits(job_id, JobLimits(budget_tokens=100, budget_usd=1.0))
        first = store.reserve_spending(job_id, tokens=60, usd=0.1, lease_s=60)
        assert first is not None
        assert store.reserve_spending(job_id, tokens=41, usd=0.1, lease_s=60) is None
        assert store.reserve_spending(job_id, tokens=1, usd=0.91, lease_s=60) is None
        second = store.reserve_spending(job_id, tokens=40, usd=0.9, lease_s=60)
        assert second is not None
        assert store.spending(job_id) == Spending(
            tokens=0, usd=0, in_flight=2, reserved_tokens=100, reserved_usd=pytest.approx(1.0)
        )
        store.settle_spending(first, tokens=10, usd=0.05)
        assert store.reserve_spending(job_id, tokens=51, usd=0.0, lease_s=60) is None
        assert store.reserve_spending(job_id, tokens=50, usd=0.05, lease_s=60) is not None

    def test_what_a_dead_worker_reserved_counts_as_spent(self, store: SqlStore, clock: HandClock) -> None:
        job_id = self.enlist(store, task(1))
        store.set_job_limits(job_id, JobLimits(budget_tokens=100))
        dead = store.reserve_spending(job_id, tokens=90, usd=0, lease_s=60)
        assert dead is not None
        clock.sleep(61)
        assert store.reserve_spending(job_id, tokens=11, usd=0, lease_s=60) is None
        assert (store.spending(job_id).tokens, store.spending(job_id).in_flight) == (90, 0)
        store.settle_spending(dead, tokens=20, usd=0)  # it was only slow
        assert store.spending(job_id).tokens == 20

    def test_of_several_that_reserve_at_once_only_those_that_fit_may(self, store: SqlStore) -> None:
        job_id = self.enlist(store, task(1))
        store.set_job_limits(job_id, JobLimits(budget_tokens=35))
        got = in_threads(8, lambda: store.reserve_spending(job_id, tokens=10, usd=0.0, lease_s=60))
        assert sum(one is not None for one in got) == 3

    def test_a_job_keeps_its_limits(self, store: SqlStore) -> None:
        job_id = self.enlist(store, task(1))
        store.set_job_limits(job_id, JobLimits(budget_tokens=5, budget_usd=0.5, per_minute=7))
        job = store.job(job_id)
        assert job is not None
        assert (job.budget_tokens, job.budget_usd, job.per_minute) == (5, 0.5, 7)
        assert (job.has_budget, job.is_limited) == (True, True)

    def test_a_job_is_there_with_its_limits_at_once(self, store: SqlStore) -> None:
        job = store.job(store.create_job(PROJECT, VERSION, "run", limits=JobLimits(budget_tokens=5, per_minute=7)))
        assert job is not None
        assert (job.budget_tokens, job.budget_usd, job.per_minute) == (5, None, 7)

    def test_what_was_paid_for_a_task_without_outcome_is_added(self, store: SqlStore) -> None:
        self.enlist(store, task(1))
        (record,) = store.claim(VERSION, PROJECT, [1], "w")
        store.add_usage(record.id, USAGE, 1.5)
        store.release([record.id])
        self.answer(store, task(1))
        found = store.counts(PROJECT, version=VERSION)
        assert (found.usage, found.states) == (USAGE + USAGE, {"done": 1})

    # --- which tasks a run may choose -----------------------------------------------------------------------------

    def test_a_usage_beyond_all_bounds_voids_no_other_answer(self, store: SqlStore) -> None:
        self.enlist(store, task(1), task(2))
        one, two = store.claim(VERSION, PROJECT, [1, 2], "worker")
        endless = Usage(prompt_tokens=10**20, completion_tokens=2**31 - 1, calls=1)
        store.add_usage(one.id, USAGE, 1.0)
        outcomes = [(one.id, one.data_hash, done(usage=endless)), (two.id, two.data_hash, done())]
        store.save_outcomes(outcomes)
        assert [self.record(store, n).state for n in (1, 2)] == ["done", "done"]
        found = store.counts(PROJECT, version=VERSION).usage
        assert found == Usage(prompt_tokens=2**31 - 1 + 10, completion_tokens=2**31 - 1 + 3, calls=3)

    def test_tasks_below_a_score(self, store: SqlStore) -> None:
        for number, score in enumerate([0.2, 0.5, None, 0.9, 0.0], start=1):
            state = TaskState.FAILED if score == 0.0 else TaskState.DONE
            self.answer(store, task(number), outcome=done(score=score, state=state))
        self.enlist(store, task(6))
        assert list(store.task_ids_below(PROJECT, VERSION, 0.5)) == [1, 5]
        assert list(store.task_ids_below(PROJECT, "other@1", 0.5)) == []

    def test_pages_of_tasks_below_a_score(self, store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(selecting, "_PAGE", 2)
        for number in range(1, 6):
            self.answer(store, task(number), outcome=done(score=0.1))
        assert list(store.task_ids_below(PROJECT, VERSION, 0.5)) == [1, 2, 3, 4, 5]

    def test_answers_of_two_versions_are_paired_where_the_data_is_the_same(self, store: SqlStore) -> None:
        other = {**REGION, "value": {"choices": ["no"]}}
        self.answer(store, task(1), task(2), task(3))
        job_id = store.create_job(PROJECT, "b@2", "run")
        store.enlist(job_id, [task(1), task(2, "changed"), task(4)], absent=False)
        for record in store.claim("b@2", PROJECT, [1, 2, 4], "w"):
            store.save_outcomes([(record.id, record.data_hash, done(result=(other,)))])
        assert list(store.answer_pairs(PROJECT, VERSION, "b@2")) == [(1, [REGION], [other])]
        assert set(store.answered_versions(PROJECT)) == {VERSION, "b@2"}

    def test_what_a_job_that_ended_left_queued_is_for_the_next_run(self, store: SqlStore) -> None:
        job_id = self.enlist(store, task(1))
        assert store.failed_task_ids(PROJECT, VERSION) == []
        store.set_job_state(job_id, "cancelled")
        assert store.failed_task_ids(PROJECT, VERSION) == [1]

    def test_a_task_that_is_asked_anew_is_so_once_a_job(self, store: SqlStore) -> None:
        self.answer(store, task(1))
        store.claim_deliveries(PROJECT, VERSION, 10)
        job_id = store.create_job(PROJECT, VERSION, "run")
        for _ in range(2):
            store.enlist(job_id, [task(1)], absent=False, anew=True)
            record = self.record(store)
            assert (record.state, record.take, record.rewrite, record.delivery) == ("queued", 1, True, "none")
        (record,) = store.claim(VERSION, PROJECT, [1], "w")
        store.save_outcomes([(record.id, record.data_hash, done())])
        store.enlist(job_id, [task(1)], absent=False, anew=True)
        assert self.record(store).state == "done"

    def test_failed_tasks_are_queued_again_with_their_job(self, store: SqlStore) -> None:
        self.answer(store, task(1), outcome=done(state=TaskState.FAILED))
        job = store.jobs()[0]
        self.record(store)
        assert store.finish_job_if_done(job.id)
        assert store.requeue(job.id, [TaskState.INVALID]) == 0
        assert store.requeue(job.id, [TaskState.FAILED, TaskState.INVALID]) == 1
        again = store.job(job.id)
        assert again is not None
        assert (again.state, again.finished_at, self.record(store).state) == ("queued", None, "queued")

    def test_failed_tasks_are_queued_again_in_another_job(self, store: SqlStore) -> None:
        self.answer(store, task(1), outcome=done(state=TaskState.FAILED))
        former = store.jobs()[0]
        store.enlist(former.id, [task(2)], absent=False)
        store.set_job_state(former.id, "cancelled")
        again = store.create_job(PROJECT, VERSION, "run")
        assert store.requeue(former.id, [TaskState.FAILED], into=again) == 1
        assert store.job_task_ids(again, [TaskState.QUEUED]) == [1]
        assert store.job_task_ids(former.id, [TaskState.QUEUED]) == [2]
        assert [(job.state, job.total) for job in store.jobs()] == [("enlisting", 1), ("cancelled", 2)]

    def test_other_data_is_asked_within_the_job(self, store: SqlStore) -> None:
        self.answer(store, task(1), task(2))
        (record,) = store.claim_deliveries(PROJECT, VERSION, 1)
        store.set_delivery([record.id], "written")
        job = store.jobs()[0]
        assert store.finish_job_if_done(job.id)
        other = replace(task(1), data={"text": "other"})
        assert store.renew(job.id + 1, [other]) == []
        assert store.renew(job.id, [other, task(2)]) == [1]
        record = self.record(store)
        assert (record.state, record.data, record.data_hash) == ("queued", other.data, other.data_hash)
        assert (record.job_id, record.delivery, record.rewrite) == (job.id, "none", True)
        again = store.job(job.id)
        assert again is not None
        assert (again.state, self.record(store, 2).state) == ("queued", "done")
        assert store.pause_job(job.id, "by hand", by="person")
        assert store.renew(job.id, [task(1)]) == [1]
        assert [job.state for job in store.jobs()] == ["paused"]

    def test_failed_tasks_of_a_page(self, store: SqlStore) -> None:
        """Each page of a large project looks at its own records only."""
        self.answer(store, *(task(n) for n in range(1, 7)), outcome=done(state=TaskState.FAILED))
        assert store.failed_task_ids(PROJECT, VERSION) == [1, 2, 3, 4, 5, 6]
        assert store.failed_task_ids(PROJECT, VERSION, after=2, up_to=4) == [3, 4]
        assert store.failed_task_ids(PROJECT, VERSION, after=4) == [5, 6]

    def test_newest_answers_with_what_they_took(self, store: SqlStore) -> None:
        self.answer(store, task(1), task(2))
        self.answer(store, task(3), outcome=done(usage=Usage(from_cache=1)))
        found = store.paid_sample(PROJECT, VERSION, 1)
        assert [(record.task_id, usage, seconds) for record, usage, seconds in found] == [(2, USAGE, 0.0)]

    def test_a_stored_reply_is_seen_without_being_used(self, store: SqlStore) -> None:
        assert not store.has_reply("k")
        store.save_reply("k", "r", paid())
        assert store.has_reply("k")

    def test_scores_and_latencies_are_counted_in_bins(self, store: SqlStore) -> None:
        for number, score in enumerate([0.05, 0.95, 1.0, None], start=1):
            self.answer(store, task(number), outcome=done(score=score, latency_s=number))
        skipped = done(state=TaskState.SKIPPED, score=0.0, error_class="context_too_long", usage=Usage())
        self.answer(store, task(9), outcome=skipped)
        found = store.counts(PROJECT, version=VERSION)
        assert found.scores == (1, 0, 0, 0, 0, 0, 0, 0, 0, 2)
        assert found.latency == {"p50": pytest.approx(2, rel=0.06), "p90": pytest.approx(4, rel=0.06), "p99": ANY}
        assert found.classes == {"skipped": {"context_too_long": 1}}

    # --- upkeep -------------------------------------------------------------------------------------------------

    def test_open_jobs_are_those_that_have_not_ended(self, store: SqlStore, clock: HandClock) -> None:
        made, queued, paused, done = (store.create_job(PROJECT, VERSION, "run") for _ in range(4))
        for job_id in (queued, paused, done):
            store.set_job_state(job_id, "queued")
        store.pause_job(paused, "The key is refused.", by="fault")
        assert store.finish_job_if_done(done)
        assert [job.id for job in store.open_jobs()] == [made, queued, paused]
        assert [job.id for job in store.jobs_since(clock() - timedelta(minutes=1))] == [made, queued, paused, done]
        clock.now += timedelta(hours=1)
        assert [job.id for job in store.jobs_since(clock() - timedelta(minutes=1))] == [made, queued, paused]

    def test_enlisting_gives_a_sign_with_every_task(self, store: SqlStore, clock: HandClock) -> None:
        job_id = store.create_job(PROJECT, VERSION, "run")
        began = clock()
        assert store.enlisted_since(job_id, began - timedelta(seconds=1))
        clock.now += timedelta(minutes=5)
        assert not store.enlisted_since(job_id, began)
        store.enlist(job_id, [task(1)], absent=False)
        assert store.enlisted_since(job_id, began)

    def test_claims_of_a_dead_worker_are_released_and_no_others(self, store: SqlStore) -> None:
        job_id = self.enlist(store, task(1), task(2), task(3))
        store.claim(VERSION, PROJECT, [1, 2], "dead")
        store.claim(VERSION, PROJECT, [3], "alive")
        assert store.claimants([job_id]) == {"dead", "alive"}
        assert store.claimants([job_id + 1]) == set()
        assert store.release_claims(job_id, ["dead"]) == [1, 2]
        assert [self.record(store, n).state for n in (1, 2, 3)] == ["queued", "queued", "running"]
        assert store.release_claims(job_id, ["dead"]) == []

    def test_projects_with_answers_that_label_studio_lacks(self, store: SqlStore, clock: HandClock) -> None:
        row = ProjectRow(id=PROJECT, label_config="<View/>", instructions="", version=VERSION, auto_start=False)
        store.save_project(row)
        assert store.projects_to_write() == []
        (record,) = self.answer(store, task(1))
        assert store.projects_to_write() == [PROJECT]
        store.claim_deliveries(PROJECT, VERSION, 10)
        assert store.projects_to_write() == [PROJECT]
        store.set_delivery([record.id], "written")
        assert store.projects_to_write() == []
        store.save_project(replace(row, version="tests@11111111"))
        self.answer(store, task(2))
        assert store.projects_to_write() == []  # nothing of an old version is written

    def test_what_was_held_for_a_request_is_due_later(self, store: SqlStore, clock: HandClock) -> None:
        row = ProjectRow(id=PROJECT, label_config="<View/>", instructions="", version=VERSION, auto_start=False)
        store.save_project(row)
        self.enlist(store, task(1), hold_s=10.0)
        (record,) = store.claim(VERSION, PROJECT, [1], "worker")
        store.save_outcomes([(record.id, record.data_hash, done())])
        assert store.projects_to_write() == []
        clock.now += timedelta(seconds=11)
        assert store.projects_to_write() == [PROJECT]

    def test_what_label_studio_lost_is_offered_again(self, store: SqlStore, clock: HandClock) -> None:
        claimed = self.answer(store, task(1), task(2), task(3))
        store.claim_deliveries(PROJECT, VERSION, 10)
        store.set_delivery([r.id for r in claimed[:2]], "written")
        now = clock() + timedelta(seconds=1)
        assert store.delivered_task_ids(PROJECT, VERSION, before=now) == {1, 2}
        assert store.delivered(PROJECT, VERSION, before=now) == 2
        assert store.delivered(PROJECT, VERSION, before=clock()) == 0
        store.offer_again(PROJECT, VERSION, [2, 3])
        assert [(self.record(store, n).delivery, self.record(store, n).rewrite) for n in (1, 2, 3)] == [
            ("written", False),
            ("pending", True),
            ("claimed", False),
        ]
        store.set_tasks_deleted(PROJECT, VERSION, [1, 3])
        assert [self.record(store, n).state for n in (1, 3)] == ["deleted", "done"]

    # --- projects, events, capabilities --------------------------------------------------------------------------

    def test_a_project_is_kept_and_replaced(self, store: SqlStore) -> None:
        row = ProjectRow(
            id=7,
            label_config="<View>नमस्ते 👋🏽</View>",
            instructions="",
            version=None,
            auto_start=False,
            refusals=("a", "b"),
        )
        assert store.project(7) is None
        store.save_project(row)
        assert store.project(7) == row
        changed = replace(row, version="v@1", auto_start=True, refusals=())
        store.save_project(changed)
        assert store.project(7) == changed

    def test_versions_are_each_named_once(self, store: SqlStore) -> None:
        row = ProjectRow(id=1, label_config="", instructions="", version="b@1", auto_start=False)
        for number, version in enumerate(["b@1", "a@1", "b@1", None], start=1):
            store.save_project(replace(row, id=number, version=version))
        assert store.versions() == ["a@1", "b@1"]

    def test_events_are_counted_by_project(self, store: SqlStore) -> None:
        store.add_event(1, "A", [1, 2])
        store.add_event(1, "A", [])
        store.add_event(1, "B" * 500, [2**40])
        store.add_event(2, "A", [])
        store.add_event(None, "A", [])
        assert store.event_counts(1) == {"A": 2, "B" * 60: 1}

    def test_capabilities_are_remembered_and_replaced(self, store: SqlStore) -> None:
        assert store.capabilities("http://a", "m") is None
        store.save_capabilities("http://a", "m", Capabilities(structured="text", logprobs=0))
        better = Capabilities(
            structured="json_object", logprobs=5, max_tokens_name="max_completion_tokens", sampling=False
        )
        for found in (better, replace(better, images=False), replace(better, images=True)):
            store.save_capabilities("http://a", "m", found)
            assert store.capabilities("http://a", "m") == found
        assert store.capabilities("http://a", "other") is None

    # --- jobs ---------------------------------------------------------------------------------------------------

    def test_a_job_knows_its_size_and_ends_once(self, store: SqlStore, clock: HandClock) -> None:
        job_id = self.enlist(store, task(1), task(2))
        job = store.job(job_id)
        assert job is not None
        assert (job.state, job.total, job.kind, job.created_at) == ("queued", 2, "run", clock.now)
        assert not store.finish_job_if_done(job_id)
        clock.sleep(5)
        self.answer(store)
        for record in store.claim(VERSION, PROJECT, [1, 2], "w"):
            store.save_outcomes([(record.id, record.data_hash, done())])
        assert store.finish_job_if_done(job_id)
        assert not store.finish_job_if_done(job_id)
        job = store.job(job_id)
        assert job is not None
        assert (job.state, job.finished_at) == ("done", clock.now)

    def test_several_outcomes_are_stored_at_once_each_by_its_own_rules(self, store: SqlStore) -> None:
        self.enlist(store, task(1), task(2), task(3))
        one, two, three = store.claim(VERSION, PROJECT, [1, 2, 3], "w")
        store.release([three.id])
        store.save_outcomes(
            [
                (one.id, one.data_hash, done()),
                (two.id, "of other data", done()),
                (three.id, three.data_hash, Outcome(state=TaskState.EMPTY, notes=("a note",), usage=USAGE)),
            ]
        )
        found = store.records(PROJECT, VERSION, [1, 2, 3])
        assert [found[n].state for n in (1, 2, 3)] == [TaskState.DONE, TaskState.RUNNING, TaskState.QUEUED]
        assert (found[1].result, found[1].score, found[2].result) == ((REGION,), 0.9, ())
        assert store.counts(PROJECT).usage == USAGE + USAGE + USAGE  # paid for, whatever became of it
        store.save_outcomes([])

    # --- further tasks of a job -----------------------------------------------------------------------------------

    def test_further_tasks_of_a_running_job_are_claimed_up_to_the_limit(self, store: SqlStore) -> None:
        job_id = self.enlist(store, *(task(n, f"text {n}") for n in range(1, 6)))
        other = self.enlist(store, task(9))
        store.claim(VERSION, PROJECT, [1], "first")
        assert store.claim_further(job_id, "second", 3) == []  # it is queued: nobody has begun
        store.set_job_state(job_id, "running")
        store.set_job_state(other, "running")
        assert len(store.claim_further(job_id, "second", 3)) == 3
        assert [r.state for r in store.claim_further(job_id, "second", 3)] == [TaskState.RUNNING]
        assert store.claim_further(job_id, "second", 3) == []
        assert [r.task_id for r in store.claim_further(other, "second", 3)] == [9]

    def test_nobody_gets_the_same_further_task(self, store: SqlStore) -> None:
        job_id = self.enlist(store, *(task(n, f"text {n}") for n in range(1, 101)))
        store.set_job_state(job_id, "running")
        got: list[int] = []

        def take() -> None:
            while claimed := store.claim_further(job_id, "w", 7):
                got.extend(record.task_id for record in claimed)

        in_threads(4, take)
        assert sorted(got) == list(range(1, 101))

    def test_what_a_message_left_running_is_given_back_to_its_next_try(self, store: SqlStore) -> None:
        job_id = self.enlist(store, *(task(n, f"text {n}") for n in range(1, 4)))
        store.set_job_state(job_id, "running")
        store.claim(VERSION, PROJECT, [1], "killed")
        store.claim_further(job_id, "killed", 1)
        store.claim_further(job_id, "alive", 1)
        store.give_back(job_id, "killed")
        assert len(store.job_task_ids(job_id, [TaskState.QUEUED])) == 2
        assert len(store.claim_further(job_id, "killed", 9)) == 2

    def test_a_stopped_job_says_why_and_is_not_started_again(self, store: SqlStore) -> None:
        """A worker that read it as queued before it was stopped sets it running."""
        job_id = self.enlist(store, task(1))
        store.set_job_state(job_id, "stopped", "the key is refused")
        store.set_job_state(job_id, "running")
        job = store.job(job_id)
        assert job is not None
        assert (job.state, job.reason) == ("stopped", "the key is refused")

    def test_a_paused_job_says_who_paused_it_and_goes_on_when_resumed(self, store: SqlStore) -> None:
        job_id = self.enlist(store, task(1))
        assert store.pause_job(job_id, "the key is refused", by="fault")
        assert not store.pause_job(job_id, "again", by="person")
        assert not store.set_job_state(job_id, "running")
        job = store.job(job_id)
        assert job is not None
        assert (job.state, job.reason, job.paused_by) == ("paused", "the key is refused", "fault")
        assert store.resume_job(job_id)
        assert not store.resume_job(job_id)
        job = store.job(job_id)
        assert job is not None
        assert (job.state, job.reason, job.paused_by) == ("queued", None, None)

    def test_a_paused_job_can_be_cancelled_and_ends_when_its_last_task_is_done(self, store: SqlStore) -> None:
        first, second = self.enlist(store, task(1)), self.enlist(store, task(2))
        for job_id in (first, second):
            store.pause_job(job_id, "by hand", by="person")
        assert store.set_job_state(first, "cancelled")
        assert not store.resume_job(first)
        for record in store.claim(VERSION, PROJECT, [2], "w"):
            store.save_outcomes([(record.id, record.data_hash, done())])
        assert store.finish_job_if_done(second)
        assert [job.state for job in store.jobs(PROJECT)] == ["done", "cancelled"]

    def test_a_job_whose_tasks_are_read_goes_on_until_all_are(self, store: SqlStore) -> None:
        selection = {"keep": "all"}
        job_id = store.create_job(PROJECT, VERSION, "run", selection=selection)
        given = self.enlist(store, task(9))
        assert [(j.id, j.selection, j.read_to) for j in store.reading_jobs()] == [(job_id, selection, None)]
        store.enlist(job_id, [task(1)], absent=True)
        store.set_job_state(job_id, "queued")
        for read_to in (2**40, 1):
            store.set_read_to(job_id, read_to)
        for record in store.claim(VERSION, PROJECT, [1], "w"):
            store.save_outcomes([(record.id, record.data_hash, done())])
        assert not store.finish_job_if_done(job_id)
        (job,) = store.reading_jobs()
        assert (job.state, job.reading, job.read_to) == ("queued", True, 2**40)
        store.end_reading(job_id)
        assert store.reading_jobs() == []
        assert store.finish_job_if_done(job_id)
        other = store.job(given)
        assert other is not None
        assert (other.selection, other.reading) == (None, False)

    def test_a_stopped_job_is_not_read(self, store: SqlStore) -> None:
        job_id = store.create_job(PROJECT, VERSION, "run", selection={"keep": "missing"})
        store.set_job_state(job_id, "stopped", "by hand")
        assert store.reading_jobs() == []

    def test_a_task_that_the_job_has_already_stays_as_it_is(self, store: SqlStore) -> None:
        """The message that enlisted it is worked on again, and it has failed meanwhile."""
        job_id = self.enlist(store, task(1))
        for record in store.claim(VERSION, PROJECT, [1], "w"):
            store.save_outcomes([(record.id, record.data_hash, Outcome(state=TaskState.FAILED))])
        store.enlist(job_id, [task(1), task(2)], absent=True)
        assert self.record(store).state is TaskState.FAILED
        job = store.job(job_id)
        assert job is not None
        assert job.total == 2

    def test_a_finished_job_stays_finished(self, store: SqlStore) -> None:
        job_id = self.enlist(store)
        assert store.finish_job_if_done(job_id)
        store.set_job_state(job_id, "stopped", "late")
        job = store.job(job_id)
        assert job is not None
        assert job.state == "done"

    def test_a_job_that_is_still_being_enlisted_does_not_end(self, store: SqlStore) -> None:
        job_id = store.create_job(PROJECT, VERSION, "run")
        assert not store.finish_job_if_done(job_id)
        store.set_job_state(job_id, "queued")
        assert store.finish_job_if_done(job_id)

    def test_the_owners_of_tasks_are_the_jobs_that_enlisted_them_last(self, store: SqlStore) -> None:
        first = self.enlist(store, task(1), task(2))
        second = self.enlist(store, task(2), task(3))
        third = self.enlist(store, task(4))
        assert {job.id for job in store.owners(PROJECT, VERSION, [1, 2, 9])} == {first, second}
        assert [job.id for job in store.owners(PROJECT, VERSION, [4])] == [third]
        assert store.owners(PROJECT, VERSION, []) == store.owners(PROJECT, "other@1", [1]) == []

    def test_a_job_ends_with_the_tasks_that_are_still_its_own(self, store: SqlStore) -> None:
        first = self.enlist(store, task(1), task(2), task(3))
        second = self.enlist(store, task(2), task(3))
        for record in store.claim(VERSION, PROJECT, [1], "w"):
            store.save_outcomes([(record.id, record.data_hash, done())])
        assert store.finish_job_if_done(first)
        job = store.job(first)
        assert job is not None
        assert (job.total, job.reason) == (1, f"2 tasks taken over by job {second}")

    def test_jobs_are_listed_newest_first(self, store: SqlStore) -> None:
        ids = [store.create_job(PROJECT, VERSION, "run") for _ in range(3)]
        store.create_job(2, VERSION, "run")
        assert [job.id for job in store.jobs(PROJECT)] == ids[::-1]
        assert len(store.jobs(limit=2)) == 2
        assert store.job(10**9) is None

    # --- enlisting ----------------------------------------------------------------------------------------------

    def test_a_new_task_is_queued(self, store: SqlStore) -> None:
        job_id = self.enlist(store, task(1, "नमस्ते 👋🏽 \x00 \ud800"))
        record = self.record(store)
        assert (record.state, record.delivery, record.job_id) == (TaskState.QUEUED, "none", job_id)
        assert record.data == {"text": "नमस्ते 👋🏽 \x00 \ud800"}
        assert store.job_task_ids(job_id, [TaskState.QUEUED]) == [1]

    def test_the_same_task_twice_in_one_call_is_one_record(self, store: SqlStore) -> None:
        job_id = self.enlist(store, task(1), task(2), task(1))
        assert store.job_task_ids(job_id, [TaskState.QUEUED]) == [1, 2]

    def test_thousands_at_once(self, store: SqlStore) -> None:
        job_id = self.enlist(store, *(task(n) for n in range(1, 2_001)))
        job = store.job(job_id)
        assert job is not None
        assert job.total == 2_000
        assert len(store.records(PROJECT, VERSION, range(1, 2_001))) == 2_000

    def test_a_queued_task_moves_to_the_new_job(self, store: SqlStore) -> None:
        first = self.enlist(store, task(1))
        second = self.enlist(store, task(1))
        assert store.job_task_ids(first, [TaskState.QUEUED]) == []
        assert store.job_task_ids(second, [TaskState.QUEUED]) == [1]

    @pytest.mark.parametrize("state", [TaskState.DONE, TaskState.EMPTY, TaskState.INVALID])
    def test_an_answer_to_the_same_data_is_kept(self, store: SqlStore, state: TaskState) -> None:
        self.answer(store, task(1), outcome=done(state=state))
        self.enlist(store, task(1))
        record = self.record(store)
        assert (record.state, record.result, record.delivery) == (state, (REGION,), "pending")

    def test_an_answer_to_other_data_is_asked_again(self, store: SqlStore) -> None:
        self.answer(store, task(1))
        self.enlist(store, task(1, "other"))
        record = self.record(store)
        assert (record.state, record.data, record.delivery) == (TaskState.QUEUED, {"text": "other"}, "none")
        assert not record.rewrite  # nothing of it was delivered

    @pytest.mark.parametrize("state", [TaskState.FAILED, TaskState.SKIPPED, TaskState.DELETED])
    def test_what_has_no_answer_is_asked_again(self, store: SqlStore, state: TaskState) -> None:
        self.answer(store, task(1), outcome=Outcome(state=state, score=0.0))
        self.enlist(store, task(1))
        assert self.record(store).state is TaskState.QUEUED

    def test_a_running_task_is_left_running(self, store: SqlStore) -> None:
        self.enlist(store, task(1))
        (claimed,) = store.claim(VERSION, PROJECT, [1], "worker")
        self.enlist(store, task(1))
        assert self.record(store).state is TaskState.RUNNING
        store.save_outcomes([(claimed.id, claimed.data_hash, done())])
        assert self.record(store).state is TaskState.DONE

    def test_a_running_task_whose_data_changed_is_asked_again(self, store: SqlStore) -> None:
        self.enlist(store, task(1))
        store.claim(VERSION, PROJECT, [1], "worker")
        self.enlist(store, task(1, "other"))
        assert self.record(store).state is TaskState.QUEUED

    @pytest.mark.parametrize(
        ("absent", "changed", "delivery", "rewrite"),
        [
            (True, False, "pending", False),  # Label Studio lost it: delivered again
            (False, False, "written", False),  # it is there
            (True, True, "none", False),  # asked again, and nothing to replace
            (False, True, "none", True),  # asked again, and the old one is to be replaced
        ],
    )
    def test_what_was_delivered_a_while_ago(
        self, store: SqlStore, clock: HandClock, absent: bool, changed: bool, delivery: str, rewrite: bool
    ) -> None:
        self.answer(store, task(1))
        (claimed,) = store.claim_deliveries(PROJECT, VERSION, 9)
        store.set_delivery([claimed.id], "written")
        clock.sleep(3600)
        self.enlist(store, task(1, "other" if changed else "text"), absent=absent)
        record = self.record(store)
        assert (record.delivery, record.rewrite) == (delivery, rewrite)

    @pytest.mark.parametrize("changed", [False, True])
    def test_what_was_delivered_while_the_job_read_its_tasks_is_looked_for_before_it_is_written_again(
        self, store: SqlStore, clock: HandClock, changed: bool
    ) -> None:
        self.answer(store, task(1))
        job_id = store.create_job(PROJECT, VERSION, "run")
        clock.sleep(1)
        (claimed,) = store.claim_deliveries(PROJECT, VERSION, 9)
        store.set_delivery([claimed.id], "written")
        clock.sleep(1)
        store.enlist(job_id, [task(1, "other" if changed else "text")], absent=True)
        assert self.record(store).rewrite

    def test_what_a_writer_is_at_is_not_offered_a_second_time(self, store: SqlStore) -> None:
        self.answer(store, task(1))
        store.claim_deliveries(PROJECT, VERSION, 9)
        self.enlist(store, task(1), absent=True)
        assert self.record(store).delivery == "claimed"

    def test_versions_and_projects_do_not_touch_each_other(self, store: SqlStore) -> None:
        self.answer(store, task(1))
        other = store.create_job(PROJECT, "other@1", "run")
        store.enlist(other, [task(1)], absent=False)
        elsewhere = store.create_job(2, VERSION, "run")
        store.enlist(elsewhere, [task(1, project=2)], absent=False)
        assert self.record(store).state is TaskState.DONE
        assert store.claim(VERSION, 2, [1], "w")[0].project_id == 2
        assert store.claim_deliveries(PROJECT, "other@1", 9) == []

    def test_enlisting_the_same_tasks_from_several_threads(self, store: SqlStore) -> None:
        tasks = [task(n) for n in range(1, 101)]
        jobs = in_threads(4, lambda: self.enlist(store, *tasks))
        listed = [store.job_task_ids(job_id, [TaskState.QUEUED]) for job_id in jobs]
        assert sorted(n for ids in listed for n in ids) == list(range(1, 101))

    # --- claiming -----------------------------------------------------------------------------------------------

    def test_a_record_is_claimed_by_one(self, store: SqlStore) -> None:
        self.enlist(store, task(1), task(2))
        assert [r.task_id for r in store.claim(VERSION, PROJECT, [2, 1, 9], "one")] == [1, 2]
        assert store.claim(VERSION, PROJECT, [1, 2], "two") == []

    def test_what_shows_the_same_data_is_claimed_along(self, store: SqlStore) -> None:
        self.enlist(store, task(1), task(2), task(3, "other"), task(4))
        self.enlist(store, task(5))
        alike = store.claim(VERSION, PROJECT, [1], "a", alike=True)
        assert [r.task_id for r in alike] == [1, 2, 4]
        assert store.claim(VERSION, PROJECT, [2, 4], "b", alike=True) == []
        assert [r.task_id for r in store.claim(VERSION, PROJECT, [3, 5], "b", alike=True)] == [3, 5]

    def test_the_same_claimant_gets_back_all_that_it_had_claimed_along(self, store: SqlStore) -> None:
        """It was killed when it had stored the answer of the one that its message names."""
        self.enlist(store, task(1), task(2))
        first, _ = store.claim(VERSION, PROJECT, [1], "a", alike=True)
        store.save_outcomes([(first.id, first.data_hash, done())])
        assert [r.task_id for r in store.claim(VERSION, PROJECT, [1], "a", alike=True)] == [2]

    def test_the_same_claimant_again_gets_what_it_left(self, store: SqlStore) -> None:
        """A message that is delivered again after its worker was killed."""
        self.enlist(store, task(1), task(2))
        first, _ = store.claim(VERSION, PROJECT, [1, 2], "one")
        store.save_outcomes([(first.id, first.data_hash, done())])
        assert [r.task_id for r in store.claim(VERSION, PROJECT, [1, 2], "one")] == [2]

    def test_a_lease_ends(self, store: SqlStore, clock: HandClock) -> None:
        self.enlist(store, task(1))
        store.claim(VERSION, PROJECT, [1], "one")
        clock.sleep(LEASE.total_seconds() - 60)
        assert store.claim(VERSION, PROJECT, [1], "two") == []
        clock.sleep(timedelta(minutes=2).total_seconds())
        assert [r.task_id for r in store.claim(VERSION, PROJECT, [1], "two")] == [1]

    def test_a_new_job_finds_what_a_dead_worker_left(self, store: SqlStore, clock: HandClock) -> None:
        self.enlist(store, task(1))
        store.claim(VERSION, PROJECT, [1], "one")
        clock.sleep(LEASE.total_seconds() + 60)
        job_id = self.enlist(store, task(1))
        assert store.job_task_ids(job_id, [TaskState.QUEUED]) == [1]

    def test_released_records_are_queued_again(self, store: SqlStore) -> None:
        self.enlist(store, task(1), task(2))
        one, two = store.claim(VERSION, PROJECT, [1, 2], "one")
        store.save_outcomes([(two.id, two.data_hash, done())])
        store.release([one.id, two.id])
        assert self.record(store, 1).state is TaskState.QUEUED
        assert self.record(store, 2).state is TaskState.DONE
        assert [r.id for r in store.claim(VERSION, PROJECT, [1, 2], "two")] == [one.id]

    def test_claims_from_several_threads_never_overlap(self, store: SqlStore) -> None:
        numbers = list(range(1, 201))
        self.enlist(store, *(task(n) for n in numbers))
        names = iter("abcdefgh")
        claims = in_threads(8, lambda: store.claim(VERSION, PROJECT, numbers, next(names)))
        assert sorted(r.task_id for claim in claims for r in claim) == numbers

    # --- answers ------------------------------------------------------------------------------------------------

    def test_an_answer_is_kept_whole(self, store: SqlStore) -> None:
        field = FieldReading(
            control="s", value=("yes",), step="strict_json+exact", rejected=("maybe \x00\ud800",), confidence=0.9
        )
        outcome = done(fields=(field,), notes=("a note",), reply_text="\x00 \ud800 नमस्ते 👋🏽", model="m" * 5_000)
        self.answer(store, task(1), outcome=outcome)
        record = self.record(store)
        assert (record.state, record.result, record.score) == (TaskState.DONE, (REGION,), 0.9)
        assert record.prediction.to_label_studio() == {
            "task": 1,
            "model_version": VERSION,
            "result": [REGION],
            "score": 0.9,
        }

    def test_the_record_says_why_a_score_is_low(self, store: SqlStore) -> None:
        field = FieldReading(
            control="s",
            value=("a", "b"),
            step="exact",
            confidence=0.4,
            usable=0.5,
            region_confidences=(0.9, 0.7),
            label_probabilities={"a": 0.4, "b": 0.35},
            label_rest=0.25,
        )
        self.answer(store, task(1), outcome=done(fields=(field,)))
        with store.begin(read_only=True) as connection:
            (kept,) = connection.execute(sa.select(records.c.fields)).scalar_one()
        assert (kept["confidence"], kept["usable"], kept["region_confidences"]) == (0.4, 0.5, [0.9, 0.7])
        assert (kept["label_probabilities"], kept["label_rest"]) == ({"a": 0.4, "b": 0.35}, 0.25)

    @pytest.mark.parametrize("text", ["\x00", "\ud800", "a\x00b", "x" * 1_000_000])
    def test_an_error_may_hold_any_text(self, store: SqlStore, text: str) -> None:
        failed = Outcome(state=TaskState.FAILED, score=0.0, error=text, error_class="internal", reply_text=text)
        self.answer(store, task(1), outcome=failed)
        assert self.record(store).state is TaskState.FAILED

    def test_an_answer_to_data_that_changed_is_not_taken_and_is_counted(self, store: SqlStore) -> None:
        self.enlist(store, task(1))
        (old,) = store.claim(VERSION, PROJECT, [1], "one")
        self.enlist(store, task(1, "other"))
        (new,) = store.claim(VERSION, PROJECT, [1], "two")
        store.save_outcomes([(old.id, old.data_hash, done())])
        assert self.record(store).state is TaskState.RUNNING
        assert store.counts(PROJECT).usage == USAGE
        store.save_outcomes([(new.id, new.data_hash, done(score=0.1))])
        assert (self.record(store).state, self.record(store).score) == (TaskState.DONE, 0.1)
        assert store.counts(PROJECT).usage == USAGE + USAGE
        assert store.calls(PROJECT) == 2

    def test_a_second_answer_to_the_same_question_is_not_taken(self, store: SqlStore) -> None:
        (record,) = self.answer(store, task(1))
        store.save_outcomes([(record.id, record.data_hash, done(score=0.1))])
        assert self.record(store).score == 0.9

    # --- deliveries ---------------------------------------------------------------------------------------------

    def test_deliveries_go_out_once_oldest_first(self, store: SqlStore) -> None:
        self.answer(store, *(task(n) for n in range(1, 6)))
        self.enlist(store, task(6))
        assert store.due_deliveries(PROJECT, VERSION) == 5
        first = store.claim_deliveries(PROJECT, VERSION, 3)
        second = store.claim_deliveries(PROJECT, VERSION, 3)
        assert [r.task_id for r in [*first, *second]] == [1, 2, 3, 4, 5]
        assert store.claim_deliveries(PROJECT, VERSION, 3) == []
        assert store.due_deliveries(PROJECT, VERSION) == 0

    def test_undelivered_is_what_is_due_held_or_with_a_writer(self, store: SqlStore) -> None:
        held = self.enlist(store, task(1), hold_s=6)
        for record in store.claim(VERSION, PROJECT, store.job_task_ids(held, [TaskState.QUEUED]), "w"):
            store.save_outcomes([(record.id, record.data_hash, done())])
        self.answer(store, task(2), task(3))
        self.enlist(store, task(4))
        (claimed,) = store.claim_deliveries(PROJECT, VERSION, 1)
        assert (store.undelivered(PROJECT, VERSION), store.due_deliveries(PROJECT, VERSION)) == (3, 1)
        store.set_delivery([claimed.id], "written")
        assert store.undelivered(PROJECT, VERSION) == 2
        assert store.undelivered(PROJECT, "other@1") == 0

    def test_a_held_record_waits(self, store: SqlStore, clock: HandClock) -> None:
        self.enlist(store, task(1), hold_s=6)
        (record,) = store.claim(VERSION, PROJECT, [1], "w")
        store.save_outcomes([(record.id, record.data_hash, done())])
        assert store.due_deliveries(PROJECT, VERSION) == 0
        assert store.claim_deliveries(PROJECT, VERSION, 9) == []
        clock.sleep(6.5)
        assert store.due_deliveries(PROJECT, VERSION) == 1
        assert len(store.claim_deliveries(PROJECT, VERSION, 9)) == 1

    def test_a_hold_may_be_ended(self, store: SqlStore) -> None:
        self.enlist(store, task(1), hold_s=6)
        (record,) = store.claim(VERSION, PROJECT, [1], "w")
        store.save_outcomes([(record.id, record.data_hash, done())])
        store.end_hold([record.id])
        assert len(store.claim_deliveries(PROJECT, VERSION, 9)) == 1

    def test_a_held_record_may_be_handed_over(self, store: SqlStore, clock: HandClock) -> None:
        self.enlist(store, task(1), hold_s=6)
        (record,) = store.claim(VERSION, PROJECT, [1], "w")
        store.save_outcomes([(record.id, record.data_hash, done())])
        assert store.hand_over([record.id], lost_before=clock.now) == {record.id}

    def test_handed_over_is_not_written_and_not_handed_over_again(self, store: SqlStore, clock: HandClock) -> None:
        (record,) = self.answer(store, task(1))
        before = clock.now - timedelta(seconds=15)
        assert store.hand_over([record.id, 10**6], lost_before=before) == {record.id}
        assert store.hand_over([record.id], lost_before=before) == set()
        assert store.claim_deliveries(PROJECT, VERSION, 9) == []
        assert self.record(store).delivery == "handed"

    @pytest.mark.parametrize("way", ["handed", "written"])
    def test_what_label_studio_lost_is_handed_over_again_once(
        self, store: SqlStore, clock: HandClock, way: str
    ) -> None:
        (record,) = self.answer(store, task(1))
        store.claim_deliveries(PROJECT, VERSION, 9)
        store.set_delivery([record.id], way)
        clock.sleep(20)
        before = clock.now - timedelta(seconds=15)
        assert store.hand_over([record.id], lost_before=before) == {record.id}
        assert store.hand_over([record.id], lost_before=before) == set()

    def test_neither_what_a_writer_has_nor_what_is_to_be_replaced_is_handed_over(
        self, store: SqlStore, clock: HandClock
    ) -> None:
        (record,) = self.answer(store, task(1))
        store.claim_deliveries(PROJECT, VERSION, 9)
        clock.sleep(3600)
        assert store.hand_over([record.id], lost_before=clock.now) == set()
        store.unclaim_deliveries(PROJECT)
        assert store.hand_over([record.id], lost_before=clock.now) == set()

    def test_what_is_not_answered_is_not_handed_over(self, store: SqlStore, clock: HandClock) -> None:
        self.enlist(store, task(1))
        (record,) = store.claim(VERSION, PROJECT, [1], "w")
        assert store.hand_over([record.id], lost_before=clock.now) == set()

    def test_what_a_dead_writer_had_is_offered_for_rewriting(self, store: SqlStore) -> None:
        self.answer(store, task(1), task(2), task(3))
        one, two = store.claim_deliveries(PROJECT, VERSION, 2)
        store.set_delivery([one.id], "written")
        assert store.unclaim_deliveries(PROJECT) == 1
        due = {r.task_id: r.rewrite for r in store.claim_deliveries(PROJECT, VERSION, 9)}
        assert due == {2: True, 3: False}
        store.set_delivery([two.id], "written")
        assert not self.record(store, 2).rewrite

    def test_a_late_written_does_not_cover_a_newer_question(self, store: SqlStore) -> None:
        """The task changed while its old prediction was being sent."""
        (record,) = self.answer(store, task(1))
        store.claim_deliveries(PROJECT, VERSION, 9)
        self.enlist(store, task(1, "other"))
        store.set_delivery([record.id], "written")
        found = self.record(store)
        assert (found.state, found.delivery, found.rewrite) == (TaskState.QUEUED, "none", True)

    def test_refused_is_failed_and_offered_no_more(self, store: SqlStore) -> None:
        (record,) = self.answer(store, task(1))
        store.claim_deliveries(PROJECT, VERSION, 9)
        store.set_refused(record.id, "Label Studio refuses it.")
        found = self.record(store)
        assert (found.state, found.delivery, found.error) == (TaskState.FAILED, "none", "Label Studio refuses it.")
        assert store.due_deliveries(PROJECT, VERSION) == 0
        assert store.failed_task_ids(PROJECT, VERSION) == [1]
        assert store.counts(PROJECT).errors == {"refused_prediction": 1}

    def test_a_deleted_task_is_offered_no_more(self, store: SqlStore) -> None:
        (record,) = self.answer(store, task(1))
        store.set_deleted([record.id])
        assert self.record(store).state is TaskState.DELETED
        assert store.due_deliveries(PROJECT, VERSION) == 0

    def test_each_record_goes_one_way_only(self, store: SqlStore, clock: HandClock) -> None:
        """`/predict` and the writer take from the same records at the same time."""
        numbers = list(range(1, 241))
        ids = [r.id for r in self.answer(store, *(task(n) for n in numbers))]
        before = clock.now - timedelta(hours=1)
        start = threading.Barrier(8)

        def predict() -> list[int]:
            start.wait(10)
            return [n for i in range(0, 240, 10) for n in store.hand_over(ids[i : i + 10], lost_before=before)]

        def write() -> list[int]:
            start.wait(10)
            got: list[int] = []
            while batch := store.claim_deliveries(PROJECT, VERSION, 7):
                got += [r.id for r in batch]
            return got

        with ThreadPoolExecutor(8) as pool:
            running = [pool.submit(way) for way in (predict, write) * 4]
            taken = [number for future in running for number in future.result(60)]
        assert sorted(taken) == sorted(ids)

    # --- sums ---------------------------------------------------------------------------------------------------

    def test_what_belongs_to_regions_and_relates_them_is_counted(self, store: SqlStore) -> None:
        box = {"id": "a", "to_name": "i"}
        result = (
            {**box, "from_name": "box", "type": "rectangle", "value": {"x": 1}},
            {**box, "from_name": "thing", "type": "labels", "value": {"x": 1, "labels": ["Car"]}},
            {**box, "from_name": "colour", "type": "choices", "value": {"x": 1, "choices": ["red"]}},
            {
                **box,
                "from_name": "page",
                "type": "hypertextlabels",
                "value": {"start": "/p", "hypertextlabels": ["PER"]},
            },
            {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right", "labels": ["on"]},
            {"type": "relation", "from_id": "b", "to_id": "a", "direction": "right"},
        )
        self.answer(store, task(1), outcome=done(result=result))
        labels = {"thing": {"Car": 1}, "colour": {"red": 1}, "page": {"PER": 1}, "relations": {"on": 1}}
        assert store.counts(PROJECT, version=VERSION).labels == labels

    def test_counts(self, store: SqlStore) -> None:
        fields = (FieldReading(control="s", value=("yes",), step="strict_json+exact", rejected=("maybe",)),)
        self.answer(store, task(1), task(2), outcome=done(fields=fields, notes=("shortened",)))
        failed = Outcome(state=TaskState.FAILED, score=0.0, error_class="timeout", usage=USAGE)
        self.answer(store, task(3), outcome=failed)
        job_id = self.enlist(store, task(4))
        counts = store.counts(PROJECT, version=VERSION)
        assert counts.states == {"done": 2, "failed": 1, "queued": 1}
        assert counts.deliveries == {"pending": 3, "none": 1}
        assert counts.labels == {"s": {"yes": 2}}
        assert counts.rejected == {"maybe": 2}
        assert counts.steps == {"strict_json+exact": 2}
        assert counts.notes == {"shortened": 2}
        assert counts.errors == {"timeout": 1}
        assert counts.usage == USAGE + USAGE + USAGE
        assert (counts.unfinished, counts.undelivered) == (1, 3)
        assert store.counts(PROJECT, job_id=job_id).states == {"queued": 1}
        assert store.progress(job_id).states == {"queued": 1}
        assert store.counts(PROJECT, version="other@1").states == {}
        assert store.calls(PROJECT) == 3
        assert store.calls(2) == 0

    def test_what_an_operator_sees(self, store: SqlStore) -> None:
        self.answer(store, task(1), task(2))
        failed = Outcome(state=TaskState.FAILED, score=0.0, error_class="timeout", usage=USAGE)
        self.answer(store, task(3), outcome=failed)
        job_id = self.enlist(store, task(4))
        assert store.task_totals() == {
            (PROJECT, TaskState.DONE): 2,
            (PROJECT, TaskState.FAILED): 1,
            (PROJECT, TaskState.QUEUED): 1,
        }
        assert sum(store.job_totals().values()) == len(store.jobs())
        assert store.paused_jobs() == []
        store.set_job_state(job_id, JobState.QUEUED)
        store.pause_job(job_id, "The key is refused.", by="fault")
        assert store.paused_jobs() == [
            PausedJob(id=job_id, project_id=PROJECT, reason="The key is refused.", paused_by="fault")
        ]
        assert store.job_totals()["paused"] == 1

    def test_what_label_studio_lacks(self, store: SqlStore) -> None:
        self.answer(store, task(1), task(2))
        assert store.undelivered_total() == 0  # of a project that is not known
        row = ProjectRow(id=PROJECT, label_config="", instructions="", version=VERSION, auto_start=False)
        store.save_project(row)
        assert store.undelivered_total() == 2
        future = datetime(2100, 1, 1, tzinfo=UTC)
        assert store.late_deliveries(future) == 2
        assert store.late_deliveries(future, limit=1) == 1
        assert store.late_deliveries(datetime(2000, 1, 1, tzinfo=UTC)) == 0
        store.save_project(replace(row, version="newer@1"))  # nobody writes an older version
        assert (store.undelivered_total(), store.late_deliveries(future)) == (0, 0)
        job = store.jobs()[0]
        for counts in (
            store.progress(job.id),
            store.counts(PROJECT, job_id=job.id),
            store.counts(PROJECT, version=VERSION),
        ):
            assert (counts.undelivered, counts.outdated) == (0, 2)
        assert store.counts(PROJECT).undelivered == 2  # over all versions
        store.save_project(row)  # the change was taken back
        assert (store.undelivered_total(), store.progress(job.id).undelivered) == (2, 2)

    def test_what_is_in_doubt_is_named_until_it_is_not(self, store: SqlStore) -> None:
        self.answer(store, task(1), task(2), task(3))
        one, two, three = store.claim_deliveries(PROJECT, VERSION, 3)
        store.set_delivery([one.id, two.id], "written", in_doubt=True)
        store.set_delivery([three.id], "written")
        later = datetime(2100, 1, 1, tzinfo=UTC)
        assert store.in_doubt(PROJECT, VERSION, before=later) == [1, 2]
        assert store.in_doubt(PROJECT, VERSION, before=datetime(2000, 1, 1, tzinfo=UTC)) == []
        store.end_doubt(PROJECT, VERSION, [1])
        assert store.in_doubt(PROJECT, VERSION, before=later) == [2]
        store.doubt_deliveries([two.id, three.id])
        assert store.in_doubt(PROJECT, VERSION, before=later) == []
        assert [(r.task_id, r.rewrite) for r in store.claim_deliveries(PROJECT, VERSION, 3)] == [(2, True), (3, True)]

    def test_answers_of_an_agent_beside_are_to_be_written(self, store: SqlStore) -> None:
        self.answer(store, task(1))
        row = ProjectRow(id=PROJECT, label_config="", instructions="", version="current@1", auto_start=False)
        store.save_project(row)
        for version in (VERSION, "current@1"):
            store.note_project_version(PROJECT, version, version, "question")
        assert store.undelivered_total() == 0
        store.create_job(PROJECT, VERSION, "run", "beside@1")
        assert (store.undelivered_total(), store.counts(PROJECT, version=VERSION).undelivered) == (1, 1)

    @pytest.mark.parametrize(
        ("value", "labels"),
        [
            ({"choices": ["a", "b"]}, {"a": 1, "b": 1}),
            ({"start": 0, "end": 1, "labels": ["PER"]}, {"PER": 1}),
            ({"taxonomy": [["a", "b"], ["c"]]}, {"a > b": 1, "c": 1}),
            ({"rating": 3}, {"3": 1}),
            ({"selected": "left"}, {"left": 1}),
            ({"number": 3}, None),
            ({"text": ["free"]}, None),
        ],
    )
    def test_only_classes_are_counted_as_labels(
        self, store: SqlStore, value: dict[str, Any], labels: dict[str, int] | None
    ) -> None:
        self.answer(store, task(1), outcome=done(result=({**REGION, "value": value},)))
        assert store.counts(PROJECT).labels == ({"s": labels} if labels else {})

    def test_replies_from_the_cache_are_counted_beside_the_calls(self, store: SqlStore) -> None:
        self.answer(store, task(1), outcome=done(usage=USAGE + Usage(from_cache=2)))
        self.answer(store, task(2), outcome=done(usage=Usage(from_cache=1)))
        usage = store.counts(PROJECT, version=VERSION).usage
        assert (usage, store.calls(PROJECT)) == (USAGE + Usage(from_cache=3), 1)

    # --- replies --------------------------------------------------------------------------------------------------

    def test_a_reply_is_kept_as_it_was_paid(self, store: SqlStore) -> None:
        tokens = (
            TokenLogprob(token="नम 👋🏽\x00\ud800", logprob=-0.1234567890123456, top=(("a", -1e-9), ("\udfff", -99.5))),
            TokenLogprob(token="", logprob=float("-inf")),
        )
        reply = paid('{"a": "नमस्ते 👋🏽"}', tokens=tokens)
        assert store.reply("k" * 64) is None
        store.save_reply("k" * 64, "r" * 64, reply)
        assert store.reply("k" * 64) == reply
        assert store.reply("K" * 64) is None

    @pytest.mark.parametrize("tokens", [None, ()])
    def test_a_reply_without_token_probabilities_stays_without(self, store: SqlStore, tokens: Any) -> None:
        store.save_reply("k", "r", paid(tokens=tokens))
        found = store.reply("k")
        assert found is not None
        assert found.tokens == tokens

    def test_a_reply_may_hold_any_text_and_any_model_name(self, store: SqlStore) -> None:
        store.save_reply("k", "r", paid("a\x00b\ud800" + "x" * 1_000_000, model="\x00" * 5_000))
        found = store.reply("k")
        assert found is not None
        assert (found.text[:4], len(found.text), found.model) == ("a\ufffdb\ufffd", 1_000_004, "\ufffd" * 200)

    def test_of_two_replies_under_one_key_the_first_stays(self, store: SqlStore) -> None:
        store.save_reply("k", "r", paid("one"))
        store.save_reply("k", "r", paid("two"))
        assert store.reply("k") == paid("one")

    def test_several_replies_are_kept_and_found_at_once(self, store: SqlStore) -> None:
        store.save_reply("k1", "r", paid("first"))
        store.save_replies([("k1", "r", paid("late")), ("k2", "r", paid("two")), ("k2", "r", paid("again"))])
        assert store.replies(["k1", "k2", "k3"]) == {"k1": paid("first"), "k2": paid("two")}
        store.save_replies([])
        assert store.replies([]) == {}

    def test_several_that_store_the_same_key_at_once_all_go_on(self, store: SqlStore) -> None:
        texts = iter("abcdefgh")
        in_threads(8, lambda: store.save_reply("k", "r", paid(next(texts))))
        found = store.reply("k")
        assert found is not None
        assert found.text in "abcdefgh"

    def test_the_replies_to_a_request_are_forgotten_whatever_their_key(self, store: SqlStore) -> None:
        for key, request_key in (("k1", "r1"), ("k2", "r1"), ("k3", "r3"), ("k4", "r4")):
            store.save_reply(key, request_key, paid())
        store.forget_replies([])
        store.forget_replies(["r1", "r4", "unknown"])
        assert [key for key in ("k1", "k2", "k3", "k4") if store.reply(key)] == ["k3"]

    def test_the_reply_behind_a_refused_prediction_is_forgotten(self, store: SqlStore) -> None:
        """The task counts as failed, and another run would be refused the same."""
        store.save_reply("k1", "r1", paid())
        store.save_reply("k2", "r2", paid())
        (record,) = self.answer(store, task(1), outcome=done(request_key="r1"))
        store.set_refused(record.id, "Label Studio refuses it.")
        assert [key for key in ("k1", "k2") if store.reply(key)] == ["k2"]

    def test_replies_that_nobody_uses_are_deleted_oldest_first_a_few_at_a_time(
        self, store: SqlStore, clock: HandClock
    ) -> None:
        for number in range(5):
            store.save_reply(f"k{number}", "r", paid())
            clock.sleep(3600)
        used = clock.now
        assert store.delete_replies(unused_since=used - timedelta(hours=2), most=2) == 2
        assert [n for n in range(5) if store.reply(f"k{n}")] == [2, 3, 4]
        assert store.delete_replies(unused_since=used - timedelta(hours=2), most=2) == 1
        assert store.delete_replies(unused_since=used - timedelta(hours=2), most=2) == 0
        assert [n for n in range(5) if store.reply(f"k{n}")] == [3, 4]

    def test_a_reply_that_is_used_is_kept_for_longer(self, store: SqlStore, clock: HandClock) -> None:
        store.save_reply("used", "r", paid())
        store.save_reply("unused", "r", paid())
        clock.sleep(timedelta(days=20).total_seconds())
        assert store.reply("used") is not None
        clock.sleep(timedelta(days=20).total_seconds())
        assert store.delete_replies(unused_since=clock.now - timedelta(days=30), most=9) == 1
        assert store.reply("used") is not None
        assert store.reply("unused") is None

    # --- the database -------------------------------------------------------------------------------------------

    # --- batches --------------------------------------------------------------------------------------------------

    def batch(self, store: SqlStore, job_id: int, *keys: str, round: int = 1) -> BatchRow:
        batch_id = store.begin_batch(job_id, f"marker-{round}", endpoint="e", round=round)
        assert store.add_to_batch(batch_id, [asked(key) for key in keys]) == set(keys)
        (row,) = [row for row in store.batches(job_id) if row.id == batch_id]
        return row

    def test_a_job_s_lane_is_kept(self, store: SqlStore) -> None:
        lanes = [store.job(store.create_job(PROJECT, VERSION, "run", lane=lane)) for lane in ("live", "batch")]
        assert [job.lane for job in lanes if job] == ["live", "batch"]

    def test_a_batch_from_its_first_request_to_its_end(self, store: SqlStore, clock: HandClock) -> None:
        job_id = self.enlist(store, task(1))
        row = self.batch(store, job_id, "a", "b")
        assert (row.state, row.requests, row.round, row.marker) == (BatchState.FILLING, 2, 1, "marker-1")
        assert (row.file_id, row.endpoint_id, row.submitted_at, row.usage) == (None, None, None, Usage())
        assert store.batch_creating(row.id, "file-1")
        clock.sleep(5)
        store.batch_submitted(row.id, "batch-1")
        store.note_batch(row.id, status="in_progress", done=1, error=None)
        (row,) = store.batches(job_id)
        assert (row.state, row.file_id, row.endpoint_id) == (BatchState.SUBMITTED, "file-1", "batch-1")
        assert (row.submitted_at, row.status, row.done) == (clock.now, "in_progress", 1)
        store.note_batch(row.id, status="failed", done=2, error="token_limit")
        store.batch_collected(row.id, answered=1, usage=USAGE)
        store.batch_ended(row.id)
        (row,) = store.batches(job_id)
        assert (row.state, row.status, row.error) == (BatchState.ENDED, "failed", "token_limit")
        assert (row.answered, row.usage, row.requests) == (1, USAGE, 2)

    def test_a_step_of_a_batch_is_made_from_the_one_before_only(self, store: SqlStore) -> None:
        """Two workers are at it: what one has done, the other does not do again or undo."""
        job_id = self.enlist(store, task(1))
        row = self.batch(store, job_id, "a")
        store.batch_submitted(row.id, "too early")
        assert store.batch_creating(row.id, "file-1")
        assert not store.batch_creating(row.id, "file-2")
        store.batch_submitted(row.id, "batch-1")
        store.batch_submitted(row.id, "batch-2")
        store.batch_ended(row.id)
        store.batch_collected(row.id, answered=1, usage=USAGE)
        store.batch_collected(row.id, answered=0, usage=Usage())
        store.note_batch(row.id, status="in_progress", done=0, error=None)
        (row,) = store.batches(job_id)
        assert (row.state, row.file_id, row.endpoint_id) == (BatchState.COLLECTED, "file-1", "batch-1")
        assert (row.answered, row.usage, row.status) == (1, USAGE, None)

    def test_a_request_is_in_one_unread_batch_at_most(self, store: SqlStore) -> None:
        job_id = self.enlist(store, task(1))
        first = self.batch(store, job_id, "a", "b")
        second = store.begin_batch(job_id, "marker-2", endpoint="e", round=1)
        assert store.add_to_batch(second, [asked("b"), asked("c")]) == {"c"}
        assert store.add_to_batch(second, [asked("c")]) == set()
        assert [row.requests for row in store.batches(job_id)] == [2, 1]
        assert store.jobs_that_asked(["a", "c", "d"]) == {"a": job_id, "c": job_id}
        assert store.requests_of_batch(first.id) == {"a": asked("a"), "b": asked("b")}
        store.batch_creating(first.id, "file")
        store.batch_submitted(first.id, "batch")
        store.batch_collected(first.id, answered=1, usage=USAGE)
        assert store.add_to_batch(second, [asked("b")]) == {"b"}
        assert store.requests_of_batch(first.id) == {}

    def test_many_that_add_the_same_request_at_once_have_it_once(self, store: SqlStore) -> None:
        job_id = self.enlist(store, task(1))
        batch_id = self.batch(store, job_id, "a").id
        added = in_threads(8, lambda: store.add_to_batch(batch_id, [asked("b")]))
        assert sorted(map(len, added)) == [0] * 7 + [1]

    def test_a_dropped_batch_leaves_nothing(self, store: SqlStore) -> None:
        job_id = self.enlist(store, task(1))
        row = self.batch(store, job_id, "a")
        store.drop_batch(row.id)
        assert (store.batches(job_id), store.jobs_that_asked(["a"])) == ([], {})
        assert not store.batch_creating(row.id, "file")
        with pytest.raises(StoreError):
            store.add_to_batch(row.id, [asked("b")])

    def test_which_jobs_need_a_step(self, store: SqlStore) -> None:
        live = self.enlist(store, task(1))
        batched = store.create_job(PROJECT, VERSION, "run", lane="batch")
        store.enlist(batched, [task(2)], absent=False)
        assert store.open_batch_jobs() == []  # it is still being enlisted
        store.set_job_state(batched, "queued")
        assert store.open_batch_jobs() == [batched]
        store.set_job_state(batched, "stopped", "the key is refused")
        assert store.open_batch_jobs() == []
        row = self.batch(store, batched, "a")
        assert store.open_batch_jobs() == [batched]  # what it has asked for is read, whatever its state
        store.batch_creating(row.id, "file")
        store.batch_submitted(row.id, "batch")
        store.batch_collected(row.id, answered=0, usage=Usage())
        assert store.open_batch_jobs() == [batched]
        store.batch_ended(row.id)
        assert store.open_batch_jobs() == []
        assert live != batched

    def test_the_migrations_make_the_tables(self, store: SqlStore) -> None:
        with store.begin(read_only=True) as connection:
            options = {"compare_type": True, "compare_server_default": True}
            context = alembic.migration.MigrationContext.configure(connection, opts=options)
            assert alembic.autogenerate.compare_metadata(context, metadata) == []

    def test_migrating_again_changes_nothing(self, store: SqlStore) -> None:
        self.enlist(store, task(1))
        store.migrate()
        assert self.record(store).state is TaskState.QUEUED

    def test_ping_names_the_database(self, store: SqlStore, url: str) -> None:
        assert store.ping().startswith("postgresql://" if url.startswith("postgresql") else "sqlite://")
        assert "password" not in store.ping()

    def test_nothing_to_do_is_no_error(self, store: SqlStore) -> None:
        job_id = self.enlist(store)
        assert store.claim(VERSION, PROJECT, [], "w") == []
        assert store.records(PROJECT, VERSION, []) == {}
        store.release([])
        store.set_deleted([])
        assert store.job_task_ids(job_id, []) == []
        assert store.unclaim_deliveries(PROJECT) == 0

    def test_a_database_without_its_tables_is_told_in_one_sentence(self, url: str) -> None:
        store = SqlStore(url)
        try:
            with pytest.raises(StoreError, match="DATABASE_URL"):
                store.ping()
        finally:
            store.close()


def in_threads(count: int, work: Callable[[], Any]) -> list[Any]:
    """`work` in several threads that begin together; what each returned."""
    start = threading.Barrier(count)

    def together() -> Any:
        start.wait(10)
        return work()

    with ThreadPoolExecutor(count) as pool:
        running = [pool.submit(together) for _ in range(count)]
        return [future.result(60) for future in running]
