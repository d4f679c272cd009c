"""What the jobs of the benchmarks work on."""

from __future__ import annotations

from django.db import connection, models


class Record(models.Model):
    """One of many."""

    name = models.CharField(max_length=50)
    value = models.IntegerField(default=0)


class Cursor(models.Model):
    """A cursor as one would write it by hand: one row, updated in place by its owner only."""

    cursor = models.TextField(null=True)  # noqa: DJ001 - no cursor is not an empty one
    done = models.IntegerField(default=0)
    owner = models.CharField(max_length=36)


_NUMBERS = {
    "postgresql": "SELECT generate_series(%s, %s)",
    "sqlite": (
        "WITH RECURSIVE numbers(n) AS (VALUES (%s) UNION ALL SELECT n + 1 FROM numbers WHERE n < %s) "
        "SELECT n FROM numbers"
    ),
}


def have_records(count: int) -> None:
    """Make the records 1 to `count`, as far as they are not there."""
    last = Record.objects.aggregate(last=models.Max("pk"))["last"] or 0
    if last >= count:
        return
    table = Record._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (id, name, value) SELECT n, 'record', 0 FROM ({_NUMBERS[connection.vendor]}) "
            "AS numbers(n)"
            if connection.vendor == "postgresql"
            else f"INSERT INTO {table} (id, name, value) SELECT n, 'record', 0 FROM ({_NUMBERS['sqlite']})",
            [last + 1, count],
        )
        cursor.execute(f"ANALYZE {table}")
