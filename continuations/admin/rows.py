"""A row of the list: one continuation with its current step, and the cells that show it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.db.models import Case, OuterRef, Subquery, Value, When
from django.db.models.functions import JSONObject, Left
from django.utils import timezone
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext

from .. import masking
from ..querysets import SILENCE
from ..records import StepRecord
from ..transitions import FINISHED, OWNED, Status
from ..words import number, reason_of, shorten
from . import words
from .progress import bar, counts, fraction

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..models import Continuation
    from ..querysets import ContinuationQuerySet

# What the cells show, and nothing else: arguments, results and tracebacks may be large.
COLUMNS = (
    "job_path",
    "queue_name",
    "status",
    "key",
    "executions",
    "reason",
    "run_after",
    "waiting_for",
    "request_by",
    "requested_at",
    "error_class",
    "follow_up_failed_at",
    "created_at",
    "started_at",
    "finished_at",
)
# Characters of an error that are loaded, since the engine's begin with the name of the job, and those that are shown.
MESSAGE_LOADED = 200
MESSAGE_LENGTH = 80


def shown(rows: ContinuationQuerySet) -> ContinuationQuerySet:
    """`rows` with what their cells need, in one query."""
    silent = When(heartbeat_at__lt=timezone.now() - SILENCE, then=Value(1))
    steps = StepRecord.objects.using(rows.db).filter(continuation=OuterRef("pk")).order_by("-position")
    current = JSONObject(
        position="position",
        name="name",
        kind="kind",
        status="status",
        processed="processed",
        total="total",
        busy_seconds="busy_seconds",
        silent=Case(silent, default=Value(0)),
    )
    return rows.only(*COLUMNS).annotate(
        current_step=Subquery(steps.values(json=current)[:1]), error_start=Left("error_message", MESSAGE_LOADED)
    )


class Row:
    """The cells of one continuation that came from `shown`."""

    def __init__(self, continuation: Any, now: dt.datetime | None = None) -> None:
        self.continuation: Continuation = continuation
        self.now = now or timezone.now()
        found = dict(continuation.current_step or {})
        self._is_silent = bool(found.pop("silent", False))
        self._step = StepRecord(**found) if found else None
        self._error: str = continuation.error_start

    @property
    def is_stalled(self) -> bool:
        """An execution owns it and has given no sign of life for long."""
        step = self._step
        running = step is not None and step.status == StepRecord.Status.RUNNING
        return self.continuation.status in OWNED and running and self._is_silent

    def job(self) -> SafeString:
        """The class, the end of the id, the key."""
        row = self.continuation
        return format_html(
            '<span data-continuations-row="{}"{}>{}</span> '
            '<span class="continuations-quiet continuations-id-end">…{}</span>{}',
            row.pk,
            "" if row.is_finished else " data-continuations-active",
            words.breakable(row.job_name),
            str(row.pk)[-6:],
            format_html(' <span class="continuations-quiet">{}</span>', row.key) if row.key else "",
        )

    def state(self) -> SafeString:
        """The state, and what there is to say about it."""
        row = self.continuation
        if self.is_stalled:
            shown = words.state(words.STALLED, str(words.STALLED_WORD))
        else:
            shown = words.state(row.status, row.get_status_display())
        note = self._note()
        return (
            format_html('{} <span class="continuations-line continuations-quiet">{}</span>', shown, note)
            if note
            else shown
        )

    def step(self) -> SafeString | str:
        """The number and name of the step, and how far it has come."""
        step = self._step
        if step is None:
            return ""
        if self.continuation.status == Status.SUCCEEDED:
            return words.steps_done(step.position + 1)
        name = format_html('<span class="continuations-name">{}</span>', step.name)
        progress = self._progress(step)
        line = format_html("{} {}", pgettext("number of a step", "%d:") % (step.position + 1), name)
        return format_html('{} <span class="continuations-line">{}</span>', line, progress) if progress else line

    def started(self) -> SafeString | str:
        """When it first ran, or since when it has waited for that."""
        row = self.continuation
        if row.started_at is not None:
            return words.when(row.started_at, self.now)
        return format_html(
            '<span class="continuations-quiet">{} {}</span>',
            pgettext("before a time", "enqueued"),
            words.when(row.created_at, self.now),
        )

    def runs(self) -> str:
        """How many executions there were."""
        return number(self.continuation.executions)

    def error(self) -> SafeString | str:
        """The last error's class and the beginning of its message."""
        row = self.continuation
        name = row.error_class.rpartition(".")[2]
        # Arguments are not loaded, so a secret could not be found in the message.
        message = self._error if masking.names_known(row.job_path) == frozenset() else ""
        lines = [(words.breakable(name), self._short(message))] if name else []
        if row.follow_up_failed_at is not None:
            lines.append((conditional_escape(gettext("follow-up failed")), ""))
        return format_html_join(
            " ", '<span class="continuations-message"><strong class="continuations-bad">{}</strong> {}</span>', lines
        )

    def cells(self) -> dict[str, str]:
        """Every cell that may change, by name."""
        return {name: str(cell(self)) for name, cell in CELLS.items()}

    def _short(self, message: str) -> str:
        """Without what the row says anyway."""
        row = self.continuation
        text = " ".join(message.split()).removeprefix(f"{row.job_name} {row.pk} ")
        return shorten(text, MESSAGE_LENGTH)

    def _progress(self, step: StepRecord) -> SafeString | str:
        """A bar where it is known how much there is, and the counts."""
        text = counts(step, runs=self.continuation.status == Status.RUNNING and not self.is_stalled)
        share = fraction(step)
        if share is None:
            return text
        return format_html('{} <span class="continuations-quiet">{}</span>', bar(share, step.name), text)

    def _note(self) -> SafeString | str:
        row = self.continuation
        if self.is_stalled or row.status in FINISHED - {Status.CANCELLED}:
            return ""
        if row.status in (Status.PAUSED, Status.PAUSING, Status.CANCELLED, Status.CANCELLING):
            return gettext("by %s") % row.request_by if row.request_by else ""
        if row.status == Status.WAITING and row.waiting_for:
            return gettext("for %s") % row.waiting_for
        if row.run_after is not None and row.run_after > self.now:
            return words.when(row.run_after, self.now)
        return reason_of(row.reason) if row.status in (Status.INTERRUPTED, Status.WAITING) else ""


CELLS: dict[str, Callable[[Row], SafeString | str]] = {
    "state": Row.state,
    "step": Row.step,
    "started": Row.started,
    "runs": Row.runs,
    "error": Row.error,
}
