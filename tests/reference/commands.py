"""docs/commands.md."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.management import load_command_class
from django.core.management.base import BaseCommand

import continuations

from .text import fill, table

TEXT = """
# Commands

Each takes Django's own options (`--settings`, `--verbosity`, `--traceback`, …) as well. [The command
line](command-line.md) shows `continuations` at work and describes its output; [retention](retention.md) is about
`prune_continuations`, [guarantees](guarantees.md) about recovery and workers.

{commands}

## rqworker, rqworker-pool

django-rq's own commands, with all their options, and with `continuations.worker.ContinuableWorker` where neither
`--worker-class` nor `RQ["WORKER_CLASS"]` names another. They are ours where `continuations` stands before `django_rq`
in `INSTALLED_APPS`; [check I001](checks.md) tells. Other classes are in [the API](api.md#workers). `manage.py rqcron`,
`rqstats` and the like are django-rq's and know nothing of continuations.

<!-- Made from continuations/management/commands by `python -m tests.reference`. -->
"""

FOLDER = Path(continuations.__file__).parent / "management" / "commands"
# Those that are django-rq's.
THEIRS = {"rqworker", "rqworker-pool"}


def page() -> str:
    """docs/commands.md."""
    return TEXT.strip().format(commands="\n\n".join(section(name) for name in sorted(names() - THEIRS))) + "\n"


def names() -> set[str]:
    """All commands of the package."""
    return {path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__"}


def section(name: str) -> str:
    """A command with its options, and with its verbs if it has some."""
    command = load_command_class("continuations", name)
    parser = command.create_parser("manage.py", name)
    inherited = _inherited(parser)
    own = [each for each in parser._actions if each not in inherited]
    parts = [f"## {name}", fill(str(command.help))]
    for action in own:
        if isinstance(action, argparse._SubParsersAction):
            return "\n\n".join([*parts, *verbs_of(action.choices)])
    return "\n\n".join([*parts, table(("argument", ""), ((f"`{spelt(each)}`", meaning(each)) for each in own))])


def verbs_of(parsers: Mapping[str, argparse.ArgumentParser]) -> Iterator[str]:
    """A table of verbs, and one of options, each with the verbs that take it."""
    verbs, takers = [], dict[tuple[str, str], list[str]]()
    for verb, parser in parsers.items():
        shown = [each for each in parser._actions if each.help != argparse.SUPPRESS and each.dest != "help"]
        usage = [verb, *(spelt(each) for each in shown if each.required or not each.option_strings)]
        verbs.append((f"`{' '.join(usage)}`", str(parser.description)))
        for each in shown:
            takers.setdefault((spelt(each), meaning(each)), []).append(verb)
    yield table(("verb", ""), verbs)
    yield table(
        ("argument", "", "with"),
        (
            (f"`{name}`", text, "all" if len(found) == len(parsers) else ", ".join(found))
            for (name, text), found in takers.items()
        ),
    )


def _inherited(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Options that every command of Django's has."""
    names = {
        option
        for action in BaseCommand().create_parser("manage.py", "any")._actions
        for option in action.option_strings
    }
    return [action for action in parser._actions if names & set(action.option_strings)]


def spelt(action: argparse.Action) -> str:
    """As one types it."""
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        return {"*": f"[{value}…]", "?": f"[{value}]"}.get(str(action.nargs), value)
    name = action.option_strings[0]
    return name if action.nargs == 0 else f"{name} {value}"


def meaning(action: argparse.Action) -> str:
    """Its help, without the name of whoever makes this page."""
    facts: dict[str, Any] = dict(vars(action))
    if action.dest == "by":
        facts["default"] = "the user of the operating system"
    text = str(action.help or "") % facts
    if action.choices and not isinstance(action.choices, dict) and "One of" not in text:
        text += f" One of {', '.join(map(str, action.choices))}."
    return text
