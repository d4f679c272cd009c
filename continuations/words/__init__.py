"""What a person wants to know of a continuation, in short sentences: for the admin and for the command line.

From rows that were read already to plain text in the active language, not escaped. Nothing here asks the database, and
nothing here decides anything. `step` is always the step in progress, or None; `now` is the present unless it is given.
"""

from .amounts import left, pace, percent, progress, rate, remaining
from .choices import Choice, can_force, consequences, done, safe_now
from .facts import dead, error_line, in_short, is_limited, is_moving, listening, moving, place, request, where
from .quantities import ago, duration, number, shorten, until
from .reasons import because, reason_of, why_ended, why_stopped

__all__ = [
    "Choice",
    "ago",
    "because",
    "can_force",
    "consequences",
    "dead",
    "done",
    "duration",
    "error_line",
    "in_short",
    "is_limited",
    "is_moving",
    "left",
    "listening",
    "moving",
    "number",
    "pace",
    "percent",
    "place",
    "progress",
    "rate",
    "reason_of",
    "remaining",
    "request",
    "safe_now",
    "shorten",
    "until",
    "where",
    "why_ended",
    "why_stopped",
]
