"""`manage.py continuations`."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.color import no_style
from django.db import OperationalError

from continuations.console import details, listing, options, verbs
from continuations.console.terminal import Terminal


class Command(BaseCommand):
    """See and steer continuations where there is no browser. The verbs are those of the model, and so are the rules."""

    help = "Show continuations, and pause, resume, cancel, retry, rerun or otherwise steer them."
    # It has to work when something else does not.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        options.add_to(parser)

    def handle(self, *args: Any, **given: Any) -> None:
        coloured = given["force_color"] or self.stdout.isatty()
        terminal = Terminal(self.stdout, self.stderr, self.style if coloured else no_style())
        run = {"list": listing.run, "show": details.run}.get(given["verb"], verbs.run)
        try:
            run(terminal, given)
        except OperationalError as error:
            raise CommandError(f"The database did not answer: {error}") from error
        except BrokenPipeError:
            if run is verbs.run:
                raise
            # The reader has seen enough, as in `list | head`. What is still buffered must not fail at the exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
