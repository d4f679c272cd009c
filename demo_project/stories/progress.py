"""How one continuation is getting on, read at one moment, in the words of the package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db.models import prefetch_related_objects
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from continuations import words
from continuations.admin.timeline import Timeline
from continuations.admin.words import outcome, state
from continuations.models import Continuation
from continuations.records import StepRecord
from continuations.transitions import OWNED

from .live import etag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.utils.safestring import SafeString

    from continuations.records import Execution


# Characters of an error's message that are shown.
LONGEST = 500


def cursor_text(cursor: Any) -> str:
    """A cursor as it is; None as nothing."""
    return "" if cursor is None else words.shorten(str(cursor))


@dataclass(frozen=True)
class StepLine:
    """A step of the job, met or to come."""

    name: str
    record: StepRecord | None
    # An execution works on it now.
    moves: bool
    describe: Callable[[Any], str]

    @property
    def state(self) -> SafeString:
        if self.record is None:
            return state("to_come", _("to come"))
        if self.record.status == StepRecord.Status.RUNNING and not self.moves:
            return state(Continuation.Status.INTERRUPTED, _("in progress"))
        return state(self.record.status, self.record.get_status_display())

    @property
    def counts(self) -> bool:
        """There is a bar to draw."""
        return bool(self.record and self.record.total)

    @property
    def progress(self) -> str:
        return words.progress(self.record) if self.record else ""

    @property
    def pace(self) -> str:
        """Items a second, and the time left."""
        if self.record is None:
            return ""
        return ", ".join(filter(None, [words.pace(self.record), words.left(self.record) if self.moves else ""]))

    @property
    def cursor(self) -> str:
        return self.describe(self.record.cursor) if self.record else ""


@dataclass(frozen=True)
class ExecutionLine:
    """One execution, and why it ended."""

    execution: Execution
    describe: Callable[[Any], str]

    @property
    def state(self) -> SafeString:
        code = self.execution.outcome or Continuation.Status.RUNNING
        return state(code, outcome(code))

    @property
    def why(self) -> str:
        return words.why_ended(self.execution)

    @property
    def ended_text(self) -> str:
        """State and reason as one text."""
        text = outcome(self.execution.outcome or Continuation.Status.RUNNING)
        return f"{text}: {self.why}" if self.why and self.execution.reason else text

    @property
    def before(self) -> str:
        return self.describe(self.execution.cursor_before)

    @property
    def after(self) -> str:
        return self.describe(self.execution.cursor_after)


@dataclass(frozen=True)
class Bar:
    """An execution on the axis of all of them. Places are attributes of SVG, so they are never localised."""

    number: int
    x: str
    width: str
    middle: str
    tone: str
    title: str


class Progress:
    """One continuation with its steps and executions. Given None, that of something whose continuation was pruned.

    `steps` names those that are to come, in their order; `describe_cursor` puts a cursor into words.
    """

    def __init__(
        self,
        continuation: Continuation | None,
        *,
        steps: Sequence[str] = (),
        describe_cursor: Callable[[Any], str] = cursor_text,
    ) -> None:
        self.continuation = continuation
        self.now = timezone.now()
        self._names = steps
        self._describe = describe_cursor
        if continuation:
            prefetch_related_objects([continuation], "steps", "execution_records")

    @property
    def is_finished(self) -> bool:
        """Nothing will change any more, unless somebody retries it."""
        return self.continuation is None or self.continuation.is_finished

    @property
    def status(self) -> str:
        return self.continuation.status if self.continuation else "unknown"

    @property
    def status_text(self) -> str:
        return str(self.continuation.get_status_display()) if self.continuation else _("no longer recorded")

    @property
    def state(self) -> SafeString:
        """Word, shape and colour."""
        return state(self.status, self.status_text)

    @property
    def why(self) -> str:
        """Why nothing goes on; empty while it runs, and after a failure, whose error says it."""
        if self.can_retry:
            return ""
        return words.why_stopped(self.continuation, self.current, self.now) if self.continuation else ""

    @property
    def current(self) -> StepRecord | None:
        """The step in progress."""
        return next((step for step in self._records if step.status == StepRecord.Status.RUNNING), None)

    @cached_property
    def steps(self) -> list[StepLine]:
        records = {record.name: record for record in self._records}
        names = dict.fromkeys([*records, *self._names])
        moves = self.continuation is not None and self.continuation.status in OWNED
        return [StepLine(name, records.get(name), moves, self._describe) for name in names]

    def step(self, name: str) -> StepLine | None:
        """The step of that name, if the job has one."""
        return next((line for line in self.steps if line.name == name), None)

    @cached_property
    def executions(self) -> list[ExecutionLine]:
        return [ExecutionLine(execution, self._describe) for execution in self._executions]

    @property
    def bars(self) -> list[Bar]:
        """The executions side by side; the time between them is folded."""
        lines = zip(Timeline(self._executions, self.now).segments, self.executions, strict=True)
        return [
            Bar(
                number=segment.number,
                x=_percent(segment.left),
                width=_percent(segment.right - segment.left),
                middle=_percent((segment.left + segment.right) / 2),
                tone=segment.tone,
                title=line.ended_text,
            )
            for segment, line in lines
        ]

    @property
    def error(self) -> str:
        """Class and message of the last error."""
        if not self.continuation or not self.continuation.error_class:
            return ""
        name = self.continuation.error_class.rpartition(".")[2]
        return words.shorten(f"{name}: {self.continuation.error_message}", LONGEST)

    @property
    def can_retry(self) -> bool:
        return self.status == Continuation.Status.FAILED

    @property
    def what_retry_does(self) -> str:
        """In words, where it would go on."""
        cursor = self._describe(self.current.cursor) if self.current else ""
        if self.current is None or not cursor:
            choices = words.safe_now(self.continuation, self.current, self.now) if self.continuation else []
            return next((choice.consequence for choice in choices if choice.verb == "retry"), "")
        return _("Goes on in step %(step)s at %(cursor)s.") % {"step": self.current.name, "cursor": cursor}

    @property
    def admin_url(self) -> str:
        """Its page in the admin; empty once it was pruned."""
        return (
            reverse("admin:continuations_continuation_change", args=[self.continuation.pk]) if self.continuation else ""
        )

    @property
    def facts(self) -> list[Any]:
        """What a page of it shows, for `etag` together with what the story adds."""
        if self.continuation is None:
            return [None]
        row = self.continuation
        facts: list[Any] = [row.pk, row.status, row.reason, row.requested_at, row.run_after, row.error_class]
        facts += [(step.status, step.sequence, step.processed) for step in self._records]
        facts += [(each.number, each.finished_at) for each in self._executions]
        if row.run_after is not None and row.run_after > self.now:
            # "in 4 s" is another text every second.
            facts.append(int((row.run_after - self.now).total_seconds()))
        return facts

    @property
    def etag(self) -> str:
        """Changes whenever a page of it would."""
        return etag(*self.facts)

    @property
    def _records(self) -> list[StepRecord]:
        return list(self.continuation.steps.all()) if self.continuation else []

    @property
    def _executions(self) -> list[Execution]:
        return list(self.continuation.execution_records.all()) if self.continuation else []


def _percent(share: float) -> str:
    return f"{share * 100:.2f}%"
