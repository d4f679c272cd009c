"""The admin at a thousand rows and at a million: `make million`, with DATABASE_URL of a PostgreSQL.

Works in a test database of its own, which it makes and drops. Ends with an error if a list takes more than five
queries, or anything at a million rows takes more than three times as long as at a thousand.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import django

LIST = "/admin/continuations/continuation/"
REPEATS = 15
QUERIES = 5
TIMES = 3
FEW = 1000
ONE = "one continuation"

# Queries, the milliseconds that they took, and those until the answer was there.
Figures = tuple[int, float, float]

ROWS = """
insert into continuations_continuation (
  id, job_path, queue_name, arguments, rq_options, status, key, delivery, anchor_open, executions, resumptions,
  counted_resumptions, crashes, errors, attempts, reason, waiting_for, request_by, request_reason, requested_at,
  error_class, error_message, error_traceback, follow_up_error, created_at, enqueued_at, context)
select gen_random_uuid(), 'tests.admin.jobs.' || (array['Import', 'Broken', 'Days', 'Flaky'])[1 + i %% 4],
  (array['imports', 'default', 'slow'])[1 + i %% 3], '[[],{}]', '{}',
  case when i %% %(rare)s = 0 then 'failed' when i %% (50 * %(rare)s) = 1 then 'running'
       when i %% (2 * %(rare)s) = 7 then 'cancelled' when i %% (10 * %(rare)s) = 9 then 'enqueued'
       when i %% (100 * %(rare)s) = 11 then 'pausing' else 'succeeded' end,
  case when i %% 10 = 0 then 'key:' || i end, 0, false, 1, 0, 0, 0, 0, '{}', '', '', '', '', null,
  case when i %% %(rare)s = 0 then 'ValueError' else '' end, case when i %% %(rare)s = 0 then 'broken' else '' end,
  repeat('x', 2000), '', now() - (i || ' seconds')::interval, now(), '{}'
from generate_series(1, %(count)s) i
"""
STEPS = """
insert into continuations_steprecord (
  id, continuation_id, position, name, kind, status, cursor, advanced, processed, total, busy_seconds, sequence,
  heartbeat_at, started_at)
select gen_random_uuid(), c.id, p, 'step' || p, 'step',
  case when p = 2 and c.status in ('running', 'failed', 'pausing') then 'running' else 'completed' end,
  '5', true, 5, 10, 1.5, 7, now() - interval '20 minutes', now()
from continuations_continuation c, generate_series(0, 2) p
"""


def seed(count: int) -> None:
    """Rows of four classes on three queues, three steps each. Enough of them failed to fill a page."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("truncate continuations_continuation cascade")
        cursor.execute(ROWS, {"count": count, "rare": max(count // 1000, 10)})
        cursor.execute(STEPS)
        cursor.execute("vacuum analyze continuations_continuation")
        cursor.execute("vacuum analyze continuations_steprecord")


def addresses() -> dict[str, str]:
    """What is measured, by its name."""
    from continuations.models import Continuation

    row = Continuation.objects.filter(status="failed").order_by("created_at").first()
    assert row is not None
    return {
        "all": LIST,
        "failed": f"{LIST}?status__exact=failed",
        "succeeded": f"{LIST}?status__exact=succeeded",
        "one class": f"{LIST}?job=tests.admin.jobs.Days",
        "one queue": f"{LIST}?queue=slow",
        "last 24 hours": f"{LIST}?age=24",
        "needs attention": f"{LIST}?attention=yes",
        "stalled": f"{LIST}?attention=stalled",
        "search: id": f"{LIST}?q={row.pk}",
        "search: key": f"{LIST}?q={row.key}",
        "search: class": f"{LIST}?q=Imp",
        "page 3": f"{LIST}?p=3",
        ONE: f"{LIST}{row.pk}/change/",
    }


class Clock:
    """Seconds that each query took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, execute: Any, *args: Any) -> Any:
        begun = time.perf_counter()
        try:
            return execute(*args)
        finally:
            self.seconds.append(time.perf_counter() - begun)


def measure() -> dict[str, Figures]:
    """Queries, the least milliseconds that they took, and the least until the answer was there, by name."""
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client

    user, _ = get_user_model().objects.get_or_create(username="admin", is_staff=True, is_superuser=True)
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    figures: dict[str, Figures] = {}
    for name, address in addresses().items():
        # The driver's clock, since Django's own rounds to milliseconds.
        taken: list[float] = []
        whole: list[float] = []
        for _ in range(REPEATS):
            clock = Clock()
            begun = time.perf_counter()
            with connection.execute_wrapper(clock):
                response = client.get(address)
            whole.append(1000 * (time.perf_counter() - begun))
            assert response.status_code == 200, (name, response)
            taken.append(1000 * sum(clock.seconds))
        figures[name] = (len(clock.seconds), min(taken), min(whole))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows: int = parser.parse_args().rows
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.db import connection

    if connection.vendor != "postgresql":
        raise SystemExit("Set DATABASE_URL to a PostgreSQL.")
    old: Any = connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        figures = []
        for count in (FEW, rows):
            begun = time.monotonic()
            seed(count)
            print(f"{count:,} rows made in {time.monotonic() - begun:.0f} s", flush=True)
            figures.append(measure())
    finally:
        connection.creation.destroy_test_db(old, verbosity=0)
    if beyond := report(rows, *figures):
        raise SystemExit("\n".join(beyond))


def report(rows: int, few: dict[str, Figures], many: dict[str, Figures]) -> list[str]:
    """Print the table. Gives what is beyond the bounds."""
    print(f"\n| page | queries | ms in the database: {FEW:,} rows | {rows:,} | ms to the answer: {FEW:,} | {rows:,} |")
    print("|---|---|---|---|---|---|")
    beyond = []
    for name, (queries, taken, whole) in many.items():
        _, before, whole_before = few[name]
        print(f"| {name} | {queries} | {before:.1f} | {taken:.1f} | {whole_before:.0f} | {whole:.0f} |")
        if name != ONE and queries > QUERIES:
            beyond.append(f"{name}: {queries} queries")
        if taken > TIMES * before:
            beyond.append(f"{name}: {taken / before:.1f} times as long")
    return beyond


if __name__ == "__main__":
    main()
