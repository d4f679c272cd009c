"""RQ's cron scheduler with a key: a run that is due while the last one goes on does not begin a second one."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from rq.cron import get_cron_job_ids
from rq.job import Job

from continuations.models import Continuation
from tests.processes import Worker, eventually
from tests.shop.models import Applied

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.workers]


def test_runs_that_cron_starts_do_not_overlap(start_worker: Any, redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    workers: list[Worker] = [start_worker("imports"), start_worker("default")]
    scheduler = start_worker("tests.shop.schedule", command="rqcron", worker_class=None)

    def answers() -> list[str]:
        """What the function that cron calls returned, each time that it has."""
        jobs = Job.fetch_many(get_cron_job_ids("tests.shop.schedule.count", client), connection=client)
        return [job.return_value() for job in jobs if job is not None and job.is_finished]

    def told() -> str:
        return "\n".join(process.output() for process in (scheduler, *workers))

    eventually(lambda: len(answers()) >= 3, told)
    first = Continuation.objects.get()
    assert set(answers()) == {str(first.pk)}
    assert first.key == "count"
    assert Applied.objects.filter(item="first").count() == 1
    first.cancel()
    # The key is free, and the next run begins.
    eventually(lambda: Continuation.objects.count() == 2, told)
    second = Continuation.objects.exclude(pk=first.pk).get()
    eventually(lambda: Applied.objects.filter(item="first").count() == 2, told)
    second.cancel()
    client.close()
