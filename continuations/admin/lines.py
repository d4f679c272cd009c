"""The lines of the two tables of a page: steps and executions."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..records import Execution, StepRecord
from ..transitions import OWNED, Status
from ..words import duration, reason_of
from . import plain, words
from .progress import bar, counts, fraction

if TYPE_CHECKING:
    from .timeline import Timeline
    from .values import Values
    from .verdict import Facts


# States of a continuation that its step in progress is in, too.
STAND_STILL = frozenset({Status.WAITING, Status.PAUSED, Status.FAILED, Status.DISCARDED, Status.CANCELLED})


@dataclass(frozen=True)
class StepLine:
    """A step, met or to come."""

    number: int
    name: str
    state: SafeString
    kind: str = ""
    bar: SafeString | str = ""
    counts: str = ""
    cursor: str = ""
    result: str = ""
    took: str = ""
    lane: SafeString | str = ""
    record: StepRecord | None = None


@dataclass(frozen=True)
class ExecutionLine:
    """An execution, and why it ended."""

    record: Execution
    started: SafeString
    step: str
    state: SafeString
    waited: str
    ran: str
    before: str
    after: str
    why: str
    error: str


def fraction_of(record: StepRecord, facts: Facts) -> float | None:
    """How much of a step is done, from 0 to 1; its children count if it waits for them. None: nobody knows."""
    if record.kind == StepRecord.Kind.CHILDREN:
        return facts.family.fraction
    return fraction(record)


def step_line(record: StepRecord, facts: Facts, values: Values, timeline: Timeline) -> StepLine:
    """A step that was met."""
    running = record.status == StepRecord.Status.RUNNING
    share = fraction_of(record, facts) if running else None
    code, word = record.status, record.get_status_display()
    if running and facts.is_stalled:
        code, word = words.STALLED, str(words.STALLED_WORD)
    elif running and facts.row.status in STAND_STILL:
        code, word = facts.row.status, facts.row.get_status_display()
    elif running and facts.row.status not in OWNED:
        code, word = Status.INTERRUPTED, gettext("in progress")
    return StepLine(
        number=record.position + 1,
        name=record.name,
        state=words.state(code, word),
        kind=str(words.KINDS.get(record.kind, "")),
        bar="" if share is None else bar(share, record.name),
        counts=counts(record, runs=False),
        cursor=values.shown(record.cursor_json),
        result=values.shown(record.result_json),
        took=duration(record.busy_seconds) if record.kind == StepRecord.Kind.STEP else "",
        lane=timeline.lane(record, facts.now),
        record=record,
    )


def step_to_come(number: int, name: str) -> StepLine:
    """A step that others of the class had."""
    return StepLine(number, name, words.state("to_come", gettext("to come")))


def execution_lines(records: list[Execution], facts: Facts, values: Values) -> list[ExecutionLine]:
    """`records`, which are in order, newest first."""
    ended: list[dt.datetime | None] = [None if facts.row.executions > len(records) else facts.row.created_at]
    ended += [record.finished_at for record in records]
    pairs = zip(records, ended, strict=False)
    return [_execution_line(record, since, facts, values) for record, since in pairs][::-1]


def _execution_line(record: Execution, since: dt.datetime | None, facts: Facts, values: Values) -> ExecutionLine:
    end = record.finished_at or facts.now
    outcome = record.outcome or Status.RUNNING
    error = ": ".join(filter(None, [record.error_class.rpartition(".")[2], record.error_message]))
    step, after = record.step, record.cursor_after_json
    if record == facts.owner and facts.in_progress is not None:
        # As far as it has come: an execution stores its own when it ends.
        step, after = facts.in_progress.name, facts.in_progress.cursor_json
    return ExecutionLine(
        record=record,
        step=step,
        started=words.clock(record.started_at),
        state=words.state(outcome, words.outcome(outcome)),
        waited="" if since is None else duration((record.started_at - since).total_seconds()),
        ran=duration((end - record.started_at).total_seconds()),
        before=values.shown(record.cursor_before_json),
        after=values.shown(after),
        # The error says more.
        why="" if error and record.reason == "error" else reason_of(record.reason),
        error=plain.cut(values.hidden(error)),
    )
