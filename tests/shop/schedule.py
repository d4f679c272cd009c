"""What `manage.py rqcron tests.shop.schedule` starts. The run's name comes from the environment."""

from __future__ import annotations

import os

from rq import cron

from tests.shop.jobs import Count

RUN = os.environ.get("RUN", "run")


def count() -> str:
    """Each second, but one at a time."""
    return str(Count.using(key="count").enqueue(RUN, 100_000).pk)


cron.register(count, queue_name="imports", interval=1)
