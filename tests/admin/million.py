"""The admin at a thousand rows and at a million: `make million`, with DATABASE_URL of a PostgreSQL.

Works in two test databases of its own, which it makes and drops. Asks them by turns, so that a busy machine is as busy
for both. Ends with an error if a list takes more than five queries, or anything at a million rows takes more than three
times as long as at a thousand.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from typing import Any

import django

LIST = "/admin/continuations/continuation/"
REPEATS = 25
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


class Site:
    """The admin in front of a database of its own, with a connection that stays."""

    entered: Site | None = None

    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self._connection: Any = None
        self.count = count
        self.figures: dict[str, Figures] = {}

    def enter(self) -> None:
        from django.db import connection

        if Site.entered is not self:
            if Site.entered is not None:
                Site.entered._connection = connection.connection
            connection.connection = self._connection
            connection.settings_dict["NAME"] = self.name
            Site.entered = self

    def leave(self) -> None:
        from django.db import connection

        self.enter()
        connection.close()
        self._connection = None

    def seed(self) -> None:
        """Rows of four classes on three queues, three steps each. Enough of them failed to fill a page."""
        from django.contrib.auth import get_user_model
        from django.db import connection
        from django.test import Client

        begun = time.monotonic()
        self.enter()
        with connection.cursor() as cursor:
            cursor.execute(ROWS, {"count": self.count, "rare": max(self.count // 1000, 10)})
            cursor.execute(STEPS)
            cursor.execute("vacuum analyze continuations_continuation")
            cursor.execute("vacuum analyze continuations_steprecord")
            # What was written is on its way to the disk, and would be in the way.
            cursor.execute("checkpoint")
        self._client = Client(headers={"host": "localhost"})
        self._client.force_login(get_user_model().objects.create(username="a", is_staff=True, is_superuser=True))
        self._addresses = addresses()
        print(f"{self.count:,} rows made in {time.monotonic() - begun:.0f} s", flush=True)

    def measure(self, name: str) -> None:
        """Ask for a page, and keep what it took if that was the least so far."""
        from django.db import connection

        self.enter()
        connection.ensure_connection()
        clock = Clock()
        begun = time.perf_counter()
        with connection.execute_wrapper(clock):
            response = self._client.get(self._addresses[name])
        whole = 1000 * (time.perf_counter() - begun)
        assert response.status_code == 200, (name, response)
        _, least, least_whole = self.figures.get(name, (0, math.inf, math.inf))
        taken = 1000 * sum(clock.seconds)
        self.figures[name] = (len(clock.seconds), min(taken, least), min(whole, least_whole))


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
        "search by id": f"{LIST}?q={row.pk}",
        "search by key": f"{LIST}?q={row.key}",
        "search by class": f"{LIST}?q=Imp",
        "page 3": f"{LIST}?p=3",
        ONE: f"{LIST}{row.pk}/change/",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows: int = parser.parse_args().rows
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from django.db import connection

    if connection.vendor != "postgresql":
        raise SystemExit("Set DATABASE_URL to a PostgreSQL.")
    creation, old = connection.creation, connection.settings_dict["NAME"]
    creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    connection.close()
    creation.clone_test_db("many", verbosity=0, autoclobber=True)
    few = Site(connection.settings_dict["NAME"], FEW)
    many = Site(creation.get_test_db_clone_settings("many")["NAME"], rows)
    try:
        few.seed()
        many.seed()
        for name in addresses():
            for _ in range(REPEATS):
                few.measure(name)
                many.measure(name)
    finally:
        many.leave()
        few.leave()
        creation.destroy_test_db(old, verbosity=0, suffix="many")
        connection.settings_dict["NAME"] = few.name
        creation.destroy_test_db(old, verbosity=0)
    if beyond := report(few, many):
        raise SystemExit("\n".join(beyond))


def report(few: Site, many: Site) -> list[str]:
    """Print the table. Gives what is beyond the bounds."""
    counts = f"{few.count:,} rows | {many.count:,}"
    print(f"\n| page | queries | ms in the database: {counts} | ms to the answer: {counts} |")
    print("|---|---|---|---|---|---|")
    beyond = []
    for name, (queries, taken, whole) in many.figures.items():
        _, before, whole_before = few.figures[name]
        print(f"| {name} | {queries} | {before:.1f} | {taken:.1f} | {whole_before:.0f} | {whole:.0f} |")
        if name != ONE and queries > QUERIES:
            beyond.append(f"{name}: {queries} queries")
        if taken > TIMES * before:
            beyond.append(f"{name}: {taken / before:.1f} times as long")
    return beyond


if __name__ == "__main__":
    main()
