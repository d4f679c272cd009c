"""What is shown of a continuation, in words, with a shape and a tone for each state."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.translation import gettext, gettext_lazy, ngettext, pgettext_lazy

from ..records import StepRecord
from ..transitions import Status

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise
    from django.utils.safestring import SafeString

# A state that no column holds: an execution owns it and gives no sign of life.
STALLED = "stalled"
STALLED_WORD = gettext_lazy("stalled")

# Tones are colours: `active`, `good`, `bad`, `waiting`, `quiet`.
TONES: dict[str, str] = {
    Status.ENQUEUED: "waiting",
    Status.RUNNING: "active",
    Status.INTERRUPTED: "waiting",
    Status.WAITING: "waiting",
    Status.PAUSING: "waiting",
    Status.PAUSED: "waiting",
    Status.CANCELLING: "waiting",
    Status.CANCELLED: "quiet",
    Status.SUCCEEDED: "good",
    Status.FAILED: "bad",
    Status.DISCARDED: "quiet",
    STALLED: "bad",
    StepRecord.Status.COMPLETED: "good",
    StepRecord.Status.TIMED_OUT: "waiting",
    "to_come": "quiet",
    "died": "bad",
    "abandoned": "bad",
}

# Paths in a box of 16 by 16, so that no state is told by its colour alone.
SHAPES: dict[str, str] = {
    Status.ENQUEUED: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 2a4 4 0 1 1 0 8 4 4 0 0 1 0-8z",
    Status.RUNNING: "M4 2l10 6-10 6z",
    Status.INTERRUPTED: "M3 2l8 6-8 6zM12 2h2v12h-2z",
    Status.WAITING: "M3 1h10v2L9.5 8 13 13v2H3v-2l3.5-5L3 3z",
    Status.PAUSING: "M3 2h4v12H3zm1.5 1.5v9h1v-9zM9 2h4v12H9zm1.5 1.5v9h1v-9z",
    Status.PAUSED: "M3 2h4v12H3zM9 2h4v12H9z",
    Status.CANCELLING: "M2 2h12v12H2zm2 2v8h8V4z",
    Status.CANCELLED: "M2 2h12v12H2z",
    Status.SUCCEEDED: "M6.2 13.6L1.5 8.9l1.9-1.9 2.8 2.8L12.6 3.4l1.9 1.9z",
    Status.FAILED: "M3.4 1.5L8 6.1l4.6-4.6 1.9 1.9L9.9 8l4.6 4.6-1.9 1.9L8 9.9l-4.6 4.6-1.9-1.9L6.1 8 1.5 3.4z",
    Status.DISCARDED: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zM4 7h8v2H4z",
    STALLED: "M8 1l7.5 14H.5zM7 6v4h2V6zm0 5.5v2h2v-2z",
}
SHAPES |= {
    StepRecord.Status.COMPLETED: SHAPES[Status.SUCCEEDED],
    StepRecord.Status.TIMED_OUT: SHAPES[Status.WAITING],
    "to_come": SHAPES[Status.ENQUEUED],
    "died": SHAPES[Status.FAILED],
    "abandoned": SHAPES[Status.CANCELLED],
}

REASONS: dict[str, _StrPromise] = {
    "stopping": gettext_lazy("the worker was told to stop"),
    "timeout": gettext_lazy("its time was up"),
    "max_runtime": gettext_lazy("it yielded to other jobs"),
    "isolating": gettext_lazy("a step gets an execution of its own"),
    "paused": gettext_lazy("it was paused"),
    "cancelled": gettext_lazy("it was cancelled"),
    "waiting": gettext_lazy("it waits"),
    "orphaned": gettext_lazy("its worker died"),
    "superseded": gettext_lazy("another execution took over"),
    "database": gettext_lazy("the database was away"),
    "error": gettext_lazy("an error"),
    "crash": gettext_lazy("its process died"),
    "forced": gettext_lazy("it was taken away by force"),
    "handled": gettext_lazy("an error that the job handled"),
}

OUTCOMES: dict[str, _StrPromise] = {
    **{str(value): label for value, label in Status.choices},
    "died": gettext_lazy("died"),
    "abandoned": gettext_lazy("abandoned"),
}

KINDS: dict[str, _StrPromise] = {
    StepRecord.Kind.EVENT: gettext_lazy("waits for an event"),
    StepRecord.Kind.SLEEP: gettext_lazy("sleeps"),
    StepRecord.Kind.CHILDREN: gettext_lazy("waits for children"),
}


def reason(code: str) -> str:
    """Why an execution ended. A reason of the job's own stands as it is."""
    return str(REASONS.get(code, code))


def outcome(code: str) -> str:
    """How an execution ended."""
    return str(OUTCOMES.get(code, code))


def state(code: str, word: str) -> SafeString:
    """A state as shape, word and colour."""
    return format_html(
        '<span class="continuations-state continuations-tone-{}">{}<span>{}</span></span>',
        TONES.get(code, "quiet"),
        shape(code),
        word,
    )


def shape(code: str) -> SafeString:
    """The shape of a state, for eyes only."""
    return format_html(
        '<svg class="continuations-shape" viewBox="0 0 16 16" width="12" height="12" aria-hidden="true" '
        'focusable="false"><path fill="currentColor" fill-rule="evenodd" d="{}"/></svg>',
        SHAPES.get(code, SHAPES[Status.ENQUEUED]),
    )


def grouped(number: float) -> str:
    """A whole number as people of this language write it."""
    return str(formats.number_format(round(number), decimal_pos=0, use_l10n=True, force_grouping=True))


def percent(fraction: float) -> str:
    """A share, rounded down: only what is done is at 100 %."""
    return gettext("%(number)s %%") % {"number": int(fraction * 100)}


def duration(seconds: float) -> str:
    """A span of time in its two largest units."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return gettext("%(s)d s") % {"s": whole}
    if whole < 3600:
        return gettext("%(min)d min %(s)d s") % {"min": whole // 60, "s": whole % 60}
    if whole < 86400:
        return gettext("%(h)d h %(min)d min") % {"h": whole // 3600, "min": whole % 3600 // 60}
    return gettext("%(d)d d %(h)d h") % {"d": whole // 86400, "h": whole % 86400 // 3600}


def rough(seconds: float) -> str:
    """A span of time in its largest unit."""
    whole = max(round(seconds), 0)
    for size, word in ((86400, gettext("%d d")), (3600, gettext("%d h")), (60, gettext("%d min"))):
        if whole >= size:
            return word % (whole // size)
    return gettext("%d s") % whole


def rate(per_second: float) -> str:
    """A speed, in a unit in which it is a number to read."""
    if per_second <= 0:
        return ""
    for factor, pattern in ((1, gettext("%s/s")), (60, gettext("%s/min")), (3600, gettext("%s/h"))):
        if per_second * factor >= 1:
            return pattern % grouped(per_second * factor)
    return gettext("%s/d") % grouped(per_second * 86400)


def when(moment: dt.datetime | None, now: dt.datetime) -> SafeString | str:
    """A moment as its distance from now; the exact time is its title, and what machines read."""
    if moment is None:
        return ""
    seconds = (now - moment).total_seconds()
    text = gettext("%s ago") % rough(seconds) if seconds >= 0 else gettext("in %s") % rough(-seconds)
    return format_html(
        '<time datetime="{}" title="{}" data-continuations-when>{}</time>', moment.isoformat(), exact(moment), text
    )


def exact(moment: dt.datetime) -> str:
    """A moment to the second, in the active time zone, with its name."""
    local = timezone.localtime(moment)
    return f"{formats.date_format(local, 'DATE_FORMAT')} {local:%H:%M:%S} {local:%Z}"


def clock(moment: dt.datetime) -> SafeString:
    """A moment as the time of day, with its day where that is another."""
    local = timezone.localtime(moment)
    today = timezone.localdate() == local.date()
    text = f"{local:%H:%M:%S}" if today else f"{formats.date_format(local, 'SHORT_DATE_FORMAT')} {local:%H:%M:%S}"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact(moment), text)


def counted(processed: int, total: int | None) -> str:
    """How much is done: without a total, beyond it, or as a share of it."""
    if total is None:
        return gettext("%s done") % grouped(processed) if processed else ""
    if processed > total:
        values = {"done": grouped(processed), "total": grouped(total)}
        return gettext("%(done)s done, %(total)s expected") % values
    return gettext("%(done)s of %(total)s") % {"done": grouped(processed), "total": grouped(total)}


def steps_done(count: int) -> str:
    """How many steps there were."""
    return ngettext("%s step", "%s steps", count) % grouped(count)


PAUSE = pgettext_lazy("button", "Pause")
RESUME = pgettext_lazy("button", "Resume")
CANCEL = pgettext_lazy("button", "Cancel…")
FORCE_PAUSE = pgettext_lazy("button", "Force the pause…")
FORCE_CANCEL = pgettext_lazy("button", "Force the cancellation…")
RETRY = pgettext_lazy("button", "Retry")
RERUN = pgettext_lazy("button", "Run again from a step…")
EDIT_CURSOR = pgettext_lazy("button", "Edit the cursor…")
SEND = pgettext_lazy("button", "Send an event…")
FOLLOW_UP = pgettext_lazy("button", "Follow up again")
