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


def seed(count: int) -> None:
    """The history of the demo's made-up shop: seven classes on three queues, of which one in forty has failed."""
    from django.db import connection

    from demo_project.history.past import Past, forget

    for _ in (*forget(), *Past(count).write()):
        pass
    with connection.cursor() as cursor:
        for table in ("continuation", "steprecord", "execution"):
            cursor.execute(f"vacuum analyze continuations_{table}")


def addresses() -> dict[str, str]:
    """What is measured, by its name."""
    from continuations.models import Continuation

    row = Continuation.objects.filter(status="failed").exclude(key=None).order_by("created_at").first()
    assert row is not None
    return {
        "all": LIST,
        "failed": f"{LIST}?status__exact=failed",
        "succeeded": f"{LIST}?status__exact=succeeded",
        "one class": f"{LIST}?job=demo_project.history.jobs.ArchiveAccounts",
        "one queue": f"{LIST}?queue=imports",
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
