"""Which continuations are meant: by id, by the beginning of an id, by key, by filters."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Q
from django.utils import timezone

from ..conf import database
from ..identifiers import PREFIX, parse_token
from ..models import Continuation
from ..querysets import ContinuationQuerySet
from ..transitions import VERBS, Status

# Exit codes: something was refused; the command line was not understood, and nothing was done.
REFUSED = 1
USAGE = 2

# Hexadecimal digits that the beginning of an id needs at least, and continuations shown when they do not suffice.
DIGITS = 4
CANDIDATES = 5
# Characters of an id that tell it from others in a table: its time to a quarter of a microsecond.
SHORT = 18

FILTERS = ("state", "job", "queue", "key", "attention", "older_than")
# Long texts that a list does not need.
HEAVY = (
    "arguments_json",
    "result_json",
    "rq_options_json",
    "attempts_json",
    "error_traceback",
    "follow_up_error",
)

# The least and the greatest id of version 7, to complete the beginning of one.
_LEAST = "000000000000" + "7000" + "8000" + "000000000000"
_GREATEST = "ffffffffffff" + "7fff" + "bfff" + "ffffffffffff"


def usage_error(message: str) -> CommandError:
    """The command line was not understood; nothing was done."""
    return CommandError(message, returncode=USAGE)


def everything() -> ContinuationQuerySet:
    """All continuations, without their long texts."""
    return Continuation.objects.using(database()).defer(*HEAVY)


def matching(options: Mapping[str, Any]) -> ContinuationQuerySet:
    """What the filters match."""
    rows = everything()
    if options["attention"]:
        rows = rows.needing_attention()
    if options["state"]:
        rows = rows.filter(status__in=options["state"])
    if job := options["job"]:
        rows = rows.filter(Q(job_path__startswith=job) | Q(job_path__endswith=f".{job}"))
    if options["queue"]:
        rows = rows.filter(queue_name=options["queue"])
    if options["key"]:
        rows = rows.filter(key=options["key"])
    if options["older_than"] is not None:
        rows = rows.filter(created_at__lt=timezone.now() - options["older_than"])
    return rows


def all_for(method: str, name: str, options: Mapping[str, Any]) -> list[Continuation]:
    """What the filters match and the verb can be used on, oldest first; one more than the limit, if there are more."""
    if not any(options[each] for each in FILTERS):
        raise usage_error(f"--all needs a filter: {', '.join('--' + each.replace('_', '-') for each in FILTERS)}.")
    statuses = VERBS[method]
    if options.get("force"):
        statuses |= {Status.PAUSING if method == "pause" else Status.CANCELLING}
    if not statuses & set(options["state"] or statuses):
        raise usage_error(f"{name} is for what is {', '.join(sorted(statuses))}; not {', '.join(options['state'])}.")
    rows = matching(options).filter(status__in=statuses)
    if method == "follow_up":
        rows = rows.filter(follow_up_failed_at__isnull=False)
    return list(rows.order_by("created_at", "pk")[: options["limit"] + 1])


def with_key(key: str) -> Continuation:
    """The unfinished continuation with this key, or else the latest that had it. Raises `CommandError`."""
    rows = everything()
    found = rows.filter(active_key=key).first() or rows.filter(key=key).order_by("-created_at", "-pk").first()
    if found is None:
        raise usage_error(f"There is no continuation with the key {key!r}.")
    return found


def with_ids(texts: Sequence[str]) -> list[Continuation]:
    """What ids or their beginnings name, in that order, each once.

    Raises a `CommandError` that names all those that are nobody's or somebody else's, too.
    """
    exact = {text: pk for text in texts if (pk := _whole(text)) is not None}
    found = everything().in_bulk(list(exact.values()))
    chosen: dict[uuid.UUID, Continuation] = {}
    problems: list[str] = []
    for text in texts:
        rows = [found[exact[text]]] if exact.get(text) in found else [] if text in exact else _beginning_with(text)
        if len(rows) == 1:
            chosen[rows[0].pk] = rows[0]
        else:
            problems.append(_problem(text, rows))
    if problems:
        raise usage_error("\n".join([*problems, "Nothing was done."]))
    return list(chosen.values())


def short_ids(rows: Iterable[Continuation]) -> dict[uuid.UUID, str]:
    """The beginning of each id, long enough to tell these apart; all of it if they are many at one time."""
    ids = {row.pk: str(row.pk) for row in rows}
    short = {text[:SHORT] for text in ids.values()}
    return {pk: text[:SHORT] if len(short) == len(ids) else text for pk, text in ids.items()}


def _whole(text: str) -> uuid.UUID | None:
    """A whole id, also the one that RQ knows it by."""
    try:
        return parse_token(text.lower().removeprefix(PREFIX))[0]
    except ValueError:
        return None


def _beginning_with(text: str) -> list[Continuation]:
    digits = text.lower().removeprefix(PREFIX).replace("-", "")
    if not re.fullmatch(rf"[0-9a-f]{{{DIGITS},31}}", digits):
        raise usage_error(f"{text!r} is no id: expected one, or its first {DIGITS} hexadecimal digits or more.")
    # A range of ids, which the primary key serves on every database.
    least, greatest = (uuid.UUID(digits + bound[len(digits) :]) for bound in (_LEAST, _GREATEST))
    rows = everything().filter(pk__gte=least, pk__lte=greatest).order_by("pk")[: CANDIDATES + 1]
    # MariaDB sorts ids of another version, which there are none of, in another way.
    return [row for row in rows if row.pk.hex.startswith(digits)]


def _problem(text: str, rows: Sequence[Continuation]) -> str:
    if not rows:
        return f"There is no continuation {text}."
    shown = [f"  {row.pk} {row.job_name} {row.status}" for row in rows[:CANDIDATES]]
    more = ["  and more"] if len(rows) > CANDIDATES else []
    return "\n".join([f"{text} is the beginning of more than one:", *shown, *more])
