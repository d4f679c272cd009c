"""The page of one continuation, read at one moment."""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db.models import Subquery
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..identifiers import rq_job_id
from ..records import Event, Execution, StepRecord
from ..transitions import OWNED, Status
from . import plain, words
from .family import Family
from .lines import ExecutionLine, StepLine, execution_lines, fraction_of, step_line, step_to_come
from .listeners import without_listener
from .past import Past
from .progress import bar, counts
from .timeline import Timeline
from .traces import Trace
from .values import Value, Values
from .verdict import WAITS_FOR_WORKER, Answer, Facts, answers

if TYPE_CHECKING:
    from ..models import Continuation

# What a page bears. The rest is counted.
STEPS = 100
EXECUTIONS = 50
EVENTS = 50


class Page:
    """A continuation with all that its page shows, in as many queries whatever it has been through."""

    def __init__(self, row: Continuation, now: dt.datetime | None = None) -> None:
        self.row = row
        self.now = now or timezone.now()
        self._alias: Any = row._state.db
        self.family = Family(row)

    @cached_property
    def records(self) -> list[StepRecord]:
        """The last `STEPS` steps that were met, in order."""
        found = StepRecord.objects.using(self._alias).filter(continuation=self.row).order_by("-position")
        return list(found[:STEPS])[::-1]

    @cached_property
    def step(self) -> StepRecord | None:
        """The step in progress, or the last one that was completed."""
        return self.records[-1] if self.records else None

    @cached_property
    def values(self) -> Values:
        """Arguments, attributes, cursors and the like."""
        return Values(self.row, None if self.step is None else self.step.attributes_json)

    # The head

    @cached_property
    def facts(self) -> Facts:
        """What the answers are made of."""
        owner = self.row.owner if self.row.status in OWNED else None
        ended = [each for each in self._execution_records if each.pk != owner]
        error = ": ".join(filter(None, [self.row.error_class, self.row.error_message]))
        return Facts(
            row=self.row,
            now=self.now,
            step=self.step,
            cursor="" if self.step is None else self.values.shown(self.step.cursor_json),
            owner=next((each for each in self._execution_records if each.pk == owner), None),
            last=ended[-1] if ended else None,
            family=self.family,
            is_heard=self._is_heard(),
            error=words.isolated(plain.cut(self.values.hidden(error))),
            past=Past(self.row),
        )

    @cached_property
    def answers(self) -> list[Answer]:
        """The questions of three in the morning, answered."""
        return answers(self.facts)

    @property
    def state(self) -> SafeString:
        """The state in word, shape and colour."""
        return words.state(words.STALLED if self.facts.is_stalled else self.row.status, self.state_word)

    @property
    def state_word(self) -> str:
        """The state in a word."""
        return str(words.STALLED_WORD) if self.facts.is_stalled else self.row.get_status_display()

    @property
    def bar(self) -> SafeString | str:
        """How far it has come in the step in progress."""
        step = self.facts.in_progress
        if self.row.status == Status.SUCCEEDED:
            return bar(1.0, self.row.job_name)
        share = None if step is None else fraction_of(step, self.facts)
        return "" if step is None or share is None else bar(share, step.name)

    @property
    def bar_text(self) -> str:
        """The same in words."""
        step = self.facts.in_progress
        if self.row.status == Status.SUCCEEDED and self.records:
            return words.steps_done(self.records[-1].position + 1)
        if step is None:
            return ""
        known = self._to_come is not None
        of = gettext("step %(number)d of %(total)d") if known else gettext("step %(number)d")
        waits_for_children = step.kind == StepRecord.Kind.CHILDREN
        parts = [
            of % {"number": step.position + 1, "total": self.steps[-1].number},
            self.family.text
            if waits_for_children
            else counts(step, runs=self.row.status in OWNED and not self.facts.is_stalled),
        ]
        return " · ".join(filter(None, parts))

    # The tables

    @cached_property
    def timeline(self) -> Timeline:
        """The axis of the bars."""
        return Timeline(self._execution_records, self.now)

    @cached_property
    def steps(self) -> list[StepLine]:
        """Those that were met, and those that are to come if it goes as it went for another of its class."""
        lines = [step_line(record, self.facts, self.values, self.timeline) for record in self.records]
        first = lines[-1].number + 1 if lines else 1
        return lines + [step_to_come(number, name) for number, name in enumerate(self._to_come or (), first)]

    @property
    def earlier_steps(self) -> int:
        """How many are not shown."""
        return self.records[0].position if self.records else 0

    @cached_property
    def executions(self) -> list[ExecutionLine]:
        """The last ones, newest first."""
        return execution_lines(self._execution_records, self.facts, self.values)

    @property
    def earlier_executions(self) -> int:
        """How many are not shown."""
        return max(self.row.executions - len(self._execution_records), 0)

    @cached_property
    def events(self) -> list[tuple[Event, str]]:
        """What was sent to it, newest first, with payloads."""
        found = Event.objects.using(self._alias).filter(continuation=self.row).order_by("-sent_at")[:EVENTS]
        return [(event, self.values.shown(event.payload_json)) for event in found]

    # The rest

    @property
    def result(self) -> str:
        """What `perform` returned."""
        return self.values.shown(self.row.result_json)

    @cached_property
    def trace(self) -> Trace | None:
        """The last error, without what is sensitive."""
        row, hidden = self.row, self.values.hidden
        if not row.error_class:
            return None
        return Trace(row.error_class, plain.cut(hidden(row.error_message)), hidden(row.error_traceback))

    @property
    def follow_up_error(self) -> str:
        """How `on_success` or `on_failure` failed."""
        return plain.cut(self.values.hidden(self.row.follow_up_error))

    @property
    def record(self) -> list[Value]:
        """The plain facts of the row, for whoever reports them."""
        row = self.row
        named = {
            gettext("job class"): row.job_path,
            gettext("queue"): row.queue_name,
            gettext("key"): row.key or "",
            gettext("RQ job"): rq_job_id(row.pk, row.delivery),
            gettext("executions, of which resumed with progress"): f"{row.executions}, {row.resumptions}",
            gettext("crashes in a row, errors in a row"): f"{row.crashes}, {row.errors}",
            gettext("created"): words.exact(row.created_at),
            gettext("enqueued"): words.exact(row.enqueued_at),
            gettext("started"): words.exact(row.started_at) if row.started_at else "",
            gettext("finished"): words.exact(row.finished_at) if row.finished_at else "",
            gettext("last request"): " · ".join(filter(None, [row.request_by, row.request_reason])),
        }
        return [Value(name, text) for name, text in named.items() if text]

    @cached_property
    def _execution_records(self) -> list[Execution]:
        found = Execution.objects.using(self._alias).filter(continuation=self.row).order_by("-number")
        return list(found[:EXECUTIONS])[::-1]

    @cached_property
    def _to_come(self) -> list[str] | None:
        """Names of the steps after those that were met, as in the last of its class that succeeded. None: unknown."""
        if self.row.is_finished and self.row.status != Status.FAILED:
            return None
        rows = type(self.row).objects.using(self._alias)
        last = rows.filter(job_path=self.row.job_path, status=Status.SUCCEEDED).order_by("-created_at")
        steps = StepRecord.objects.using(self._alias).filter(continuation=Subquery(last.values("pk")[:1]))
        names = list(steps.order_by("position").values_list("name", flat=True)[: STEPS + 1])
        met = [record.name for record in self.records]
        return names[len(met) :] if names and names[: len(met)] == met and len(names) <= STEPS else None

    def _is_heard(self) -> bool | None:
        if self.row.status not in WAITS_FOR_WORKER:
            return None
        unheard = without_listener([self.row.queue_name])
        return None if unheard is None else not unheard
