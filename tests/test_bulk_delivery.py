"""`enqueue_many` and a real Valkey: what arrives there, in which order, in how many round trips."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import math
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import django_rq
import pytest
from django.utils import timezone
from redis.exceptions import RedisError
from rq import RateLimit
from rq.job import Job, JobStatus

from continuations import delivery
from continuations.delivery import BATCH, RQDelivery
from continuations.models import Continuation
from tests.processes import Worker, eventually
from tests.shop import jobs
from tests.shop.jobs import Count
from tests.shop.models import Applied

pytestmark = [pytest.mark.workers, pytest.mark.django_db(transaction=True)]

StartWorker = Callable[..., Worker]


def redis() -> Any:
    return django_rq.get_connection("default")


def queued(name: str = "default") -> list[str]:
    return django_rq.get_queue(name).job_ids


def ids(made: list[Continuation]) -> list[str]:
    return [each.rq_job_id for each in made]


def calls(count: int) -> Iterator[tuple[str, int]]:
    return ((f"run {number}", 1) for number in range(count))


def status(continuation: Continuation) -> str:
    continuation.refresh_from_db()
    return continuation.status


def test_deliveries_wait_in_the_order_of_the_calls(redis_url: str) -> None:
    first = Count.enqueue("a", 1)
    made = Count.enqueue_many(calls(BATCH + 10))
    assert queued() == [first.rq_job_id, *ids(made)]


def test_the_first_call_runs_first_at_the_front_too(redis_url: str) -> None:
    waiting = Count.enqueue("a", 1)
    made = Count.using(at_front=True).enqueue_many(calls(BATCH + 10))
    assert queued() == [*ids(made), waiting.rq_job_id]


def test_a_delivery_of_many_is_like_one_that_was_enqueued_alone(redis_url: str) -> None:
    options: dict[str, Any] = {"job_timeout": 77, "meta": {"run": "b"}, "on_success": "tests.shop.jobs.succeeded"}
    alone = Count.using(rq_options=options).enqueue("a", 1)
    (made,) = Count.using(rq_options=options).enqueue_many([("a", 1)])

    def stored(continuation: Continuation) -> dict[str, Any]:
        found = Job.fetch(continuation.rq_job_id, connection=redis()).to_dict()
        differs = {"created_at", "enqueued_at", "data", "description"}
        return {name: value for name, value in found.items() if name not in differs}

    assert stored(made) == stored(alone)
    assert Job.fetch(made.rq_job_id, connection=redis()).args == (str(made.pk),)


def test_deliveries_run(redis_url: str, start_worker: StartWorker) -> None:
    made = Count.enqueue_many(calls(3))
    worker = start_worker("default", "--burst")
    assert worker.wait() == 0
    assert [status(each) for each in made] == ["succeeded"] * 3
    assert Applied.objects.filter(item="0").count() == 3


def test_deliveries_for_later_are_scheduled(redis_url: str) -> None:
    moment = (timezone.now() + dt.timedelta(hours=1)).replace(microsecond=0)
    made = Count.using(run_after=moment).enqueue_many(calls(3))
    assert queued() == []
    registry = django_rq.get_queue("default").scheduled_job_registry
    assert set(registry.get_job_ids()) == set(ids(made))
    assert registry.get_scheduled_time(made[0].rq_job_id) == moment


def test_a_time_that_has_come_is_no_hindrance(redis_url: str) -> None:
    made = Count.using(run_after=dt.timedelta(seconds=-1)).enqueue_many(calls(3))
    assert queued() == ids(made)


def test_a_queue_without_workers_is_mentioned_once(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    made = Count.enqueue_many(calls(BATCH + 1))
    (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert f"{made[0]} waits on queue 'default', but no worker listens there" in record.getMessage()


def test_a_synchronous_queue_runs_them_in_the_caller(redis_url: str) -> None:
    made = Count.using(queue_name="sync").enqueue_many(calls(3))
    assert [status(each) for each in made] == ["succeeded"] * 3


def test_round_trips_are_bounded(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Valkey's own count: what stands outside a MULTI is a round trip of its own."""
    count = 10_000
    batches = math.ceil(count / BATCH)
    # Connections, versions and scripts are known, and the warning was given, however slow this machine is.
    monkeypatch.setattr(delivery, "LISTENER_WARNING_INTERVAL", 1e9)
    Count.enqueue_many(calls(1))
    redis().config_resetstat()
    Count.enqueue_many(calls(count))
    stats = redis().info("commandstats")
    made = {name.removeprefix("cmdstat_"): found["calls"] for name, found in stats.items()}
    assert made["exec"] == made["multi"] == batches
    inside = {"hset": 2 * count, "rpush": count}
    assert {name: made[name] for name in inside} == inside
    outside = set(made) - set(inside) - {"exec", "multi", "sadd"}
    assert sum(made[name] for name in outside) < 10
    assert len(queued()) == count + 1


# Dependencies and limits


def test_many_that_depend_on_another_job_wait_for_it(redis_url: str, start_worker: StartWorker) -> None:
    queue = django_rq.get_queue("default")
    other = queue.enqueue(jobs.dependent, "b")
    redis().config_resetstat()
    made = Count.using(rq_options={"depends_on": other}).enqueue_many(calls(30))
    # One to read the dependencies, and one for all.
    assert redis().info("commandstats")["cmdstat_exec"]["calls"] == 2
    assert queued() == [other.id]
    assert set(queue.deferred_job_registry.get_job_ids()) == set(ids(made))
    assert {Job.fetch(each, connection=redis()).get_status() for each in ids(made)} == {JobStatus.DEFERRED}
    start_worker("default", "--burst").wait()
    assert {status(each) for each in made} == {"succeeded"}


def test_many_that_depend_on_what_has_finished_wait_for_nothing(redis_url: str, start_worker: StartWorker) -> None:
    other = django_rq.get_queue("default").enqueue(jobs.dependent, "b")
    start_worker("default", "--burst").wait()
    made = Count.using(rq_options={"depends_on": [other]}).enqueue_many(calls(3))
    assert queued() == ids(made)


def test_many_with_a_limit_wait_in_line_in_the_order_of_the_calls(redis_url: str, start_worker: StartWorker) -> None:
    made = Count.using(rq_options={"rate_limit": RateLimit("shops", 2)}).enqueue_many(calls(5))
    assert queued() == ids(made)[:2]
    assert [each.decode() for each in redis().zrange("rq:rl:shops:rate_limited", 0, -1)] == ids(made)[2:]
    start_worker("default", "--burst").wait()
    assert [status(each) for each in made] == ["succeeded"] * 5
    assert redis().zcard("rq:rl:shops:allowed") == 0


# Lost


def test_what_redis_did_not_take_is_delivered_by_recovery(redis_url: str, settings: Any) -> None:
    up = settings.RQ_QUEUES
    settings.RQ_QUEUES = {name: {**queue, "URL": "redis://127.0.0.1:1/0"} for name, queue in up.items()}
    made = Count.enqueue_many(calls(5))
    settings.RQ_QUEUES = up
    assert queued() == []
    Continuation.objects.update(check_after=timezone.now())
    Continuation.objects.recover()
    assert set(queued()) == {f"{each}-1" for each in ids(made)}


class Deaf:
    """A proxy in front of Valkey that passes the first EXEC on, and then hangs up instead of answering."""

    def __init__(self, port: int) -> None:
        self._upstream = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.has_hung_up = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._upstream) as server:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for source, target in ((server, client), (client, server)):
                    if source not in ready:
                        continue
                    if not (message := source.recv(2**16)):
                        return
                    target.sendall(message)
                    if source is client and message.endswith(b"EXEC\r\n") and not self.has_hung_up:
                        self.has_hung_up = True
                        server.recv(2**16)
                        return


@pytest.mark.parametrize("at_front", [False, True])
def test_a_batch_whose_answer_was_lost_is_delivered_once(
    valkey: Any, redis_url: str, settings: Any, at_front: bool
) -> None:
    """redis-py would send it again by itself."""
    up = settings.RQ_QUEUES
    proxy = Deaf(valkey.port)
    settings.RQ_QUEUES = {name: {**queue, "URL": f"redis://127.0.0.1:{proxy.port}/0"} for name, queue in up.items()}
    try:
        made = Count.using(at_front=at_front).enqueue_many(calls(BATCH + 10))
    finally:
        proxy.close()
    settings.RQ_QUEUES = up
    assert proxy.has_hung_up
    assert queued() == ids(made)


def test_a_batch_is_pushed_as_a_whole_or_not_at_all(redis_url: str) -> None:
    """So that recovery knows each by its RQ job."""
    made = [Count.using(queue_name="slow").enqueue(*call) for call in calls(3)]
    redis().flushall()
    # No memory for the values: Valkey refuses the MULTI.
    redis().config_set("maxmemory", 1)
    try:
        with pytest.raises(RedisError):
            RQDelivery().push_many(made)
    finally:
        redis().config_set("maxmemory", 0)
    assert redis().keys("rq:job:*") == []


def test_the_rest_of_a_burst_is_not_waited_for(start_worker: StartWorker) -> None:
    """Workers begin with the first batch."""
    worker = start_worker("default")
    made = Count.enqueue_many(calls(3))
    eventually(lambda: all(status(each) == "succeeded" for each in made), worker.output)
