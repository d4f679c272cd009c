"""Projects with `USE_TZ = False`: moments are naive, in the time of `TIME_ZONE`."""

from __future__ import annotations

import datetime as dt
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.test import Client
from django.utils import timezone
from rq.executions import Execution as RQExecution
from rq.worker import BaseWorker

from continuations.contrib.prometheus import ContinuationCollector
from continuations.liveness import boot_id, host, worker_will_tell
from continuations.models import Continuation, Execution
from continuations.retention import prune_in_passing
from continuations.testing import run_enqueued
from tests.admin import states
from tests.admin.pages import LIST, text_of
from tests.processes import Worker, eventually
from tests.shop.jobs import Count
from tests.shop.models import Applied

DAY = dt.timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def naive(settings: Any) -> None:
    settings.USE_TZ = False
    assert timezone.is_naive(timezone.now())


def status(continuation: Continuation) -> str:
    continuation.refresh_from_db()
    return continuation.status


def ended(age: dt.timedelta) -> Continuation:
    moment = timezone.now() - age
    return Continuation.objects.create(
        job_path="tests.shop.jobs.Count",
        queue_name="default",
        arguments_json="[]",
        status="succeeded",
        created_at=moment,
        finished_at=moment,
        anchor_open=False,
    )


@pytest.mark.parametrize(
    "run_after",
    [
        dt.datetime(2030, 1, 1, 12),
        # An hour earlier by the clocks of Berlin, which is the project's time zone.
        dt.datetime(2030, 1, 1, 11, tzinfo=dt.UTC),
    ],
    ids=["naive", "aware"],
)
def test_a_moment_to_run_after_is_one_of_the_projects_time(run_after: dt.datetime) -> None:
    continuation = Count.using(run_after=run_after).enqueue("a", 1)
    continuation.refresh_from_db()
    assert continuation.run_after == dt.datetime(2030, 1, 1, 12)
    assert run_enqueued(due_only=True) == 0


def test_with_time_zones_a_naive_moment_is_refused(settings: Any) -> None:
    settings.USE_TZ = True
    with pytest.raises(TypeError, match="expected a timedelta or an aware datetime"):
        Count.using(run_after=dt.datetime(2030, 1, 1, 12)).enqueue("a", 1)
    with pytest.raises(TypeError, match="expected a timedelta or an aware datetime"):
        Continuation.objects.prune(dt.datetime(2030, 1, 1, 12))


@pytest.mark.parametrize("as_moment", [False, True])
def test_what_ended_long_ago_is_pruned(as_moment: bool) -> None:
    young, _ = ended(1 * DAY), ended(40 * DAY)
    assert Continuation.objects.prune(timezone.now() - 30 * DAY if as_moment else 30 * DAY) == 1
    assert Continuation.objects.get() == young


def test_workers_prune_what_the_setting_says(settings: Any, redis_url: str) -> None:
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "RETENTION": 30 * DAY}
    ended(40 * DAY)
    with redis.Redis.from_url(redis_url) as client:
        prune_in_passing(client)
    assert not Continuation.objects.exists()


@pytest.mark.parametrize("state", [states.running, states.backing_off, states.failed, states.succeeded])
def test_the_admin_shows_continuations(state: Callable[[], Continuation], admin_client: Client) -> None:
    row = state()
    moment = f"{row.created_at:%H:%M:%S}"
    assert moment in text_of(admin_client, row) + admin_client.get(LIST).content.decode()
    assert str(row.pk) in admin_client.get(f"{LIST}live/?ids={row.pk}").json()["rows"]


def test_metrics_are_collected() -> None:
    states.follow_up_failed()
    samples = {family.name: family.samples for family in ContinuationCollector().collect()}
    assert [sample.value for sample in samples["continuations_needing_attention"]] == [1]


@pytest.mark.parametrize(("age", "will_tell"), [(dt.timedelta(hours=-1), True), (dt.timedelta(hours=1), False)])
def test_a_worker_that_is_older_than_the_execution_will_tell_how_it_ended(
    redis_url: str, age: dt.timedelta, will_tell: bool
) -> None:
    execution = Execution(
        continuation=Continuation(),
        number=1,
        worker="worker",
        host=host(),
        boot=boot_id(),
        pid=2**22 + 1,
        rq_job_id="c-1",
        rq_execution_id="1",
        started_at=timezone.now(),
    )
    with redis.Redis.from_url(redis_url) as client:
        birth = (dt.datetime.now(dt.UTC) + age).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        worker_key = f"{BaseWorker.redis_worker_namespace_prefix}worker"
        client.hset(worker_key, mapping={"pid": os.getpid(), "birth": birth})
        client.hset(RQExecution("1", "c-1", client).key, "id", "1")
        assert worker_will_tell(execution, client) is will_tell


@pytest.mark.django_db(transaction=True)
@pytest.mark.workers
def test_workers_recover_pause_rest_and_prune(start_worker: Callable[..., Worker]) -> None:
    old, n = ended(40 * DAY), 300
    environ = {"DJANGO_SETTINGS_MODULE": "tests.naive_settings"}
    first = start_worker("default", worker_class=None, environ=environ)
    continuation = Count.enqueue("a", n)
    eventually(lambda: Applied.objects.filter(run="a").count() > 20, first.output)
    first.signal_all(signal.SIGKILL)
    first.wait()
    second = start_worker("default", worker_class=None, environ=environ)
    eventually(lambda: continuation.execution_records.count() > 1, second.output)
    continuation.pause()
    eventually(lambda: status(continuation) == "paused", second.output)
    continuation.resume()
    later = Count.using(run_after=timezone.now() + dt.timedelta(seconds=2)).enqueue("b", 1)
    eventually(lambda: status(continuation) == "succeeded", second.output)
    eventually(lambda: status(later) == "succeeded", second.output)
    assert later.started_at - later.created_at > dt.timedelta(seconds=1)
    assert not Continuation.objects.filter(pk=old.pk).exists()
