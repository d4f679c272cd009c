"""`continuations show`: the answers first, then what they are taken from."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from django.utils import timezone

from .. import words
from ..models import Execution, StepRecord
from . import documents, values
from .dossier import Dossier, Part, read
from .options import NAMES
from .selection import usage_error, with_ids, with_key
from .table import Column, lines
from .terminal import Terminal, printable
from .times import age_of, clock, full

# Columns for the labels, and for a paragraph where the terminal does not say how wide it is.
LABEL = 11
PARAGRAPH = 100
# Characters of a stored value, and of a traceback, that are shown to people.
VALUE = 2_000
TRACEBACK = 20_000


def run(terminal: Terminal, options: Mapping[str, Any]) -> None:
    """Show the one that an id or a key names."""
    if (options["id"] is None) == (options["key"] is None):
        raise usage_error("Which one? Give an id, or --key.")
    row = with_key(options["key"]) if options["id"] is None else with_ids([options["id"]])[0]
    dossier = read(row.pk, options["limit"])
    if options["json"]:
        terminal.document(document(dossier))
        return
    page = _Page(dossier, terminal)
    for part in (page.header(), page.steps(), page.executions(), page.error(), page.events(), page.children()):
        for line in part:
            terminal.line(line)


def document(dossier: Dossier) -> dict[str, Any]:
    """The whole of it, for programs."""
    row, step = dossier.row, dossier.step
    return {
        **documents.summary(row, step, needs_attention=dossier.needs_attention),
        "moving": words.is_moving(row, step),
        "why_stopped": words.why_stopped(row, step) or None,
        "safe_now": [documents.choice_of(choice) for choice in words.safe_now(row, step)],
        "owner": None if dossier.owner is None else dossier.owner.number,
        "owner_died": dossier.death,
        "listeners": dossier.listeners,
        "arguments": values.arguments(row),
        "attributes": values.attributes(dossier.steps.rows),
        "result": values.plain(row.result_json),
        "traceback": row.error_traceback or None,
        "follow_up_error": row.follow_up_error or None,
        "steps": [documents.whole_step(each) for each in dossier.steps.rows],
        "executions": [
            documents.execution_of(each, dossier.waits.get(each.number)) for each in dossier.executions.rows
        ],
        "events": [documents.event_of(each) for each in dossier.events.rows],
        "parent": None if dossier.parent is None else documents.relative_of(dossier.parent),
        "children": [documents.relative_of(each) for each in dossier.children.rows],
        "children_by_status": dossier.children_by_status,
        "more": {name: getattr(dossier, name).more for name in ("steps", "executions", "events", "children")},
    }


class _Page:
    """The same for people."""

    def __init__(self, dossier: Dossier, terminal: Terminal) -> None:
        self._dossier = dossier
        self._terminal = terminal
        self._now = timezone.now()

    def header(self) -> Iterator[str]:
        dossier, row, step, now = self._dossier, self._dossier.row, self._dossier.step, self._now
        yield self._title(f"{row.job_name} {row.pk}")
        yield self._state()
        yield from self._fact("moving", words.moving(row, step, now))
        yield from self._fact("worker", self._worker())
        yield from self._fact("why", words.why_stopped(row, step, now))
        choices = words.safe_now(row, step, now)
        wide = max((len(_verb(choice)) for choice in choices), default=0)
        for index, choice in enumerate(choices):
            advice = "Recommended. " if choice.recommended else ""
            text = f"{_verb(choice):<{wide}}  {advice}{choice.consequence}"
            yield from self._fact("" if index else "safe now", text, indent=wide + 2)
        if step is not None:
            yield from self._fact("step", f"{step.position + 1} {step.name}")
            # What rests has a moment for a cursor, which is said above.
            yield from self._fact("cursor", _value(step.cursor_json) if step.kind == StepRecord.Kind.STEP else "")
            far = ", ".join(filter(None, [words.progress(step), words.pace(step), words.left(step)]))
            yield from self._fact("progress", far)
        yield from self._fact("request", words.request(row, now))
        yield from self._fact("job", row.job_path)
        yield from self._fact("queue", row.queue_name)
        yield from self._fact("key", row.key or "")
        yield from self._fact("arguments", _value(values.call(row)))
        attributes = values.attributes(dossier.steps.rows)
        yield from self._fact("attributes", "" if attributes is None else _value(values.text_of(attributes)))
        yield from self._fact("result", _value(row.result_json))
        for label, moment in (("created", row.created_at), ("started", row.started_at), ("ended", row.finished_at)):
            yield from self._fact(label, "" if moment is None else f"{full(moment)}, {words.ago(moment, now)}")
        yield from self._fact("due", "" if row.run_after is None else full(row.run_after))
        counts = {"executions": row.executions, "resumptions": row.resumptions}
        counts |= {"crashes in a row": row.crashes, "errors in a row": row.errors}
        yield from self._fact("counts", ", ".join(f"{what} {n}" for what, n in counts.items() if n))
        if dossier.parent is not None:
            parent = dossier.parent
            yield from self._fact("parent", f"{parent.job_name} {parent.pk}, {parent.status}")

    def steps(self) -> Iterator[str]:
        columns = [
            Column("#", right=True),
            Column("STEP", least=8),
            Column("STATE", least=9),
            Column("DONE", least=6, right=True),
            Column("PACE", least=6, right=True),
            Column("WORK", right=True),
            Column("CURSOR", least=8),
            Column("RESULT", least=8),
        ]
        rows = [self._step(each) for each in self._dossier.steps.rows]
        yield from self._table("STEPS", self._dossier.steps, columns, rows)

    def executions(self) -> Iterator[str]:
        columns = [
            Column("#", right=True),
            Column("WORKER", least=8),
            Column("STARTED"),
            Column("WAIT", right=True),
            Column("RUN", right=True),
            Column("CURSOR", least=8),
            Column("ENDED BECAUSE", least=13),
        ]
        rows = [self._execution(each) for each in self._dossier.executions.rows]
        yield from self._table("EXECUTIONS", self._dossier.executions, columns, rows)

    def error(self) -> Iterator[str]:
        row = self._dossier.row
        for title, text in (("ERROR", row.error_traceback), ("ERROR OF THE FOLLOW-UP", row.follow_up_error)):
            if text:
                yield ""
                yield self._title(title)
                # Its end says what happened.
                yield printable(text[-TRACEBACK:].rstrip())

    def events(self) -> Iterator[str]:
        columns = [Column("EVENT", least=8), Column("SENT"), Column("PAYLOAD", least=12)]
        rows = [
            [each.name, clock(each.sent_at), values.text_of(values.payload(each))] for each in self._dossier.events.rows
        ]
        yield from self._table("EVENTS", self._dossier.events, columns, rows)

    def children(self) -> Iterator[str]:
        counts = ", ".join(f"{n} {status}" for status, n in self._dossier.children_by_status.items())
        columns = [Column("ID"), Column("STATE", paint=self._terminal.state), Column("JOB", least=8)]
        rows = [[str(each.pk), each.status, each.job_name] for each in self._dossier.children.rows]
        yield from self._table(f"CHILDREN: {counts}", self._dossier.children, columns, rows)

    def _state(self) -> str:
        row = self._dossier.row
        state = self._terminal.state(f"{row.status} !" if self._dossier.needs_attention else row.status)
        return f"{'state':<{LABEL}}{state}"

    def _worker(self) -> str:
        dossier = self._dossier
        if dossier.owner is None:
            return words.listening(dossier.row.queue_name, dossier.listeners)
        where = f"execution {dossier.owner.number}, {words.where(dossier.owner)}"
        return f"{where}; {words.dead(dossier.death)}" if dossier.death else where

    def _step(self, step: StepRecord) -> list[str]:
        status = "in progress" if step.status == StepRecord.Status.RUNNING else step.status
        per_second = words.rate(step)
        return [
            str(step.position + 1),
            step.name,
            status if step.kind == StepRecord.Kind.STEP else f"{step.kind}, {status}",
            str(step.processed or "") if step.total is None else f"{step.processed}/{step.total}",
            "" if per_second is None else f"{per_second:,.1f}/s",
            f"{step.busy_seconds:.1f}s",
            _cell(step.cursor_json),
            _cell(step.result_json),
        ]

    def _execution(self, execution: Execution) -> list[str]:
        wait = self._dossier.waits.get(execution.number)
        end = execution.finished_at
        running = self._dossier.owner is not None and execution.pk == self._dossier.owner.pk
        before, after = (_cell(each) for each in (execution.cursor_before_json, execution.cursor_after_json))
        return [
            str(execution.number),
            execution.worker or (f"{execution.host} {execution.pid}" if execution.pid else ""),
            clock(execution.started_at),
            "" if wait is None else age_of(wait),
            age_of((self._now if end is None else end) - execution.started_at) if running or end else "",
            f"{before} -> {after}" if before or after else "",
            "runs" if running else words.why_ended(execution) or "nobody knows",
        ]

    def _table(self, title: str, part: Part[Any], columns: list[Column], rows: list[list[str]]) -> Iterator[str]:
        if not rows:
            return
        yield ""
        yield self._title(f"{title} (the latest {len(rows)}; see --limit)" if part.more else title)
        yield from lines(columns, rows, self._terminal.columns)

    def _fact(self, label: str, text: str, *, indent: int = 0) -> Iterator[str]:
        if not text:
            return
        wide = max((self._terminal.columns or PARAGRAPH) - LABEL, 40)
        paragraph = textwrap.wrap(
            printable(text), wide, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
        )
        for index, line in enumerate(paragraph):
            yield f"{'' if index else label:<{LABEL}}{line}"

    def _title(self, text: str) -> str:
        return str(self._terminal.style.MIGRATE_HEADING(printable(text)))


def _verb(choice: words.Choice) -> str:
    return f"{NAMES[choice.verb]} --force" if choice.force else NAMES[choice.verb]


def _value(text: str | None) -> str:
    return "" if text is None else words.shorten(text, VALUE)


def _cell(text: str | None) -> str:
    return "" if text is None else words.shorten(text)
