"""What one would write without any library: the floor."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

from .process import serve, set_up_django

set_up_django()

from django.db import connection, transaction  # noqa: E402
from django.db.models import F  # noqa: E402

from benchmarks.models import Cursor, Record, have_records  # noqa: E402

PAGE = 1000
_UPDATE = "UPDATE benchmarks_cursor SET cursor = %s, done = %s WHERE id = %s AND owner = %s"


def prepare(records: int) -> float:
    """Make the records that the other measures walk."""
    have_records(records)
    return 0.0


def walk(n: int) -> float:
    """Seconds for a loop over `n` records, page by page."""
    began = time.perf_counter()
    for _ in _records(n):
        pass
    return time.perf_counter() - began


def walk_and_write(n: int) -> float:
    """Seconds for the same loop with one fenced UPDATE of a cursor for each record."""
    write = _writer()
    began = time.perf_counter()
    for done, record in enumerate(_records(n), 1):
        write(record.pk, done)
    return time.perf_counter() - began


def walk_and_work(n: int) -> float:
    """Seconds for the same loop with a transaction for each record: work on it, and the UPDATE of the cursor."""
    write = _writer()
    began = time.perf_counter()
    for done, record in enumerate(_records(n), 1):
        with transaction.atomic():
            Record.objects.filter(pk=record.pk).update(value=F("value") + 1)
            write(record.pk, done)
    return time.perf_counter() - began


def write(n: int) -> float:
    """Milliseconds for one UPDATE of one row with its commit, by the driver alone."""
    connection.ensure_connection()
    execute = _driver()
    began = time.perf_counter()
    for done in range(n):
        execute(done)
    return (time.perf_counter() - began) / n * 1e3


def call(n: int) -> float:
    """Microseconds for a call of an empty method, with its share of the loop."""
    nothing = _Nothing()
    began = time.perf_counter()
    for _ in range(n):
        nothing.advance()
    return (time.perf_counter() - began) / n * 1e6


class _Nothing:
    def advance(self, from_: object = None) -> None:
        """Does nothing."""


def _records(n: int) -> Iterator[Record]:
    last = 0
    while page := list(Record.objects.filter(pk__lte=n, pk__gt=last).order_by("pk")[:PAGE]):
        yield from page
        last = page[-1].pk


def _writer() -> Callable[[int, int], None]:
    pk, owner = Cursor.objects.create(owner="me").pk, "me"

    def write(cursor: int, done: int) -> None:
        with connection.cursor() as statement:
            statement.execute(_UPDATE, [str(cursor), done, pk, owner])
            assert statement.rowcount == 1

    return write


def _driver() -> Callable[[int], None]:
    pk = Cursor.objects.create(owner="me").pk
    if connection.vendor == "postgresql":
        import psycopg

        raw = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)

        def execute(done: int) -> None:
            raw.execute(_UPDATE, (str(done), done, pk, "me"))  # type: ignore[arg-type]

        return execute
    import sqlite3

    file = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    file.execute("PRAGMA journal_mode=WAL")
    file.execute("PRAGMA synchronous=NORMAL")
    update = _UPDATE.replace("%s", "?")

    def execute_here(done: int) -> None:
        file.execute(update, (str(done), done, pk, "me"))

    return execute_here


if __name__ == "__main__":
    serve(prepare, walk, walk_and_write, walk_and_work, write, call)
