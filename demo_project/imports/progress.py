"""How an import is getting on, in the words of its page."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db.models import prefetch_related_objects
from django.utils.formats import number_format
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from continuations.models import Continuation

from .tally import Tally

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet

    from continuations.models import Execution, StepRecord

    from .models import AirportImport, BadRow

STEPS = ("validate", "load", "derive", "finalise")
# A file may have thousands.
BAD_ROWS_SHOWN = 50
OUTCOMES = {**dict(Continuation.Status.choices), "died": gettext_lazy("died")}
REASONS = {
    "stopping": gettext_lazy("the worker was told to stop"),
    "timeout": gettext_lazy("its time was up"),
    "orphaned": gettext_lazy("its worker died"),
    "paused": gettext_lazy("somebody paused it"),
    "cancelled": gettext_lazy("somebody cancelled it"),
    "error": gettext_lazy("an error, after which it goes on"),
    "crash": gettext_lazy("its process was killed"),
    "superseded": gettext_lazy("another execution took over"),
}


def grouped(number: float) -> str:
    """A count as people of this language write it."""
    return number_format(number, decimal_pos=0, force_grouping=True)


@dataclass(frozen=True)
class StepLine:
    """A step of the job, met or not yet."""

    name: str
    record: StepRecord | None
    # Working on it: time between executions does not count.
    seconds: float

    @property
    def status(self) -> str:
        return self.record.status if self.record else "pending"

    @property
    def status_text(self) -> str:
        return str(self.record.get_status_display()) if self.record else _("to come")

    @property
    def counts_rows(self) -> bool:
        return bool(self.record and self.record.total)

    @property
    def rows_text(self) -> str:
        if self.record is None or not self.record.total:
            return ""
        values = {"processed": grouped(self.record.processed), "total": grouped(self.record.total)}
        return _("%(processed)s of %(total)s rows") % values

    @property
    def cursor_text(self) -> str:
        return cursor_text(self.record.cursor) if self.record else ""

    @property
    def rate_text(self) -> str:
        if not self.counts_rows or self.record is None or self.seconds <= 0:
            return ""
        return grouped(self.record.processed / self.seconds)


@dataclass(frozen=True)
class ExecutionLine:
    """One execution, and why it ended."""

    execution: Execution

    @property
    def ended_text(self) -> str:
        if self.execution.finished_at is None:
            return _("running")
        outcome = OUTCOMES.get(self.execution.outcome, self.execution.outcome)
        reason = REASONS.get(self.execution.reason, self.execution.reason)
        return f"{outcome}: {reason}" if reason else str(outcome)

    @property
    def before_text(self) -> str:
        return cursor_text(self.execution.cursor_before)

    @property
    def after_text(self) -> str:
        return cursor_text(self.execution.cursor_after)


class ImportProgress:
    """One import with its continuation, read at one moment."""

    def __init__(self, airport_import: AirportImport) -> None:
        self.airport_import = airport_import
        self.continuation = airport_import.continuation
        if self.continuation:
            prefetch_related_objects([self.continuation], "steps", "execution_records")
        self.bad_row_count = airport_import.bad_rows.count()

    @property
    def is_finished(self) -> bool:
        """Nothing on the page will change any more."""
        return self.continuation is None or self.continuation.is_finished

    @property
    def status(self) -> str:
        return self.continuation.status if self.continuation else "unknown"

    @property
    def status_text(self) -> str:
        return str(self.continuation.get_status_display()) if self.continuation else _("no longer recorded")

    @cached_property
    def steps(self) -> list[StepLine]:
        records = {record.name: record for record in self.continuation.steps.all()} if self.continuation else {}
        return [StepLine(name, record := records.get(name), self._seconds(record)) for name in STEPS]

    @cached_property
    def executions(self) -> list[ExecutionLine]:
        return [ExecutionLine(execution) for execution in self._executions]

    @cached_property
    def bad_rows(self) -> QuerySet[BadRow]:
        return self.airport_import.bad_rows.all()[:BAD_ROWS_SHOWN]

    @property
    def bad_row_count_text(self) -> str:
        return grouped(self.bad_row_count)

    @cached_property
    def tally(self) -> Tally | None:
        # The continuation was read after the import, which may have become complete in between.
        complete = self.status == Continuation.Status.SUCCEEDED or self.airport_import.finished_at
        return Tally.of(self.airport_import) if complete else None

    @property
    def etag(self) -> str:
        """Changes whenever the page would."""
        facts: list[Any] = [get_language(), self.status, self.bad_row_count, self.airport_import.finished_at]
        if self.continuation:
            facts += [(step.status, step.sequence) for step in self.continuation.steps.all()]
            facts += [(execution.number, execution.finished_at) for execution in self._executions]
        return f'"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}"'

    @property
    def _executions(self) -> list[Execution]:
        return list(self.continuation.execution_records.all()) if self.continuation else []

    def _seconds(self, record: StepRecord | None) -> float:
        if record is None:
            return 0
        end = record.finished_at or record.heartbeat_at
        return sum(_overlap(execution, record.started_at, end) for execution in self._executions)


def _overlap(execution: Execution, start: datetime, end: datetime) -> float:
    begun, ended = max(execution.started_at, start), min(execution.finished_at or end, end)
    return max((ended - begun).total_seconds(), 0)


def cursor_text(cursor: Any) -> str:
    """A cursor in figures: the line for a row of the file, the key for an airport."""
    match cursor:
        case None:
            return ""
        case (int(offset), int(line)):
            return _("line %(line)s, byte %(offset)s") % {"line": grouped(line), "offset": grouped(offset)}
        case _:
            return str(cursor)
