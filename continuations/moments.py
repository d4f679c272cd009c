"""Moments as this project has them: aware with `USE_TZ`, and without it naive, in the time of `TIME_ZONE`."""

from __future__ import annotations

import datetime as dt

from django.conf import settings as django_settings
from django.utils import timezone


def as_ours(moment: dt.datetime) -> dt.datetime:
    """The moment as the project's fields take it. Raises `ValueError` for a naive one where that could be any time."""
    if timezone.is_aware(moment):
        return moment if django_settings.USE_TZ else timezone.make_naive(moment, timezone.get_default_timezone())
    if django_settings.USE_TZ:
        raise ValueError(f"{moment!r} has no time zone")
    return moment


def as_local(moment: dt.datetime) -> dt.datetime:
    """The moment in the active time zone; as it is where there are none."""
    return moment if timezone.is_naive(moment) else timezone.localtime(moment)
