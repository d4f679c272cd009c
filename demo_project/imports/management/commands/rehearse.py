from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from demo_project.imports.progress import place_in_file
from demo_project.imports.rehearsal import Kill, Rehearsal, Rehearsed
from demo_project.stories.progress import ExecutionLine
from demo_project.supervisor import ProcessError, Stopped, Supervisor

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    help = (
        "Imports the world's airports while the worker is stopped in the middle, and fails unless every row was "
        "imported exactly once. Then the same with a plain RQ function, to compare. Uses the database and Redis of "
        "the settings; `demo --once` gives it some of its own."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_kill_arguments(parser)

    def handle(self, *args: Any, kills: int, kill: Kill, **options: Any) -> None:
        try:
            with Supervisor(quiet=options["verbosity"] < 2) as supervisor:
                rehearsal = Rehearsal(supervisor, kills=kills, kill=kill)
                continued = rehearsal.continuation()
                self.report(f"ProcessImport, stopped {kills} times by SIG{kill}", continued)
                self.report(f"A plain RQ function, killed {kills} times", rehearsal.plain())
        except Stopped:
            raise CommandError("Stopped before it was done.") from None
        except ProcessError as error:
            raise CommandError(f"{error} (--verbosity=2 shows what the worker says.)") from error
        if not continued.tally.exact:
            raise CommandError("Rows were lost or repeated.")
        if continued.starts <= kills:
            raise CommandError(f"The import was interrupted {continued.starts - 1} times instead of {kills}.")

    def report(self, title: str, rehearsed: Rehearsed) -> None:
        self.stdout.write(self.style.MIGRATE_HEADING(f"{title} ({rehearsed.seconds:.1f} s)"))
        for name, count in (*rehearsed.tally.lines, ("Executions", rehearsed.starts)):
            self.stdout.write(f"  {name:<18}{count:>8}")
        for execution in rehearsed.executions:
            line = ExecutionLine(execution, place_in_file)
            place = f"{execution.step} {line.after}".strip()
            self.stdout.write(f"    {execution.number}. {line.ended_text}" + (f", at {place}" if place else ""))


def add_kill_arguments(parser: ArgumentParser) -> None:
    """The options of the rehearsal, which `demo --once` passes on."""
    parser.add_argument("--kills", type=positive, default=2, help="how many times to stop the work; default: 2")
    parser.add_argument(
        "--signal",
        dest="kill",
        type=Kill,
        choices=list(Kill),
        default=Kill.TERM,
        help="TERM tells the worker to stop, as a deploy does; KILL kills the process that runs the job",
    )


def positive(text: str) -> int:
    """argparse's kind of type: its name stands in the complaint."""
    if (number := int(text)) < 1:
        raise ValueError
    return number
