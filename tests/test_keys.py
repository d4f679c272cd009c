"""Q3: while an unfinished continuation has the key, `enqueue` returns that one, whoever enqueues at the same moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction

from continuations import ContinuableJob, KeyConflictError, discard_on
from continuations.execution import execute
from continuations.keys import take_key
from continuations.models import Continuation, Execution
from continuations.testing import MemoryDelivery, run_until_finished
from continuations.workplace import Workplace
from tests.processes import PATIENCE, database_url, eventually
from tests.shop.models import Product

pytestmark = pytest.mark.django_db

# Pks of what was handed to workers.
pushed: list[Any] = []


class RecordingDelivery(MemoryDelivery):
    def push(self, continuation: Continuation, *, at_front: bool = False) -> None:
        pushed.append(continuation.pk)


@pytest.fixture(autouse=True)
def _record(settings: Any) -> None:
    pushed.clear()
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "DELIVERY": "tests.test_keys.RecordingDelivery"}


class Import(ContinuableJob):
    def perform(self, number: int, *, slowly: bool = False, again: bool = False) -> None: ...


class Export(ContinuableJob):
    def perform(self, number: int) -> None: ...


class Fails(ContinuableJob):
    def perform(self) -> None:
        raise ValueError("broken")


@discard_on(ValueError)
class Discarded(Fails):
    pass


def ended(continuation: Continuation, status: str = "succeeded") -> None:
    """As its execution, or a person, writes it."""
    Continuation.objects.filter(pk=continuation.pk).update(status=status, active_key=None)


# One at a time


@pytest.mark.django_db(transaction=True)
def test_enqueueing_with_a_key_that_is_taken_returns_the_one_that_has_it() -> None:
    first = Import.using(key="import:7").enqueue(7)
    second = Import.using(key="import:7").enqueue(7)
    assert second == first
    assert Continuation.objects.get() == first
    assert pushed == [first.pk]


def test_other_keys_and_none_are_no_hindrance() -> None:
    made = [Import.using(key="import:7").enqueue(7), Import.using(key="import:8").enqueue(7)]
    made += [Import.enqueue(7), Import.enqueue(7)]
    assert Continuation.objects.count() == len({each.pk for each in made}) == 4


@pytest.mark.parametrize("status", ["running", "interrupted", "waiting", "pausing", "paused", "cancelling"])
def test_a_key_is_taken_until_its_holder_has_ended(status: str) -> None:
    first = Import.using(key="import:7").enqueue(7)
    Continuation.objects.update(status=status)
    assert Import.using(key="import:7").enqueue(7).pk == first.pk


def test_a_key_is_free_again_once_its_holder_has_ended() -> None:
    first = run_until_finished(Import.using(key="import:7").enqueue(7))
    second = Import.using(key="import:7").enqueue(7)
    assert second != first
    first.refresh_from_db()
    assert (first.key, first.active_key) == ("import:7", None)
    assert (second.key, second.active_key) == ("import:7", "import:7")


def test_a_key_is_free_again_once_its_holder_has_failed() -> None:
    first = Fails.using(key="import:7").enqueue()
    with pytest.raises(ValueError):
        run_until_finished(first)
    assert Fails.using(key="import:7").enqueue() != first


def test_a_key_is_free_again_once_its_holder_was_discarded() -> None:
    first = run_until_finished(Discarded.using(key="import:7").enqueue())
    assert Discarded.using(key="import:7").enqueue() != first


def test_a_key_is_free_again_once_its_holder_was_cancelled_and_its_process_is_dead() -> None:
    """The claim of a later delivery fulfils what was asked."""
    first = Import.using(key="import:7").enqueue(7)
    owner = Execution.objects.create(continuation=first, number=1)
    Continuation.objects.update(status="cancelling", owner=owner.pk, executions=1)

    class Elsewhere(Workplace):
        def is_dead(self, execution: Execution) -> bool:
            return True

    execute(first.pk, 0, Elsewhere())
    first.refresh_from_db()
    assert first.status == "cancelled"
    assert Import.using(key="import:7").enqueue(7) != first


@pytest.mark.django_db(transaction=True)
def test_a_key_is_free_again_when_its_holder_is_rolled_back() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        Import.using(key="import:7").enqueue(7)
        raise RuntimeError
    assert Import.using(key="import:7").enqueue(7) == Continuation.objects.get()


@pytest.mark.django_db(transaction=True)
def test_the_rest_of_a_transaction_goes_on_where_a_key_is_taken() -> None:
    with transaction.atomic():
        Product.objects.create(name="before")
        first = Import.using(key="import:7").enqueue(7)
        assert Import.using(key="import:7").enqueue(7) == first
        Product.objects.create(name="after")
    assert Product.objects.count() == 2
    assert pushed == [first.pk]


def test_aenqueue_returns_the_one_that_has_the_key_too() -> None:
    first = async_to_sync(Import.using(key="import:7").aenqueue)(7)
    assert async_to_sync(Import.using(key="import:7").aenqueue)(7) == first


def test_looking_for_the_key_comes_first(django_assert_num_queries: Callable[[int], Any]) -> None:
    """No failed statement in the server's log for what is taken every time."""
    Import.using(key="import:7").enqueue(7)
    asking_for_the_isolation = connection.vendor != "sqlite"
    with django_assert_num_queries(1 + asking_for_the_isolation):
        Import.using(key="import:7").enqueue(7)
    with django_assert_num_queries(4 + asking_for_the_isolation):
        Import.using(key="import:8").enqueue(7)


# Saying so


def test_a_holder_with_other_arguments_is_said(caplog: pytest.LogCaptureFixture) -> None:
    first = Import.using(key="import:7").enqueue(7)
    Import.using(key="import:7").enqueue(7, slowly=True)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.name == "continuations"
    assert record.getMessage() == (
        f"Import {first.pk}: has key 'import:7' and stands for a job with other arguments, which was not enqueued"
    )


def test_a_holder_of_another_class_is_said(caplog: pytest.LogCaptureFixture) -> None:
    Import.using(key="import:7").enqueue(7)
    Export.using(key="import:7").enqueue(7)
    (record,) = caplog.records
    assert "stands for a job of another class, tests.test_keys.Export, which was not enqueued" in record.getMessage()


def test_a_holder_of_the_same_class_and_arguments_is_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    Import.using(key="import:7").enqueue(7, slowly=True, again=True)
    Import.using(key="import:7").enqueue(7, again=True, slowly=True)
    assert caplog.records == []


# Bad keys, with nothing written


@pytest.mark.parametrize("key", [7, b"import:7", ("import", 7), ["import"]])
def test_a_key_that_is_no_string_is_refused(key: Any) -> None:
    with pytest.raises(TypeError, match=r"Import: key=.*: expected a str"):
        Import.using(key=key).enqueue(7)
    assert not Continuation.objects.exists()


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_that_is_empty_or_too_long_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=rf"Import: key='x*.*: expected 1 to 200 characters, got {len(key)}"):
        Import.using(key=key).enqueue(7)
    assert not Continuation.objects.exists()


@pytest.mark.parametrize("key", ["a\0b", "\ud800"])
def test_a_key_that_databases_cannot_store_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"Import: key=.*: has characters that databases cannot store"):
        Import.using(key=key).enqueue(7)
    assert not Continuation.objects.exists()


def test_the_longest_key_is_kept() -> None:
    key = "ü" * 200
    assert Import.using(key=key).enqueue(7) == Import.using(key=key).enqueue(7)


# Going on after the end


def failed(key: str | None = "import:7") -> Continuation:
    continuation = Fails.using(key=key).enqueue()
    with pytest.raises(ValueError):
        run_until_finished(continuation)
    return continuation


def test_a_retry_takes_the_key_again() -> None:
    first = failed()
    first.retry()
    assert first.active_key == Continuation.objects.get().active_key == "import:7"
    assert Fails.using(key="import:7").enqueue() == first


def test_a_retry_without_a_key_takes_none() -> None:
    first = failed(None)
    first.retry()
    assert Continuation.objects.get().active_key is None


def test_a_retry_whose_key_was_taken_meanwhile_names_the_holder_and_changes_nothing() -> None:
    first = failed()
    second = Import.using(key="import:7").enqueue(7)
    before = Continuation.objects.filter(pk=first.pk).values().get()
    with pytest.raises(
        KeyConflictError,
        match=rf"Fails {first.pk}: Import {second.pk}, which is enqueued, has its key 'import:7' now: wait until",
    ):
        first.retry()
    assert Continuation.objects.filter(pk=first.pk).values().get() == before


def test_taking_a_key_that_one_has_changes_nothing() -> None:
    first = Import.using(key="import:7").enqueue(7)
    take_key(first)
    assert Continuation.objects.get().active_key == "import:7"


# At the same moment


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("isolation", ["autocommit", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_processes_that_enqueue_a_key_at_the_same_moment_all_get_the_same_continuation(isolation: str) -> None:
    """In a snapshot that cannot see it, after running the transaction again, as the error says."""
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": database_url()}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.racing", isolation, "import:7"],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        found = [json.loads(process.communicate(timeout=PATIENCE)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    (row,) = Continuation.objects.all()
    assert {each["pk"] for each in found} == {str(row.pk)}
    if isolation in ("autocommit", "READ COMMITTED"):
        assert [each["tries"] for each in found] == [1] * len(found)


class Elsewhere(threading.Thread):
    """Another connection, which does one thing."""

    def __init__(self, action: Callable[[], Any]) -> None:
        super().__init__()
        self.action = action
        self.result: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.action()
        except BaseException as error:
            self.error = error
        finally:
            connection.close()

    def get(self) -> Any:
        self.join(PATIENCE)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
        return self.result


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("commits", [True, False])
def test_enqueueing_waits_for_a_transaction_that_has_just_taken_the_key(commits: bool) -> None:
    taken, decided = threading.Event(), threading.Event()

    def first() -> Any:
        with transaction.atomic():
            continuation = Import.using(key="import:7").enqueue(7)
            taken.set()
            decided.wait(PATIENCE)
            transaction.set_rollback(not commits)
        return continuation.pk

    holder = Elsewhere(first)
    assert taken.wait(PATIENCE)
    other = Elsewhere(lambda: Import.using(key="import:7").enqueue(7).pk)
    try:
        eventually(waits_in_the_database)
    finally:
        decided.set()
    assert (other.get() == holder.get()) is commits
    assert Continuation.objects.count() == 1


def waits_in_the_database() -> bool:
    """Whether somebody waits for somebody else's lock."""
    query = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'",
        "mysql": "SELECT variable_value FROM information_schema.global_status "
        "WHERE variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS'",
        # It has no such list, and whoever writes second waits.
        "sqlite": "SELECT 1",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetchone()[0]) > 0


@pytest.mark.django_db(transaction=True)
def test_a_holder_that_ends_between_the_conflict_and_the_look_leaves_the_key_to_the_next() -> None:
    """Seen free, taken by another, a conflict, and free again when it is looked for."""
    looks: list[Any] = []

    def meddle(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith("SELECT"):
            return execute(sql, params, many, context)
        looks.append(sql)
        if len(looks) == 2:
            Elsewhere(lambda: ended(Continuation.objects.get())).get()
        result = execute(sql, params, many, context)
        if len(looks) == 1:
            Elsewhere(lambda: Import.using(key="import:7").enqueue(7)).get()
        return result

    with connection.execute_wrapper(meddle):
        second = Import.using(key="import:7").enqueue(7)
    assert len(looks) == 2
    first = Continuation.objects.exclude(pk=second.pk).get()
    assert (first.status, first.active_key) == ("succeeded", None)
    assert (second.status, second.active_key) == ("enqueued", "import:7")
    assert pushed == [first.pk, second.pk]


@pytest.mark.django_db(transaction=True)
def test_a_key_that_changes_hands_too_fast_is_an_error() -> None:
    """Bounded: a transaction must not spin."""

    def meddle(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith("SELECT"):
            return execute(sql, params, many, context)
        Elsewhere(lambda: [ended(each) for each in Continuation.objects.all()]).get()
        result = execute(sql, params, many, context)
        Elsewhere(lambda: Import.using(key="import:7").enqueue(7)).get()
        return result

    with connection.execute_wrapper(meddle), pytest.raises(KeyConflictError):
        Export.using(key="import:7").enqueue(7)
    assert not Continuation.objects.filter(job_path__endswith="Export").exists()


# Snapshots, and locks


@contextmanager
def snapshot(isolation: str = "REPEATABLE READ") -> Iterator[None]:
    """A transaction that sees what was there when it began."""
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
            Continuation.objects.count()
            yield
    finally:
        connection.close()


def impatiently(action: Callable[[], Any]) -> Callable[[], Any]:
    """The action, with an error if it has to wait long for a lock."""
    limit = {"postgresql": "SET lock_timeout = '3s'", "mysql": "SET innodb_lock_wait_timeout = 3", "sqlite": "SELECT 1"}

    def act() -> Any:
        with connection.cursor() as cursor:
            cursor.execute(limit[connection.vendor])
        return action()

    return act


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_that_cannot_see_the_holder_is_told_to_begin_again() -> None:
    """MySQL's locking reads see past the snapshot; PostgreSQL's do not."""
    if connection.vendor == "sqlite":
        # Nobody else writes while it has a transaction open.
        return
    with snapshot():
        Product.objects.create(name="before")
        first = Elsewhere(lambda: Import.using(key="import:7").enqueue(7)).get()
        if connection.vendor == "mysql":
            assert Import.using(key="import:7").enqueue(7) == first
        else:
            with pytest.raises(
                KeyConflictError,
                match=r"Import: an unfinished .* cannot see has the key 'import:7': run the transaction again",
            ):
                Import.using(key="import:7").enqueue(7)
        Product.objects.create(name="after")
    assert Product.objects.count() == 2
    assert Continuation.objects.get() == first


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_holder_that_a_snapshot_still_shows_but_that_has_ended_is_not_returned(isolation: str) -> None:
    """What the transaction has changed would be seen by nobody."""
    if connection.vendor == "sqlite" or (connection.vendor == "mysql" and isolation == "SERIALIZABLE"):
        # Nobody else writes while it has a transaction open: on MySQL, since its plain reads lock.
        return
    first = Import.using(key="import:7").enqueue(7)
    with snapshot(isolation):
        Elsewhere(lambda: ended(first)).get()
        second = Import.using(key="import:7").enqueue(7)
    assert second != first
    assert Continuation.objects.get(active_key="import:7") == second


@pytest.mark.django_db(transaction=True)
def test_a_holder_that_has_changed_since_the_snapshot_is_read_as_it_is_now_or_not_at_all() -> None:
    """PostgreSQL: could not serialize access."""
    if connection.vendor == "sqlite":
        return
    first = Import.using(key="import:7").enqueue(7)
    with snapshot():
        Elsewhere(lambda: Continuation.objects.update(status="running")).get()
        if connection.vendor == "mysql":
            assert Import.using(key="import:7").enqueue(7).status == "running"
        else:
            with pytest.raises(KeyConflictError, match="run the transaction again"):
                Import.using(key="import:7").enqueue(7)
            assert Product.objects.count() == 0
    assert Continuation.objects.get() == first


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_a_holder_that_the_snapshot_shows_is_returned(isolation: str) -> None:
    first = Import.using(key="import:7").enqueue(7)
    with snapshot(isolation):
        assert Import.using(key="import:7").enqueue(7) == first


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_an_open_transaction_that_was_given_the_holder_does_not_keep_it_from_ending(isolation: str) -> None:
    if connection.vendor == "sqlite" or (connection.vendor, isolation) == ("mysql", "REPEATABLE READ"):
        # One writer at a time; and MySQL keeps the lock that a conflict takes until the transaction ends.
        return
    first = Import.using(key="import:7").enqueue(7)
    with snapshot(isolation):
        assert Import.using(key="import:7").enqueue(7) == first
        Elsewhere(impatiently(lambda: ended(first))).get()
    assert Continuation.objects.get().status == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_enqueueing_does_not_wait_for_somebody_who_has_locked_the_holder() -> None:
    if connection.vendor == "sqlite":
        return
    first = Import.using(key="import:7").enqueue(7)

    def enqueue() -> Any:
        with transaction.atomic():
            return Import.using(key="import:7").enqueue(7)

    with transaction.atomic():
        Continuation.objects.select_for_update().get()
        assert Elsewhere(impatiently(enqueue)).get() == first
