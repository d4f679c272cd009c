"""Statements that PostgreSQL keeps parsed and planned, and what becomes of them behind a pooler."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from continuations import ContinuableJob, Step, prepared
from continuations.execution import execute
from continuations.models import Continuation
from continuations.prepared import THRESHOLD, Prepared
from continuations.workplace import Workplace
from tests.shop.models import Applied

pytestmark = pytest.mark.django_db(transaction=True)


class Job(ContinuableJob):
    checkpoint_interval = 0

    def perform(self, n: int) -> int:
        self.n = n
        return self.step(self.count)  # type: ignore[no-any-return]

    def count(self, step: Step) -> int:
        for i in step.iterate(range(self.n)):
            Applied.objects.create(item=str(i))
        return self.n


class Blocks(Job):
    # No beats beside the blocks.
    checkpoint_interval = 60

    def count(self, step: Step) -> int:
        for i in step.iterate(range(self.n)):
            with step.atomic():
                Applied.objects.create(item=str(i))
        return self.n


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """A connection on which nothing was prepared, with nothing known of poolers."""
    connection.close()
    prepared._plain.clear()
    yield
    prepared._plain.clear()
    connection.close()


def run(job: type[ContinuableJob], n: int) -> Continuation:
    row = job.enqueue(n)
    execute(row.pk, 0, Workplace())
    row.refresh_from_db()
    assert (row.status, row.result) == ("succeeded", n)
    return row


def statements(job: type[ContinuableJob], n: int) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        run(job, n)
    return [query["sql"] for query in queries]


def kept(found: list[str], word: str) -> list[str]:
    return [sql for sql in found if sql.startswith(f"{word} ")]


def test_parameters_get_the_places_that_a_server_counts() -> None:
    by_order = Prepared("end", "UPDATE t SET a = %s, b = %s WHERE c = %s")
    by_name = Prepared("beat", "UPDATE t SET a = %(a)s, b = %(now)s, c = %(now)s WHERE d = %(d)s")
    assert by_order.prepare.endswith("AS UPDATE t SET a = $1, b = $2 WHERE c = $3")
    assert by_order.execute == f"EXECUTE {by_order.name} (%s, %s, %s)"
    assert by_name.prepare.endswith("AS UPDATE t SET a = $1, b = $2, c = $2 WHERE d = $3")
    assert by_name.execute == f"EXECUTE {by_name.name} (%(a)s, %(now)s, %(d)s)"


def test_statements_of_other_versions_have_other_names() -> None:
    """Behind a pooler they may meet in one session."""
    assert Prepared("beat", "UPDATE a").name != Prepared("beat", "UPDATE b").name


@pytest.mark.skipif(connection.vendor == "postgresql", reason="there it is otherwise")
def test_elsewhere_nothing_is_prepared() -> None:
    found = statements(Job, 3 * THRESHOLD)
    assert kept(found, "PREPARE") + kept(found, "EXECUTE") == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="others have no such statements, or keep them themselves")
class TestOnPostgreSQL:
    def test_a_statement_is_prepared_once_it_was_used_a_few_times(self) -> None:
        found = statements(Job, 3 * THRESHOLD)
        assert len(kept(found, "PREPARE")) == 1
        assert "continuations_beat_" in kept(found, "PREPARE")[0]
        # The first movement and each item are beats.
        assert len(kept(found, "EXECUTE")) == 2 * THRESHOLD
        assert list(Applied.objects.order_by("pk").values_list("item", flat=True)) == [
            str(i) for i in range(3 * THRESHOLD)
        ]

    def test_a_short_job_prepares_nothing(self) -> None:
        """A horse has a connection of its own, and most run a few statements once."""
        assert kept(statements(Job, 1), "PREPARE") == []

    def test_all_that_happens_for_each_job_is_prepared_in_a_worker_that_goes_on(self) -> None:
        for _ in range(THRESHOLD + 1):
            run(Job, 1)
        found = statements(Job, 1)
        assert kept(found, "PREPARE") == []
        assert [sql.split()[1].rpartition("_")[0] for sql in kept(found, "EXECUTE")] == [
            "continuations_insert",
            "continuations_claim",
            "continuations_step_begun",
            "continuations_beat",
            "continuations_step_completed",
            "continuations_end",
        ]

    def test_a_new_connection_begins_anew(self) -> None:
        run(Job, 3 * THRESHOLD)
        connection.close()
        assert kept(statements(Job, 1), "EXECUTE") == []

    def test_inside_a_transaction_nothing_is_prepared(self) -> None:
        """One that was refused would take the transaction with it."""
        for _ in range(3):
            with transaction.atomic():
                for _ in range(THRESHOLD):
                    Job.enqueue(1)
        assert kept(statements(Blocks, 3 * THRESHOLD), "EXECUTE") == []

    def test_a_session_that_has_forgotten_them_costs_nothing(self) -> None:
        """As behind a pooler that gives each transaction another session."""
        run(Job, 3 * THRESHOLD)
        with connection.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")
        Applied.objects.all().delete()
        found = statements(Job, 2 * THRESHOLD)
        assert len(kept(found, "EXECUTE")) == 1
        assert Applied.objects.count() == 2 * THRESHOLD
        assert kept(statements(Job, 2 * THRESHOLD), "EXECUTE") == []

    def test_a_session_that_knows_them_already_costs_nothing(self) -> None:
        run(Job, 3 * THRESHOLD)
        prepared._uses.clear()
        found = statements(Job, 3 * THRESHOLD)
        assert len(kept(found, "PREPARE")) == 1
        assert kept(found, "EXECUTE") == []

    def test_a_column_that_has_changed_meanwhile_costs_nothing(self) -> None:
        """A migration runs while a worker is connected."""
        for _ in range(THRESHOLD + 2):
            run(Job, 1)
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE continuations_continuation ALTER COLUMN queue_name TYPE varchar(101)")
        try:
            run(Job, 1)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE continuations_continuation ALTER COLUMN queue_name TYPE varchar(100)")

    def test_django_can_be_told_of_a_pooler(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
        assert kept(statements(Job, 3 * THRESHOLD), "EXECUTE") == []
