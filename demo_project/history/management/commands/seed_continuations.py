from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.test.utils import override_settings

from demo_project.history.past import Past, forget
from demo_project.history.states import make_states

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator

# Continuations. More would only take longer.
MOST = 1_000_000


class Command(BaseCommand):
    help = (
        "Fills the list of the admin with the history of a made-up shop: so many continuations of the last year, with "
        "their steps, executions and errors. Needs no Redis. With --states, one in each state that the admin shows."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("count", nargs="?", type=int, default=0, metavar="N", help=f"from 1 to {MOST:,}")
        parser.add_argument(
            "--states", action="store_true", help="make one continuation in each state, by running jobs"
        )
        parser.add_argument("--clear", action="store_true", help="first delete what this command has made before")
        parser.add_argument("--seed", type=int, default=1, help="of the random numbers; default: 1")

    def handle(self, *args: Any, count: int, states: bool, clear: bool, seed: int, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("This history is made up. It is for DJANGO_DEBUG=1 only.")
        if not (count or states or clear):
            raise CommandError("Say how many, or --states, or --clear.")
        if not 0 <= count <= MOST:
            raise CommandError(f"{count:,} is not from 1 to {MOST:,}.")
        # With DEBUG Django writes down every statement with its values, which takes longer than to execute it.
        with override_settings(DEBUG=False):
            if clear:
                self.follow(forget(), "deleted")
            if count:
                self.follow(Past(count, seed=seed).write(), f"of {count:,} made")
        if states:
            self.stdout.write(f"{len(make_states())} states made")

    def follow(self, batches: Iterator[int], what: str) -> None:
        """A line that says how far it is; one line in all if nobody watches."""
        done = 0
        for done in batches:
            if self.stdout.isatty():
                self.stdout.write(f"\r{done:,} {what}", ending="")
                self.stdout.flush()
        self.stdout.write(f"\r{done:,} {what}" if self.stdout.isatty() else f"{done:,} {what}")
