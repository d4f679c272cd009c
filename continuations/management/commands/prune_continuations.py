"""`manage.py prune_continuations`."""

from __future__ import annotations

import argparse
import datetime as dt
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count
from django.db.models.deletion import ProtectedError, RestrictedError

from continuations.models import Continuation
from continuations.retention import Cutoffs, configured_cutoffs, cutoffs, prunable, prune
from continuations.transitions import FINISHED

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
# Characters of the bar itself.
WIDTH = 30


def period(text: str) -> dt.timedelta:
    """A timedelta from a text such as 30d."""
    match = re.fullmatch(r"(\d{1,5})([mhdw])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age: expected a number and m, h, d or w, such as 30d")
    return dt.timedelta(**{UNITS[match[2]]: int(match[1])})


class Command(BaseCommand):
    """For cron, where RETENTION is not set or no ContinuableWorker runs; and for looking, with --dry-run."""

    help = "Delete continuations that ended long ago, with their steps, executions and events."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            type=period,
            metavar="AGE",
            help="Delete what ended that long ago: 90m, 12h, 30d, 8w. Without it, the setting RETENTION says.",
        )
        parser.add_argument(
            "--state",
            action="append",
            choices=sorted(state.value for state in FINISHED),
            help="A status they ended in, more than once if wanted. Without it: succeeded, discarded and cancelled.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be deleted.")

    def handle(self, *args: Any, **options: Any) -> None:
        before = self._cutoffs(options["older_than"], options["state"])
        if options["dry_run"]:
            self._tell(before)
            return
        done = 0
        bar = Bar(self.stdout, before) if options["verbosity"] > 0 and self.stdout.isatty() else None
        try:
            for pruned in prune(Continuation.objects.all(), before):
                done += pruned
                if bar is not None:
                    bar.show(done)
        except (ProtectedError, RestrictedError) as error:
            raise CommandError(f"{done} continuations pruned, then: {error.args[0]}") from None
        finally:
            if bar is not None:
                bar.close()
        if options["verbosity"] > 0:
            self.stdout.write(f"{done} continuations pruned.")

    def _cutoffs(self, older_than: dt.timedelta | None, states: list[str] | None) -> Cutoffs:
        if older_than is not None:
            return cutoffs(older_than, states)
        if states is not None:
            raise CommandError("--state needs --older-than: RETENTION says an age for each status.")
        configured = configured_cutoffs()
        if configured is None:
            raise CommandError('How old? Give --older-than 30d, or set CONTINUATIONS["RETENTION"].')
        return configured

    def _tell(self, before: Cutoffs) -> None:
        found = prunable(Continuation.objects.all(), before).order_by("status")
        total = 0
        for status, count in found.values_list("status").annotate(Count("pk")):
            self.stdout.write(f"{count:>9,} {status}")
            total += count
        self.stdout.write(f"{total} continuations to prune.")


class Bar:
    """A bar on one line of a terminal."""

    def __init__(self, out: Any, before: Cutoffs) -> None:
        self._out = out
        self._total = prunable(Continuation.objects.all(), before).count()

    def show(self, done: int) -> None:
        """Draw it anew."""
        # There may be more meanwhile.
        total = max(self._total, done)
        filled = WIDTH * done // total if total else WIDTH
        self._out.write(f"\r[{'#' * filled:<{WIDTH}}] {done:,} of {total:,}", ending="")
        self._out.flush()

    def close(self) -> None:
        """Leave the line."""
        self._out.write("")
