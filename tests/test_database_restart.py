"""A PostgreSQL that is stopped and started while a job runs. Of the test's own: the one of the others is left alone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from continuations.delivery import queue_named
from continuations.models import Continuation, StepRecord
from continuations.outages import PAUSES
from tests.chaos.servers import PostgreSQL, postgresql_binaries
from tests.processes import Worker, eventually, tell
from tests.proxy import connected_to
from tests.shop.jobs import Count, HoldsOn
from tests.shop.models import Applied

pytestmark = [
    pytest.mark.workers,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(postgresql_binaries() is None, reason="PostgreSQL's programs are not on this machine"),
]


# Nothing reaches the disk by itself for as long as the server lets one say.
FORGETFUL = "-c fsync=off -c wal_writer_delay=10s -c wal_level=minimal -c max_wal_senders=0"


@pytest.fixture
def server(transactional_db: None) -> Iterator[PostgreSQL]:
    folder = Path(tempfile.mkdtemp(prefix="continuations-postgresql-"))
    made = PostgreSQL(folder, settings=FORGETFUL)
    with connected_to(HOST="127.0.0.1", PORT=made.port, NAME="chaos", USER="postgres", PASSWORD=""):
        call_command("migrate", verbosity=0)
        yield made
    made.stop("immediate")
    shutil.rmtree(folder)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_database_that_restarts_in_the_middle_of_a_step_costs_nothing(
    server: PostgreSQL, start_worker: Callable[..., Worker], mode: str
) -> None:
    """§6: with a goodbye to its sessions, and as after a crash."""
    worker = start_worker("default", worker_class=None)
    continuation = Count.enqueue("a", 300)
    eventually(lambda: Applied.objects.count() > 20, worker.output)
    server.stop(mode)
    connection.close()
    # Longer than a statement of ours would be repeated.
    eventually(lambda: worker.output().count("could not be written") > len(PAUSES), worker.output)
    server.start()
    eventually(lambda: Continuation.objects.get().status == "succeeded", worker.output)
    items = list(Applied.objects.order_by("pk").values_list("item", flat=True))
    assert items == ["first", *map(str, range(300))]
    continuation.refresh_from_db()
    first, second = continuation.execution_records.all()
    assert [(each.outcome, each.reason) for each in (first, second)] == [("interrupted", "database"), ("succeeded", "")]
    assert (continuation.crashes, continuation.counted_resumptions) == (0, 0)
    assert first.finished_at is not None
    tell(f"database restarted ({mode}): outcome to next execution", first.finished_at, second.started_at)


@pytest.mark.parametrize(
    ("steps_before", "outcomes"),
    [
        (False, [("succeeded", "")]),
        (True, [("interrupted", "database"), ("succeeded", "")]),
    ],
    ids=["a claim", "the begin of a step"],
)
def test_what_nobody_waited_for_is_done_again_at_once_if_the_server_has_lost_it(
    server: PostgreSQL,
    start_worker: Callable[..., Worker],
    steps_before: bool,
    outcomes: list[tuple[str, str]],
) -> None:
    """A claim and the begin of a step do not wait for the disk. That they are gone is no proof of another owner."""
    redis = queue_named("default").connection
    worker = start_worker("default", worker_class=None)
    continuation = HoldsOn.enqueue("a", steps_before=steps_before)
    eventually(lambda: redis.get("a:held") == b"1", worker.output)
    server.stop("immediate")
    connection.close()
    server.start()
    assert (Continuation.objects.get().status, StepRecord.objects.filter(name="hold").exists()) == (
        "running" if steps_before else "enqueued",
        False,
    )
    went_on = timezone.now()
    redis.rpush("a:go on", 1, 1)
    eventually(lambda: Continuation.objects.get().status == "succeeded", worker.output)
    continuation.refresh_from_db()
    found = [(each.outcome, each.reason) for each in continuation.execution_records.all()]
    assert (found, continuation.result) == (outcomes, 2)
    assert (continuation.crashes, continuation.counted_resumptions) == (0, 0)
    assert "executed elsewhere" not in worker.output()
    last = continuation.execution_records.last()
    assert last is not None
    tell("server crashed: next write to next execution", went_on, last.started_at)
