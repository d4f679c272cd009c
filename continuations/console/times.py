"""Moments and lengths of time, as short as a table needs them."""

from __future__ import annotations

import datetime as dt

from ..moments import as_local

UNITS = (("w", 7 * 86400), ("d", 86400), ("h", 3600), ("m", 60))


def age_of(length: dt.timedelta) -> str:
    """In one unit, as `--older-than` takes it: 45s, 12m, 3h, 5d."""
    seconds = max(0, round(length.total_seconds()))
    # From two of a unit on, so that not much is rounded away.
    for unit, size in UNITS:
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def clock(moment: dt.datetime) -> str:
    """Month, day and time in the project's time zone."""
    return f"{as_local(moment):%m-%d %H:%M:%S}"


def full(moment: dt.datetime) -> str:
    """Date and time with the zone."""
    return f"{as_local(moment):%Y-%m-%d %H:%M:%S %Z}".rstrip()
