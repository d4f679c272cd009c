"""The command line: its verbs, filters and values."""

from __future__ import annotations

import argparse
import datetime as dt
import getpass
import json
import os
import re
from typing import Any

from django.core.management.base import CommandParser

from .. import codec
from ..errors import DeserializationError
from ..querysets import LIMIT
from ..transitions import Status

# Rows of a list, and of each part of `show`, unless another number is given.
LINES = 50
PARTS = 20
# More than a person reads, and still one page of memory.
MOST = 100_000

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

# Verbs for one or many, with the name of the method and what the help says.
MANY = {
    "pause": ("pause", "Stop at the next checkpoint, or at once where nothing runs, until resumed."),
    "resume": ("resume", "Go on with what is paused, or take back a request to pause."),
    "cancel": ("cancel", "End at the next checkpoint, or at once where nothing runs, and the children with it."),
    "retry": ("retry", "Run what failed again, from the step and cursor where it failed."),
    "rerun": ("rerun_from", "Run again from a step on; it and all after it are forgotten."),
    "follow-up": ("follow_up", "Run an on_success that failed again, in this process."),
}
VERBS = {name: method for name, (method, _) in MANY.items()} | {"send": "send", "set-cursor": "set_cursor"}
NAMES = {method: name for name, method in VERBS.items()}

EXAMPLES = """\
A JSON value stands for itself: 67543, '"abc"', '["a", 3]', null. What JSON does not have is written as it is stored and
shown: '{"$": "date", "v": "2024-02-29"}', '{"$": "tuple", "v": ["a", 3]}'.
"""


def add_to(parser: CommandParser) -> None:
    """Add all verbs and their options."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, help_text: str, **options: Any) -> CommandParser:
        added: CommandParser = verbs.add_parser(
            name, help=help_text, description=help_text, allow_abbrev=False, **options
        )
        _add_base_options(added)
        added.add_argument("--json", action="store_true", help="One JSON document on standard output.")
        return added

    listing = verb("list", "Show continuations, newest first.")
    _add_filters(listing)
    listing.add_argument("--limit", type=_count, default=LINES, help="Rows at most (default: %(default)s).")

    show = verb("show", "Show one continuation with its steps, executions, events and children.")
    show.add_argument("id", nargs="?", metavar="ID", help="Its id, or the beginning of it.")
    show.add_argument("--key", help="Instead of an id: the unfinished one with this key, or else the latest.")
    show.add_argument("--limit", type=_count, default=PARTS, help="Rows of each part at most (default: %(default)s).")

    for name, (_method, help_text) in MANY.items():
        _add_many(verb(name, help_text), name)

    send = verb("send", "Give it an event, for which wait_for(NAME) waits.", epilog=EXAMPLES)
    send.add_argument("id", metavar="ID", help="Its id, or the beginning of it.")
    send.add_argument("name", metavar="NAME", help="Name of the event.")
    send.add_argument("value", metavar="JSON", nargs="?", type=value, help="Its payload (default: none).")

    cursor = verb("set-cursor", "Move the cursor of the step in progress while nothing runs.", epilog=EXAMPLES)
    cursor.add_argument("id", metavar="ID", help="Its id, or the beginning of it.")
    cursor.add_argument("step", metavar="STEP", help="Name of the step.")
    cursor.add_argument("value", metavar="JSON", type=value, help="The new cursor.")
    _add_request(cursor)


def _add_many(parser: CommandParser, name: str) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="Ids, or their beginnings.")
    _add_filters(parser)
    parser.add_argument("--all", action="store_true", help="Instead of ids: all that the filters match, oldest first.")
    parser.add_argument(
        "--yes", "--no-input", "--noinput", action="store_true", dest="yes", help="Do not ask before --all."
    )
    parser.add_argument(
        "--limit", type=_count, default=LIMIT, help="Continuations to change at most (default: %(default)s)."
    )
    if name != "follow-up":
        _add_request(parser)
    if name in {"pause", "cancel"}:
        parser.add_argument(
            "--force", action="store_true", help="Take it away from an execution that did not heed an old request."
        )
    if name == "rerun":
        parser.add_argument("--from", dest="step", metavar="STEP", required=True, help="The first step to run again.")
        parser.add_argument("--keep-cursor", action="store_true", help="Let that step go on at its last cursor.")


def _add_filters(parser: CommandParser) -> None:
    group = parser.add_argument_group("filters")
    states = [str(status.value) for status in Status]
    help_text = f"One of {', '.join(states)}. May be repeated."
    group.add_argument("--state", action="append", choices=states, metavar="STATE", help=help_text)
    group.add_argument("--job", metavar="PREFIX", help="The beginning of a job's dotted path, or a class's name.")
    group.add_argument("--queue", help="Name of a queue.")
    group.add_argument("--key", help="The key, whole.")
    group.add_argument("--attention", action="store_true", help="Those a person should look at.")
    group.add_argument("--older-than", type=age, metavar="AGE", help="Created so long ago, such as 90s, 15m, 2h, 3d.")


def _add_request(parser: CommandParser) -> None:
    parser.add_argument("--by", default=user(), help="Who asks (default: %(default)s).")
    parser.add_argument("--reason", default="", help="Why.")


def _add_base_options(parser: CommandParser) -> None:
    """Django's own options, which people write after the verb."""

    def hidden(*names: str, **options: Any) -> None:
        # Absent here, they keep what was given before the verb.
        parser.add_argument(*names, **options, default=argparse.SUPPRESS, help=argparse.SUPPRESS)

    hidden("-v", "--verbosity", type=int, choices=[0, 1, 2, 3])
    for name in ("--settings", "--pythonpath"):
        hidden(name)
    for name in ("--traceback", "--no-color", "--force-color"):
        hidden(name, action="store_true")


def user() -> str:
    """Who is logged in to the operating system."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # In a container, a process may run as a user that has no name.
        return f"uid {os.getuid()}"


def age(text: str) -> dt.timedelta:
    """A length of time such as `90s`, `1h30m` or `3d`."""
    parts = re.findall(r"(\d+)([smhdw])", text)
    if not parts or "".join(n + unit for n, unit in parts) != text:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time: expected for example 90s, 15m, 1h30m, 3d, 2w")
    try:
        return sum((dt.timedelta(**{UNITS[unit]: int(n)}) for n, unit in parts), dt.timedelta())
    except OverflowError:
        raise argparse.ArgumentTypeError(f"{text!r} is longer than time is counted") from None


def value(text: str) -> Any:
    """A value given as JSON, plain or as the codec writes it."""
    try:
        json.loads(text)
    except ValueError as error:
        hint = f" A text needs quotes of its own: '{json.dumps(text)}'." if re.fullmatch(r"[\w.:/@ -]+", text) else ""
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON ({error}).{hint}") from None
    except RecursionError:
        raise argparse.ArgumentTypeError("it is nested too deeply") from None
    try:
        return codec.decode(text)
    except DeserializationError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be read: {error}. Expected plain JSON, or what is stored and shown, such as "
            '{"$": "date", "v": "2024-02-29"}'
        ) from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 to {MOST}")
    return int(text)
