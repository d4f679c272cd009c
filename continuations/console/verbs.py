"""`continuations pause`, `cancel`, `retry` and the others: a line for each continuation that they were used on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandError

from .. import words
from ..codec import encode
from ..errors import ContinuationError
from ..models import Continuation, StepRecord
from . import values
from .options import MANY, VERBS
from .selection import FILTERS, REFUSED, all_for, short_ids, usage_error, with_ids
from .terminal import Terminal, on_one_line

# Options of the command line that are arguments of the methods.
REQUEST = ("by", "reason", "force", "step", "keep_cursor")
# Job classes that are counted by name before a verb is used on all.
CLASSES = 10


@dataclass(frozen=True)
class Used:
    """What became of one continuation: in words what changed, or why nothing did."""

    row: Continuation
    outcome: str
    refused: bool = False

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        row = self.row
        return {
            "id": str(row.pk),
            "job": row.job_path,
            "status": row.status,
            "changed": not self.refused,
            "message": self.outcome,
        }


def run(terminal: Terminal, options: Mapping[str, Any]) -> None:
    """Use a verb on what was chosen, one after the other. Raises a `CommandError` if any of them refused."""
    name = options["verb"]
    rows, more = _chosen(terminal, options) if name in MANY else (with_ids([options["id"]]), False)
    if not rows:
        terminal.note("No continuation matches.")
    verb = {"send": _send, "set-cursor": _set_cursor}.get(name, _one_of_many)
    ids = short_ids(rows)
    done: list[Used] = []
    for row in rows:
        used = _use(verb, row, options, terminal)
        done.append(used)
        if not options["json"]:
            terminal.line(on_one_line(f"{ids[row.pk]} {row.job_name}: {used.outcome}"))
    if options["json"]:
        terminal.document({"verb": name, "continuations": [used.document() for used in done], "more": more})
    if more:
        terminal.note(f"There are more than {options['limit']}: call it again, or see --limit.")
    if refused := sum(used.refused for used in done):
        raise CommandError(f"{refused} of {len(done)} not changed.", returncode=REFUSED)


def _chosen(terminal: Terminal, options: Mapping[str, Any]) -> tuple[Sequence[Continuation], bool]:
    """What a verb for many is to be used on, and whether there is more than that."""
    name, limit = options["verb"], options["limit"]
    given = [each for each in FILTERS if options[each]]
    if options["ids"] and (options["all"] or given):
        raise usage_error("Give ids, or --all with filters, not both.")
    if not options["ids"] and not options["all"]:
        raise usage_error("Which ones? Give ids, or filters and --all, which means all that they match.")
    if len(options["ids"]) > limit:
        raise usage_error(f"{len(options['ids'])} ids are more than {limit}: see --limit.")
    if options["ids"]:
        return with_ids(options["ids"]), False
    rows = all_for(VERBS[name], name, options)
    more, rows = len(rows) > limit, rows[:limit]
    if rows and not options["yes"]:
        _confirm(terminal, options, rows)
    return rows, more


def _confirm(terminal: Terminal, options: Mapping[str, Any], rows: Sequence[Continuation]) -> None:
    """Say what is going to happen, and ask."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise usage_error(f"{len(rows)} match, and nobody is there to be asked: add --yes.")
    counts = Counter(row.job_path for row in rows).most_common()
    jobs = [f"{n} {job}" for job, n in counts[:CLASSES]] + (["others"] if len(counts) > CLASSES else [])
    terminal.note(f"{options['verb']} {len(rows)}: {', '.join(jobs)}.")
    terminal.note(words.consequences(VERBS[options["verb"]], force=bool(options.get("force"))))
    terminal.ask("Go on? [y/N] ")
    try:
        answer = input()
    except EOFError:
        answer = ""
    if answer.strip().lower() not in {"y", "yes"}:
        raise CommandError("Nothing was changed.", returncode=REFUSED)


def _use(
    verb: Callable[[Continuation, Mapping[str, Any], Terminal], str],
    row: Continuation,
    options: Mapping[str, Any],
    terminal: Terminal,
) -> Used:
    try:
        return Used(row, verb(row, options, terminal))
    except (ContinuationError, Continuation.DoesNotExist) as error:
        why = str(error).removeprefix(str(row)).lstrip(" :")
    except Exception as error:
        if options["verb"] != "follow-up":
            raise
        # It is the job's own code that ran.
        why = f"its on_success failed again: {type(error).__name__}: {error}"
    return Used(row, f"not changed, {why}", refused=True)


def _one_of_many(row: Continuation, options: Mapping[str, Any], terminal: Terminal) -> str:
    method = VERBS[options["verb"]]
    getattr(row, method)(**{name: options[name] for name in REQUEST if name in options})
    return words.done(method, row)


def _send(row: Continuation, options: Mapping[str, Any], terminal: Terminal) -> str:
    try:
        event = row.send(options["name"], options["value"])
    except ValueError as error:
        raise usage_error(str(error)) from error
    if event.payload_json != encode(options["value"]):
        return f"event {event.name} had come before, and that one counts: {values.text_of(values.payload(event))}"
    return f"event {event.name} sent; {row.status}"


def _set_cursor(row: Continuation, options: Mapping[str, Any], terminal: Terminal) -> str:
    steps = StepRecord.objects.using(row._state.db).filter(continuation=row, name=options["step"])
    before = values.plain(steps.values_list("cursor_json", flat=True).first())
    after = values.plain(encode(options["value"]))
    row.set_cursor(options["step"], options["value"], by=options["by"], reason=options["reason"])
    if before is not None and _kind(before) != _kind(after):
        terminal.note(
            f"Was that meant? The cursor was {_kind(before)} and is {_kind(after)} now. "
            f"To put it back: {values.text_of(before)}"
        )
    return f"step {options['step']}: cursor {values.text_of(before)} -> {values.text_of(after)}"


def _kind(value: Any) -> str:
    """What a value of `values.plain` stands for."""
    if isinstance(value, dict) and "$" in value:
        return f"a {value['$']}"
    names = {type(None): "null", bool: "a bool", int: "an int", float: "a float", str: "a str", list: "a list"}
    return names.get(type(value), "a dict")
