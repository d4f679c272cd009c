"""`manage.py recover_continuations`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from continuations.models import Continuation
from continuations.recovery import LIMIT


class Command(BaseCommand):
    """For cron, where no ContinuableWorker runs; and for looking, with --dry-run."""

    help = "Put back continuations whose delivery was lost, whose worker died or whose rest is over."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be done.")
        parser.add_argument("--limit", type=int, default=LIMIT, help="Continuations to look at, oldest first.")

    def handle(self, *args: Any, **options: Any) -> None:
        recovered = Continuation.objects.recover(limit=options["limit"], dry_run=options["dry_run"])
        for each in recovered:
            self.stdout.write(str(each))
        if options["verbosity"] > 0:
            self.stdout.write(f"{len(recovered)} continuations {'to recover' if options['dry_run'] else 'recovered'}.")
