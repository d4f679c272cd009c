"""Numbers, lengths of time and long texts."""

from __future__ import annotations

import datetime as dt

from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

# Characters of a cursor, or of somebody's message, that a sentence holds.
LENGTH = 80


def number(n: int) -> str:
    """With the separators of the active language."""
    return formats.number_format(n, use_l10n=True, force_grouping=True)


def duration(time: dt.timedelta | float) -> str:
    """A length of time in its two largest units; below ten seconds with a tenth."""
    seconds = max(0.0, time.total_seconds() if isinstance(time, dt.timedelta) else time)
    if seconds < 9.95:
        return f"{formats.number_format(seconds, 1, use_l10n=True)} {pgettext('seconds', 's')}"
    days, rest = divmod(round(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    units = [
        (days, pgettext("days", "d")),
        (hours, pgettext("hours", "h")),
        (minutes, pgettext("minutes", "min")),
        (rest, pgettext("seconds", "s")),
    ]
    first = next(index for index, (n, _unit) in enumerate(units) if n)
    return " ".join(f"{n} {unit}" for n, unit in units[first : first + 2] if n)


def ago(moment: dt.datetime, now: dt.datetime | None = None) -> str:
    """`3 min ago`."""
    return _("%(time)s ago") % {"time": duration((now or timezone.now()) - moment)}


def until(moment: dt.datetime, now: dt.datetime | None = None) -> str:
    """`in 3 min`."""
    return _("in %(time)s") % {"time": duration(moment - (now or timezone.now()))}


def lies_ahead(moment: dt.datetime | None, now: dt.datetime | None = None) -> bool:
    """Whether there is such a moment, and it has not come."""
    return moment is not None and moment > (now or timezone.now())


def shorten(text: str, length: int = LENGTH) -> str:
    """At most `length` characters, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"
