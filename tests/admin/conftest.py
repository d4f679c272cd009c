from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .jobs import Broken, FollowsUp


@pytest.fixture
def worker_on(redis_url: str) -> Callable[..., None]:
    """Let Redis say that a worker listens on a queue; if not `alive`, as RQ leaves it when one was killed."""
    import redis

    def register(queue: str, *, alive: bool = True) -> None:
        with redis.Redis.from_url(redis_url) as client:
            client.sadd(f"rq:workers:{queue}", f"rq:worker:{queue}.1")
            if alive:
                client.hset(f"rq:worker:{queue}.1", "birth", "today")

    return register


@pytest.fixture
def mend() -> Iterator[Callable[[], None]]:
    """From when it is called, what was broken works in this test."""

    def mend() -> None:
        Broken.mended = FollowsUp.mended = True

    yield mend
    Broken.mended = FollowsUp.mended = False
