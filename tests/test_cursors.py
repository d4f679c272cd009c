"""The cursor that an execution keeps for its own statements."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, InterfaceError, connection
from django.test.utils import CaptureQueriesContext

from continuations import ContinuableJob, Step
from continuations.cursors import Cursor
from continuations.outages import is_away
from continuations.testing import run_enqueued

pytestmark = pytest.mark.django_db(transaction=True)


def one(cursor: Cursor) -> int:
    with cursor as opened:
        opened.execute("SELECT 1")
        (row,) = opened.fetchall()
    return int(row[0])


def test_it_is_kept_from_one_statement_to_the_next() -> None:
    cursor = Cursor(connection)
    with cursor as first:
        pass
    with cursor as second:
        assert second is first


def test_a_connection_that_was_closed_is_opened_again() -> None:
    cursor = Cursor(connection)
    assert one(cursor) == 1
    connection.close()
    assert one(cursor) == 1


def test_after_an_error_there_is_another() -> None:
    cursor = Cursor(connection)
    with pytest.raises(DatabaseError), cursor as first:
        first.execute("SELECT nothing FROM nowhere")
    with cursor as second:
        assert second is not first
    assert one(cursor) == 1


def test_a_connection_that_the_driver_has_closed_is_an_error_of_django_and_no_other() -> None:
    if connection.vendor == "sqlite":
        # A file has no connection to lose.
        return
    cursor = Cursor(connection)
    assert one(cursor) == 1
    connection.connection.close()
    with pytest.raises((DatabaseError, InterfaceError)):
        one(cursor)
    assert is_away(connection)
    assert one(cursor) == 1


def test_whoever_begins_to_log_queries_sees_those_that_come_then() -> None:
    cursor = Cursor(connection)
    assert one(cursor) == 1
    with CaptureQueriesContext(connection) as queries:
        assert one(cursor) == 1
    assert [query["sql"] for query in queries] == ["SELECT 1"]
    before = len(connection.queries_log)
    assert one(cursor) == 1
    assert len(connection.queries_log) == before


class Closes(ContinuableJob):
    checkpoint_interval = 0

    def perform(self) -> int:
        self.step(self.walk)
        return self.executions

    def walk(self, step: Step) -> None:
        for _ in step.iterate(range(5)):
            connection.close()


def test_a_job_that_closes_its_connection_at_each_item_goes_on() -> None:
    continuation = Closes.enqueue()
    run_enqueued()
    continuation.refresh_from_db()
    assert (continuation.status, continuation.result) == ("succeeded", 1)
    assert continuation.steps.get().cursor == 5
