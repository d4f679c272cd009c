"""What is shown of a continuation, in words, with a shape and a tone for each state."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from django.utils import formats, timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language_bidi, gettext, gettext_lazy, ngettext, pgettext_lazy

from ..moments import as_local
from ..records import StepRecord
from ..transitions import Status
from ..words import ago, number, reason_of, until

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    from ..models import Execution

# A state that no column holds: an execution owns it and gives no sign of life.
STALLED = "stalled"
STALLED_WORD = gettext_lazy("stalled")

# Between a small letter and a capital.
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

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


def outcome(code: str) -> str:
    """How an execution ended."""
    return str(OUTCOMES.get(code, code))


def ended(execution: Execution) -> str:
    """How and why an execution ended, with its number; that it runs, if it has not."""
    values = {"number": execution.number, "outcome": outcome(execution.outcome or Status.RUNNING)}
    text = gettext("Execution %(number)s: %(outcome)s") % values
    why = reason_of(execution.reason)
    return f"{text} ({why})." if why else f"{text}."


def isolated(text: str) -> str:
    """What may be in another language, so that it does not turn round the sentence that it stands in."""
    return f"\N{FIRST STRONG ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}" if text and get_language_bidi() else text


def breakable(name: str) -> SafeString:
    """The name of a class, which may be broken into lines before a capital."""
    return mark_safe(HUMP.sub("<wbr>", escape(name)))  # noqa: S308 — escaped


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


def when(moment: dt.datetime | None, now: dt.datetime) -> SafeString | str:
    """A moment as its distance from now; the exact time is its title, and what machines read."""
    if moment is None:
        return ""
    text = ago(moment, now) if moment <= now else until(moment, now)
    return format_html(
        '<time datetime="{}" title="{}" data-continuations-when>{}</time>', moment.isoformat(), exact(moment), text
    )


def exact(moment: dt.datetime) -> str:
    """A moment to the second, in the active time zone, with its name, and in UTC where that is another."""
    local = as_local(moment)
    text = f"{formats.date_format(local, 'DATE_FORMAT')} {local:%H:%M:%S} {local:%Z}".rstrip()
    return f"{text} ({local.astimezone(dt.UTC):%H:%M:%S} UTC)" if local.utcoffset() else text


def clock(moment: dt.datetime) -> SafeString:
    """A moment as the time of day, with its day where that is another."""
    local = as_local(moment)
    today = as_local(timezone.now()).date() == local.date()
    text = f"{local:%H:%M:%S}" if today else f"{formats.date_format(local, 'SHORT_DATE_FORMAT')} {local:%H:%M:%S}"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact(moment), text)


def steps_done(count: int) -> str:
    """How many steps there were."""
    return ngettext("%s step", "%s steps", count) % number(count)


PAUSE = pgettext_lazy("button", "Pause")
RESUME = pgettext_lazy("button", "Resume")
CANCEL = pgettext_lazy("button", "Cancel…")
# Beside “Back”, “Cancel” could mean either.
REALLY_CANCEL = pgettext_lazy("button", "Yes, cancel it")
REALLY_CANCEL_MANY = pgettext_lazy("button", "Yes, cancel them")
FORCE_PAUSE = pgettext_lazy("button", "Force the pause…")
FORCE_CANCEL = pgettext_lazy("button", "Force the cancellation…")
RETRY = pgettext_lazy("button", "Retry")
RERUN = pgettext_lazy("button", "Run again from a step…")
EDIT_CURSOR = pgettext_lazy("button", "Edit the cursor…")
SEND = pgettext_lazy("button", "Send an event…")
FOLLOW_UP = pgettext_lazy("button", "Follow up again")
