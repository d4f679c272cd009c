"""How far a step has come, as a bar and in words."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..records import StepRecord
from ..words import left, pace, progress


def fraction(step: StepRecord) -> float | None:
    """How much is done, from 0 to 1; None if nobody knows how much there is."""
    return min(step.processed / step.total, 1.0) if step.total else None


def counts(step: StepRecord, *, runs: bool) -> str:
    """What is done and how fast it goes; while it `runs`, how long it still takes."""
    parts = [progress(step), pace(step), left(step) if runs else ""]
    # A sign alone on a line is not read.
    return " · ".join(filter(None, parts)).replace(" %", "\N{NO-BREAK SPACE}%")


def bar(share: float, name: str) -> SafeString:
    """A bar that needs no style: `share` of it is full. `name`: of what."""
    # Text, since a number would be localised.
    value, label = f"{share * 100:.1f}", gettext("Progress of %s") % name
    return format_html(
        '<progress class="continuations-bar" value="{}" max="100" aria-label="{}"></progress>', value, label
    )
