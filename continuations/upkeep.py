"""When recovery looks at a continuation that no execution owns."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

# Seconds after which a delivery that nobody took is looked for. A delivery that waits in a long queue is found there.
GRACE = 10.0
# Seconds for which a scheduler may be late with what is due, and a worker with claiming what it has taken.
LATE = 2.0
# Seconds until it is looked for again, once it was found.
AGAIN = 30.0


def after_push(run_after: dt.datetime | None = None) -> dt.datetime:
    """When to look for a delivery pushed now, or to be taken at `run_after`."""
    now = timezone.now()
    if run_after is not None and run_after > now:
        return run_after + dt.timedelta(seconds=LATE)
    return now + dt.timedelta(seconds=GRACE)


def again() -> dt.datetime:
    """When to look next at one that was found where it belongs."""
    return timezone.now() + dt.timedelta(seconds=AGAIN)


def soon() -> dt.datetime:
    """When to look next at one that was taken and not claimed."""
    return timezone.now() + dt.timedelta(seconds=LATE)
