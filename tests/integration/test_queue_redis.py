"""The queue's contract over a real Redis, and what a message looks like there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from rq import Queue as RqQueue
from rq import Worker
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.utils import utcformat

from backend.adapters import redis_signs, rq_queue
from backend.adapters.rq_queue import BULK, INTERACTIVE, RedisQueue
from backend.core.errors import QueueError
from backend.rq_processes import FingerprintedWorker
from scripts.processes import free_port
from scripts.services import Redis
from tests.contract.queue_cases import QueueCases

pytestmark = pytest.mark.integration


CHUNK_S = 1_234


class TestRedisQueue(QueueCases):
    @pytest.fixture
    def queue(self, redis: Redis) -> Iterator[RedisQueue]:
        queue = RedisQueue(redis.url, chunk_timeout_s=CHUNK_S - 0.5)
        queue.connection.flushdb()
        yield queue
        queue.connection.flushdb()
        queue.close()

    @pytest.fixture
    def unreachable(self) -> RedisQueue:
        return RedisQueue(f"redis://127.0.0.1:{free_port()}/0")

    @pytest.fixture
    def take_sync(self, queue: RedisQueue) -> Callable[[int], None]:
        return queue.sync_started  # what the worker calls first

    def waiting(self, queue: RedisQueue, name: str) -> list[Job]:
        return RqQueue(name, connection=queue.connection, serializer=JSONSerializer).jobs

    def test_a_chunk_s_message_is_ids_as_json_and_is_tried_again(self, queue: RedisQueue) -> None:
        queue.enqueue_chunk(7, [1, 2], interactive=False)
        (job,) = self.waiting(queue, BULK)
        assert (job.func_name, job.args) == ("backend.worker.annotate_chunk", [7, [1, 2]])
        raw = queue.connection.hgetall(job.key)
        assert isinstance(raw, dict)
        assert b"annotate_chunk" in bytes(raw[b"data"]) or raw[b"data"][:2] == b"x\x9c"  # JSON, perhaps compressed
        assert not bytes(raw[b"data"]).startswith(b"\x80")  # no pickle
        assert job.retries_left is not None
        assert job.retries_left >= 3
        assert job.failure_ttl is not None
        assert job.failure_ttl <= 7 * 24 * 3600

    def test_a_record_s_lease_outlives_the_longest_chunk(self, queue: RedisQueue) -> None:
        queue.enqueue_chunk(7, [1], interactive=True)
        (job,) = self.waiting(queue, INTERACTIVE)
        assert job.timeout == CHUNK_S

    def test_small_messages_go_to_the_interactive_queue(self, queue: RedisQueue) -> None:
        queue.enqueue_sync(3)
        queue.enqueue_auto_start(3, [5])
        found = [(job.func_name, job.args) for job in self.waiting(queue, INTERACTIVE)]
        assert found == [("backend.worker.sync_project", [3]), ("backend.worker.auto_start", [3, [5]])]

    def test_every_message_names_a_function_that_exists(self, queue: RedisQueue) -> None:
        queue.enqueue_chunk(1, [1], interactive=True)
        queue.enqueue_sync(1)
        queue.enqueue_auto_start(1, [1])
        queue.enqueue_write_back(1)
        queue.enqueue_batch_step(1, delay_s=30)
        assert all(callable(job.func) for job in [*self.waiting(queue, INTERACTIVE), *self.scheduled(queue)])

    def test_a_message_for_reading_on_that_was_lost_or_is_over_is_added_again(self, queue: RedisQueue) -> None:
        queue.enqueue_enlisting(7, 500)
        (job,) = self.waiting(queue, BULK)
        assert (job.func_name, job.args) == ("backend.worker.enlist", [7])
        assert callable(job.func)
        for over in (JobStatus.FINISHED, JobStatus.FAILED):
            queue.connection.delete("rq:queue:prelabel-bulk")
            job.set_status(over)
            queue.connection.expire(job.key, 1)
            queue.enqueue_enlisting(7, 500)
            assert len(self.waiting(queue, BULK)) == 1
            assert queue.connection.ttl(job.key) == -1  # it does not go with the old one
        job.set_status(JobStatus.STARTED)
        queue.connection.delete("rq:queue:prelabel-bulk")
        queue.enqueue_enlisting(7, 500)
        assert self.waiting(queue, BULK) == []
        queue.enqueue_enlisting(7, 1000)
        assert len(self.waiting(queue, BULK)) == 1

    def test_a_message_for_reading_on_whose_worker_was_killed_is_replaced(self, queue: RedisQueue) -> None:
        queue.enqueue_enlisting(7, 500)
        (job,) = self.waiting(queue, BULK)
        queue.connection.delete("rq:queue:prelabel-bulk")
        job.set_status(JobStatus.STARTED)
        for begun_s, messages in ((1, 0), (60, 1)):  # the first sign may be under way; then there should be one
            queue.connection.hset(job.key, "started_at", utcformat(datetime.now(UTC) - timedelta(seconds=begun_s)))
            with queue.at_work(job.id):
                queue.enqueue_enlisting(7, 500)
                assert self.waiting(queue, BULK) == []
            queue.enqueue_enlisting(7, 500)
            assert len(self.waiting(queue, BULK)) == messages

    def scheduled(self, queue: RedisQueue) -> list[Job]:
        bulk = RqQueue(BULK, connection=queue.connection, serializer=JSONSerializer)
        return [job for job_id in bulk.scheduled_job_registry.get_job_ids() if (job := bulk.fetch_job(job_id))]

    def test_one_write_back_of_a_project_waits_at_a_time_and_only_for_a_while(self, queue: RedisQueue) -> None:
        for _ in range(3):
            queue.enqueue_write_back(1)
        queue.enqueue_write_back(2)
        assert sorted(job.args for job in self.scheduled(queue)) == [[1], [2]]
        queue.write_back_started(1)
        queue.enqueue_write_back(1)
        assert sorted(job.args for job in self.scheduled(queue)) == [[1], [1], [2]]
        assert 0 < int(queue.connection.ttl("prelabel:write-back:1")) <= 60

    def test_one_step_of_a_job_waits_at_a_time_and_only_for_a_while(self, queue: RedisQueue) -> None:
        queue.enqueue_batch_step(1, delay_s=30)
        queue.enqueue_batch_step(1)
        assert [job.args for job in self.scheduled(queue)] == [[1, 0]]
        assert 60 < int(queue.connection.ttl("prelabel:batch-step:1")) <= 90
        queue.batch_step_started(1)
        queue.enqueue_batch_step(1, after=7)
        (job,) = self.waiting(queue, BULK)
        assert (job.func_name, job.args, job.timeout) == ("backend.worker.batch_step", [1, 7], CHUNK_S)

    def test_a_worker_tells_what_it_was_started_with_until_it_ends(self, queue: RedisQueue) -> None:
        worker = FingerprintedWorker([BULK], connection=queue.connection, serializer=JSONSerializer)
        worker.started_with = {"PRELABEL_MODEL": "1234abcd"}
        Worker([BULK], connection=queue.connection).register_birth()  # of a release that tells nothing
        worker.register_birth()
        assert queue.workers_started_with() == [worker.started_with]
        worker.register_death()
        queue.connection.delete(worker.key)
        assert queue.workers_started_with() == []

    def test_a_writer_whose_lock_ran_out_is_told_and_takes_none_away(self, queue: RedisQueue) -> None:
        with queue.writer_lock(1) as late:
            assert late is not None
            queue.connection.delete("prelabel:writer:1")
            with queue.writer_lock(1) as other:
                assert other is not None
                with pytest.raises(QueueError, match="another worker"):
                    late()
                other()
        with queue.writer_lock(1) as keep:
            assert keep is not None

    def test_the_lock_lasts_while_its_writer_lives_however_long_one_call_takes(
        self, queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rq_queue, "_WRITER_LOCK_S", 0.6)
        with queue.writer_lock(1) as keep:
            assert keep is not None
            time.sleep(1.5)
            with queue.writer_lock(1) as second:
                assert second is None
            keep()

    def test_a_dead_writer_s_lock_ends_by_itself(self, queue: RedisQueue, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rq_queue, "_WRITER_LOCK_S", 0.2)
        queue.connection.lock("prelabel:writer:1", timeout=rq_queue._WRITER_LOCK_S).acquire(blocking=False)
        with queue.writer_lock(1) as at_once:
            assert at_once is None
        time.sleep(0.3)
        with queue.writer_lock(1) as later:
            assert later is not None

    def test_failed_messages_are_told_by_class_and_without_their_words(self, queue: RedisQueue) -> None:
        texts = {
            "a": "Traceback:\n  File x\nbackend.worker.MessageFailed: StoreError\n",
            "b": "ValueError: SECRET of a task\n",
            "c": "json.decoder.JSONDecodeError: SECRET\nof two lines, and: more\n",
            "d": "",
            "e": "redis.exceptions.ConnectionError: SECRET",
        }
        bulk = RqQueue(BULK, connection=queue.connection, serializer=JSONSerializer)
        for name, text in texts.items():
            job = bulk.create_job("backend.worker.annotate_chunk", job_id=name)
            job.save()
            with queue.connection.pipeline() as pipeline:
                job._handle_failure(text, pipeline)
                pipeline.execute()
        failures = queue.failures()
        assert failures == {"StoreError": 1, "ValueError": 1, "JSONDecodeError": 1, "unknown": 1, "ConnectionError": 1}
        assert queue.levels()["bulk"].failed == 5

    def test_the_age_of_the_first_message_and_the_workers_of_a_queue(self, queue: RedisQueue) -> None:
        for number in (1, 2):
            queue.enqueue_chunk(number, [1], interactive=False)
        (first, _) = self.waiting(queue, BULK)
        long_ago = datetime.now(UTC) - timedelta(seconds=90)
        queue.connection.hset(first.key, "enqueued_at", utcformat(long_ago))
        Worker([BULK], connection=queue.connection, serializer=JSONSerializer).register_birth()
        levels = queue.levels()
        assert (levels["bulk"].waiting, levels["bulk"].workers, levels["interactive"].workers) == (2, 1, 0)
        assert levels["bulk"].oldest_s == pytest.approx(90, abs=5)

    def test_what_the_server_says_of_itself(self, queue: RedisQueue) -> None:
        server = queue.server()
        assert (server.keeps, server.evicts) == (False, False)  # as the tests start it
        queue.connection.config_set("maxmemory", "100mb")
        queue.connection.config_set("maxmemory-policy", "allkeys-lru")
        queue.connection.config_set("appendonly", "yes")
        try:
            assert (queue.server().keeps, queue.server().evicts) == (True, True)
        finally:
            queue.connection.config_set("appendonly", "no")
            queue.connection.config_set("maxmemory-policy", "noeviction")
            queue.connection.config_set("maxmemory", "0")

    def test_a_server_that_may_not_be_asked(self, queue: RedisQueue) -> None:
        everything = {"keys": ["*"], "channels": ["*"], "commands": ["+@all", "-info"]}
        queue.connection.acl_setuser("curious", enabled=True, passwords=["+a-password"], **everything)
        known = queue.connection.connection_pool.connection_kwargs
        asking = RedisQueue(f"redis://curious:a-password@{known['host']}:{known['port']}/0")
        assert (asking.server().keeps, asking.server().evicts) == (None, None)
        asking.close()
        queue.connection.acl_deluser("curious")

    def test_a_message_that_a_dead_worker_has_in_hand_names_no_job(self, queue: RedisQueue) -> None:
        in_hand = RqQueue(BULK, connection=queue.connection, serializer=JSONSerializer).started_job_registry.key
        queue.connection.zadd(in_hand, {"job-7-abc:execution": 2_000_000_000, "job-8-abc:execution": 2_000_000_000})
        with queue.at_work("job-7-abc"):
            assert queue.jobs_named() == {7}
        assert queue.jobs_named() == set()

    def test_messages_of_other_kinds_name_no_job(self, queue: RedisQueue) -> None:
        queue.enqueue_sync(1)
        queue.enqueue_auto_start(1, [5])
        queue.enqueue_check(1)
        assert queue.jobs_named() == set()

    def test_a_sign_of_life_ends_soon_after_its_process(self, queue: RedisQueue) -> None:
        with queue.at_work("a message"):
            assert 0 < int(queue.connection.ttl("prelabel:at-work:a message")) <= redis_signs.SIGN_S

    def test_a_sign_of_life_is_given_again_to_an_emptied_redis(
        self, queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redis_signs, "RENEW_S", 0.1)
        with queue.at_work("a message"):
            queue.connection.flushdb()
            time.sleep(0.5)
            assert queue.silent(["a message"]) == set()

    def test_a_worker_registers_again_with_an_emptied_redis(self, queue: RedisQueue) -> None:
        worker = FingerprintedWorker([BULK], connection=queue.connection, serializer=JSONSerializer)
        worker.started_with = {"PRELABEL_MODEL": "1234abcd"}
        worker.register_birth()
        queue.connection.flushdb()
        worker.heartbeat()
        assert queue.workers() == 1
        assert queue.workers_started_with() == [worker.started_with]

    def test_a_worker_without_a_fresh_heartbeat_is_not_counted(self, queue: RedisQueue) -> None:
        workers = [Worker([BULK], connection=queue.connection, serializer=JSONSerializer) for _ in range(2)]
        for worker in workers:
            worker.register_birth()
        assert queue.workers() == 2
        long_ago = datetime.now(UTC) - timedelta(seconds=rq_queue._ALIVE_S + 1)
        queue.connection.hset(workers[0].key, "last_heartbeat", utcformat(long_ago))
        assert queue.workers() == 1


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    port = free_port()
    with pytest.raises(QueueError) as raised:
        RedisQueue(f"redis://ann:pa55word@127.0.0.1:{port}/3").ping()
    assert f"Redis cannot be used at 127.0.0.1:{port}/3 (ConnectionError): check REDIS_URL" in str(raised.value)
    assert "pa55word" not in str(raised.value)


@pytest.mark.parametrize("url", ["", "nonsense", "http://localhost", "redis://localhost:port"])
def test_a_url_that_cannot_be_used(url: str) -> None:
    with pytest.raises(QueueError, match="REDIS_URL"):
        RedisQueue(url)
