"""Redis clients with less patience than those of the queues."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool


def without_retries(connection: Redis, **options: Any) -> Redis:
    """A client of the same Redis that gives each command once. `options` of its connections differ.

    Of Sentinel's master: how long the sentinels may take to name it is for their own options to say.
    """
    pool = connection.connection_pool
    options = {**pool.connection_kwargs, **options, "retry": Retry(NoBackoff(), 0)}
    if not isinstance(pool, SentinelConnectionPool):
        return Redis.from_pool(ConnectionPool(connection_class=pool.connection_class, **options))
    # The pool puts itself there.
    options |= {"connection_pool": None, "is_master": pool.is_master, "check_connection": pool.check_connection}
    managed = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        pool.service_name, pool.sentinel_manager, connection_class=pool.connection_class, **options
    )
    return Redis.from_pool(managed)


def impatient(connection: Redis, seconds: float) -> Redis:
    """The same, that gives up after so many seconds."""
    return without_retries(connection, socket_timeout=seconds, socket_connect_timeout=seconds)


@contextlib.contextmanager
def asking(connection: Redis, seconds: float) -> Iterator[Redis]:
    """An `impatient` client for a moment; nothing of it stays open."""
    client = impatient(connection, seconds)
    try:
        yield client
    finally:
        client.connection_pool.disconnect()
