"""How far a step is, how fast, and how long it still takes."""

from __future__ import annotations

import datetime as dt

from django.utils import formats
from django.utils.translation import gettext as _

from ..records import StepRecord
from .quantities import duration, number


def progress(step: StepRecord) -> str:
    """How much is done, and of how much if that is known. Empty if the step does not count."""
    if step.total is None:
        return number(step.processed) if step.processed else ""
    facts = {"done": number(step.processed), "total": number(step.total), "percent": percent(step)}
    if step.total == 0 or step.processed > step.total:
        return _("%(done)s, %(total)s expected") % facts
    return _("%(done)s of %(total)s (%(percent)s %%)") % facts


def percent(step: StepRecord) -> int | None:
    """Percent done, rounded down; None if it is not known."""
    return min(100, 100 * step.processed // step.total) if step.total else None


def rate(step: StepRecord) -> float | None:
    """Items per second of work, over all its executions; None if there is nothing to tell from."""
    return step.processed / step.busy_seconds if step.processed and step.busy_seconds > 0 else None


def pace(step: StepRecord) -> str:
    """`rate` as text, per second, minute or hour; empty if it is not known."""
    per_second = rate(step)
    if per_second is None:
        return ""
    if per_second >= 1:
        return _("%(n)s a second") % {"n": _rounded(per_second)}
    if per_second * 60 >= 1:
        return _("%(n)s a minute") % {"n": _rounded(per_second * 60)}
    return _("%(n)s an hour") % {"n": _rounded(per_second * 3600)}


def remaining(step: StepRecord) -> dt.timedelta | None:
    """Work left in a step in progress, at its rate so far; None if it is not known."""
    per_second = rate(step)
    if per_second is None or step.total is None or step.status != StepRecord.Status.RUNNING:
        return None
    return dt.timedelta(seconds=max(0, step.total - step.processed) / per_second)


def left(step: StepRecord) -> str:
    """`remaining` as text; empty if it is not known."""
    found = remaining(step)
    return "" if found is None else _("%(time)s left") % {"time": duration(found)}


def _rounded(value: float) -> str:
    return number(round(value)) if value >= 10 else formats.number_format(value, 1, use_l10n=True)
