"""Functions that plain RQ runs."""

from __future__ import annotations

from django.db import connection


def one_query(pk: int) -> bool:
    """What even the smallest job of a Django site does."""
    from .models import Record

    return Record.objects.filter(pk=pk).exists()


def one_query_and_commits(pk: int, row: int) -> bool:
    """The same between the commits that a job of one step has on a worker, each of one bare UPDATE."""
    _commit(row, 1)
    _commit(row, 2)
    found = one_query(pk)
    _commit(row, 3)
    _commit(row, 4)
    return found


def _commit(row: int, done: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE benchmarks_cursor SET done = %s WHERE id = %s AND owner = %s", [done, row, ""])
