"""python -m tests.racing ISOLATION KEY: enqueue with a key when told to, and print which continuation that gave.

One of several processes that do so at the same moment. Its transaction, if ISOLATION names one, has taken its snapshot
before any of them enqueues.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django


def main(isolation: str, key: str) -> None:
    django.setup()
    from django.db import OperationalError, connection

    from continuations import KeyConflictError

    connection.ensure_connection()
    tries = 0
    while True:
        tries += 1
        try:
            found = enqueue(isolation, key, is_first=tries == 1)
            break
        except (KeyConflictError, OperationalError):
            # What the error tells to do.
            if tries > 20:
                raise
    print(json.dumps({"pk": str(found.pk), "tries": tries}), flush=True)


def enqueue(isolation: str, key: str, *, is_first: bool) -> Any:
    from django.db import connection, transaction

    from continuations.models import Continuation
    from tests.shop.jobs import Count

    job = Count.using(key=key)
    if isolation == "autocommit":
        wait_for_the_others(is_first)
        return job.enqueue("a", 1)
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")
    if connection.vendor == "sqlite":
        # One transaction at a time.
        wait_for_the_others(is_first)
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
        if connection.vendor != "sqlite":
            Continuation.objects.count()
            wait_for_the_others(is_first)
        return job.enqueue("a", 1)


def wait_for_the_others(is_first: bool) -> None:
    if is_first:
        print("ready", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
