"""How far a step has come, how fast it goes, and how long it will take."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from . import words


@dataclass(frozen=True)
class Progress:
    """Counts of a step. `busy_seconds`: spent running, so that waiting does not make it look slow."""

    processed: int
    total: int | None
    busy_seconds: float

    @property
    def fraction(self) -> float | None:
        """From 0 to 1; None if nobody knows how much there is."""
        return min(self.processed / self.total, 1.0) if self.total else None

    @property
    def per_second(self) -> float:
        """Items in a second of work."""
        return self.processed / self.busy_seconds if self.busy_seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds of work until the step is done, if it goes on like this."""
        if not self.total or self.processed > self.total or not self.per_second:
            return None
        return (self.total - self.processed) / self.per_second

    @property
    def counted(self) -> str:
        """The counts in words."""
        return words.counted(self.processed, self.total)

    @property
    def rate(self) -> str:
        """The speed in words."""
        return words.rate(self.per_second)

    @property
    def left(self) -> str:
        """The remaining time in words."""
        seconds = self.seconds_left
        return "" if seconds is None else gettext("%s left") % words.duration(seconds)


def bar(fraction: float, label: str) -> SafeString:
    """A bar that needs no style: `fraction` of it is full."""
    # Text, since a number would be localised.
    value = f"{fraction * 100:.1f}"
    return format_html(
        '<progress class="continuations-bar" value="{}" max="100" aria-label="{}"></progress>', value, label
    )
