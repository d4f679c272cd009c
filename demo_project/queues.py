"""A look into Redis for a page: it waits for nobody."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import django_rq

from continuations.clients import impatient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

# Seconds a visitor waits for a Redis that does not answer.
PATIENCE = 1.0


@contextmanager
def quick_redis() -> Iterator[Redis]:
    """A client that gives up soon. Raises `RedisError` or `OSError` when used while Redis does not answer."""
    client = impatient(django_rq.get_connection(), PATIENCE)
    try:
        yield client
    finally:
        client.connection_pool.disconnect()
