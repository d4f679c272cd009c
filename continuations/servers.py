"""The Redis servers of the queues, for as long as a run of recovery lasts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from .clients import asking
from .liveness import remembers_since, server_of

if TYPE_CHECKING:
    from redis import Redis

logger = logging.getLogger("continuations")

# Seconds for a Redis to say that it is there.
PATIENCE = 1.0


class Servers:
    """Who is there: who does not answer at once is asked no more in this run."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, ...], bool] = {}
        # For how long each certainly has not been emptied.
        self._remembered: dict[tuple[str, ...], float] = {}

    def answers(self, connection: Redis) -> bool:
        server = server_of(connection)
        if server not in self._answers:
            self._answers[server] = True
            try:
                with asking(connection, PATIENCE) as client:
                    client.ping()
            except (RedisError, OSError) as error:
                self.lose(connection, error)
        return self._answers[server]

    def lose(self, connection: Redis, error: Exception) -> None:
        """It has not answered."""
        self._answers[server_of(connection)] = False
        logger.warning("recovery: Redis does not answer (%s); nothing is known of what is there", error)

    def remembers(self, connection: Redis) -> float:
        server = server_of(connection)
        if server not in self._remembered:
            self._remembered[server] = remembers_since(connection)
        return self._remembered[server]
