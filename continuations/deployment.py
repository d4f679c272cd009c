"""System checks of `manage.py check --deploy`: they ask the database and Redis, and so take a moment.

docs/checks.md is made from the docstrings here, as from those of `checks`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections
from django.db.migrations.executor import MigrationExecutor
from django_rq.connection_utils import filter_connection_params, get_redis_connection
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.worker import BaseWorker

from .checks import stock_worker
from .clients import impatient
from .conf import database

# Seconds for which a Redis may keep a check waiting.
PATIENCE = 2.0


def check_database_answers(**_: Any) -> list[CheckMessage]:
    """The database.

    continuations.E010: The database that holds the continuations does not answer.

    continuations.E011: Migrations of `continuations` are not applied there. Run `manage.py migrate`.
    """
    alias = _alias()
    if alias is None:
        return []
    try:
        executor = MigrationExecutor(connections[alias])
    except Error as error:
        return [checks.Error(f"Database {alias!r} does not answer: {error}", id="continuations.E010")]
    graph = executor.loader.graph
    plan = executor.migration_plan(graph.leaf_nodes("continuations"))
    pending = [migration.name for migration, _ in plan if migration.app_label == "continuations"]
    if not pending:
        return []
    return [
        checks.Error(
            f"Database {alias!r} lacks migrations of continuations: {', '.join(pending)}.",
            hint=f"manage.py migrate continuations --database {alias}",
            id="continuations.E011",
        )
    ]


def check_redis(**_: Any) -> list[CheckMessage]:
    """The Redis of each queue.

    continuations.E012: The Redis of a queue does not answer. What is enqueued is kept, and delivered once it does.

    continuations.W010: The Redis of a queue may evict keys when its memory is full (`maxmemory-policy` is not
    `noeviction`), and with them jobs, leases and locks. Lost deliveries are found and sent again, at the price of work
    that is done twice; give RQ a Redis of its own that evicts nothing.
    """
    problems: list[CheckMessage] = []
    for names, config in _servers():
        queues = ", ".join(map(repr, names))
        try:
            with _client(config) as client:
                policy = client.info("memory").get("maxmemory_policy", "noeviction")
        except (RedisError, OSError, ValueError) as error:
            problems.append(
                checks.Error(f"The Redis of queues {queues} does not answer: {error}", id="continuations.E012")
            )
            continue
        if policy != "noeviction":
            problems.append(
                checks.Warning(
                    f"The Redis of queues {queues} evicts keys when its memory is full: maxmemory-policy is {policy}.",
                    hint="Set maxmemory-policy to noeviction, or give RQ a Redis of its own.",
                    id="continuations.W010",
                )
            )
    return problems


def check_async(**_: Any) -> list[CheckMessage]:
    """Queues without workers.

    continuations.W011: A queue has `ASYNC = False`, which is meant for tests: its jobs run where they are enqueued, so
    nothing resumes one whose process dies but recovery, and a request waits for the job's end.
    """
    queues = getattr(django_settings, "RQ_QUEUES", {})
    names = [name for name, queue in queues.items() if queue.get("ASYNC", True) is False]
    return [
        checks.Warning(
            f"Queue {name!r} has ASYNC = False: its jobs run in the process that enqueues them.",
            id="continuations.W011",
        )
        for name in names
    ]


def check_workers(**_: Any) -> list[CheckMessage]:
    """The workers that run now.

    continuations.W012: The continuations are on SQLite and several workers run. They wait for each other at every
    write; and on several machines they do not even see the same file. Use PostgreSQL or MariaDB.

    continuations.W013: A stock worker serves a queue and no scheduler runs for it, so rests of more than 30 s end only
    when somebody recovers. Start one worker with `--with-scheduler`, or use `ContinuableWorker`, which always has one.
    """
    alias = _alias()
    on_sqlite = alias is not None and connections[alias].vendor == "sqlite"
    problems: list[CheckMessage] = []
    for names, config in _servers():
        # One that does not answer is the business of another check.
        with contextlib.suppress(RedisError, OSError, ValueError), _client(config) as client:
            workers = Worker.all(client)
            if on_sqlite and len(workers) > 1:
                problems.append(_several(alias, workers))
            if stock_worker() is not None:
                problems += _without_scheduler(names, workers, client)
    return problems


def _several(alias: str | None, workers: list[BaseWorker]) -> CheckMessage:
    hosts = sorted({str(worker.hostname) for worker in workers})
    return checks.Warning(
        f"Database {alias!r} is SQLite, and {len(workers)} workers run, on {', '.join(hosts)}.",
        hint="They wait for each other at every write, and must all be on one machine: use PostgreSQL or MariaDB.",
        id="continuations.W012",
    )


def _without_scheduler(names: list[str], workers: list[BaseWorker], client: Redis) -> Iterator[CheckMessage]:
    served = {name for worker in workers for name in worker.queue_names()}
    for name in names:
        if name in served and Queue(name, connection=client).scheduler_pid is None:
            yield checks.Warning(
                f"Queue {name!r} is served by a stock worker, and no scheduler runs for it.",
                hint="Start one worker with `--with-scheduler`: rests of more than 30 s end in time only then.",
                id="continuations.W013",
            )


def _alias() -> str | None:
    try:
        return database()
    except ImproperlyConfigured:
        return None


def _servers() -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Names of queues that share a Redis, and how to connect to it."""
    servers: list[tuple[list[str], dict[str, Any]]] = []
    for name, config in getattr(django_settings, "RQ_QUEUES", {}).items():
        address = filter_connection_params(config)
        known = next((names for names, other in servers if filter_connection_params(other) == address), None)
        if known is None:
            servers.append(([name], config))
        else:
            known.append(name)
    yield from servers


@contextlib.contextmanager
def _client(config: dict[str, Any]) -> Iterator[Redis]:
    with impatient(get_redis_connection(config), PATIENCE) as client:
        yield client


ALL = (check_database_answers, check_redis, check_async, check_workers)
