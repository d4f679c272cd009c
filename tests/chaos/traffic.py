"""Jobs that keep coming, so that there is always something to interrupt."""

from __future__ import annotations

import threading
from random import Random

from django.db import Error, connection
from redis.exceptions import RedisError

from continuations.models import Continuation
from continuations.transitions import FINISHED

from .jobs import SHAPES

# Seconds between two looks at how many are left.
LOOK = 0.3


class Traffic(threading.Thread):
    """Enqueues until told to stop, as long as fewer than `level` are unfinished."""

    def __init__(self, seed: int, *, level: int) -> None:
        super().__init__(name="traffic", daemon=True)
        self._random = Random(f"traffic {seed}")
        self._level = level
        self._ended = threading.Event()
        # Runs for which `enqueue` returned: these must be in the database whatever happens.
        self.accepted: set[str] = set()
        # Enqueueings that raised: the database was away, or answered too late.
        self.refused = 0

    def run(self) -> None:
        number = 0
        try:
            while not self._ended.is_set():
                try:
                    unfinished = Continuation.objects.exclude(status__in=FINISHED).count()
                    for _ in range(self._level - unfinished):
                        number += 1
                        self._enqueue(f"r{number}")
                except (Error, RedisError, OSError):
                    connection.close()
                self._ended.wait(LOOK)
        finally:
            connection.close()

    def end(self) -> None:
        self._ended.set()
        self.join(60)

    def _enqueue(self, run: str) -> None:
        (shape,) = self._random.choices(SHAPES, [each.weight for each in SHAPES])
        n = self._random.randint(*shape.items)
        pause = self._random.uniform(0.001, 0.005)
        try:
            shape.job_class.enqueue(run, n, pause)
        except Exception:
            self.refused += 1
            raise
        self.accepted.add(run)
