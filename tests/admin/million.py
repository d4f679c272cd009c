"""How long the list takes at a thousand rows and at a million: `make million`, with DATABASE_URL of a PostgreSQL.

Works in a test database of its own, which it makes and drops.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import django

LIST = "/admin/continuations/continuation/"
REPEATS = 5

ROWS = """
insert into continuations_continuation (
  id, job_path, queue_name, arguments, rq_options, status, key, delivery, anchor_open, executions, resumptions,
  counted_resumptions, crashes, errors, attempts, reason, waiting_for, request_by, request_reason, requested_at,
  error_class, error_message, error_traceback, follow_up_error, created_at, enqueued_at, context)
select gen_random_uuid(), 'tests.admin.jobs.' || (array['Import', 'Broken', 'Days', 'Flaky'])[1 + i %% 4],
  (array['imports', 'default', 'slow'])[1 + i %% 3], '[[],{}]', '{}',
  case when i %% 1000 = 0 then 'failed' when i %% 50000 = 1 then 'running' when i %% 2000 = 7 then 'cancelled'
       when i %% 10000 = 9 then 'enqueued' when i %% 100000 = 11 then 'pausing' else 'succeeded' end,
  case when i %% 10 = 0 then 'key:' || i end, 0, false, 1, 0, 0, 0, 0, '{}', '', '', '', '', null,
  case when i %% 1000 = 0 then 'ValueError' else '' end, case when i %% 1000 = 0 then 'broken' else '' end,
  repeat('x', 2000), '', now() - (i || ' seconds')::interval, now(), '{}'
from generate_series(1, %s) i
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
    """Rows of four classes on three queues, of which one in a thousand has failed; three steps each."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("truncate continuations_continuation cascade")
        cursor.execute(ROWS, [count])
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
        "one continuation": f"{LIST}{row.pk}/change/",
    }


def measure() -> dict[str, tuple[int, float]]:
    """Queries, and the least milliseconds that the database took for all of them, by name."""
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    user, _ = get_user_model().objects.get_or_create(username="admin", is_staff=True, is_superuser=True)
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    figures: dict[str, tuple[int, float]] = {}
    for name, address in addresses().items():
        taken: list[float] = []
        for _ in range(REPEATS):
            with CaptureQueriesContext(connection) as captured:
                response = client.get(address)
            assert response.status_code == 200, (name, response)
            taken.append(1000 * sum(float(query["time"]) for query in captured.captured_queries))
        figures[name] = (len(captured), min(taken))
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
        for count in (1000, rows):
            begun = time.monotonic()
            seed(count)
            print(f"{count:,} rows made in {time.monotonic() - begun:.0f} s", flush=True)
            figures.append(measure())
    finally:
        connection.creation.destroy_test_db(old, verbosity=0)
    few, many = figures
    print(f"\n| list | queries | ms at 1,000 rows | ms at {rows:,} rows |\n|---|---|---|---|")
    for name, (queries, taken) in many.items():
        print(f"| {name} | {queries} | {few[name][1]:.0f} | {taken:.0f} |")


if __name__ == "__main__":
    main()
