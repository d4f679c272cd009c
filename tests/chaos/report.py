"""What a run prints."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median

from .recoveries import recoveries, slowest
from .session import Report

# Lines of the logs that are shown of what went wrong.
TAIL = 40


def show(report: Report, *, seed: int, kind: str, logs: Path) -> None:
    """The figures, and what is wrong."""
    injector, found = report.injector, report.findings
    print(f"seed                  {seed} ({kind})")
    print(f"faults                {injector.injected.total()}")
    for name, times in sorted(injector.injected.items()):
        print(f"  {name:<20}{times}")
    if missed := injector.missed:
        print(f"  nothing to hit      {missed.total()} ({', '.join(sorted(missed))})")
    print(f"continuations         {found.continuations} ({report.traffic.refused} enqueueings refused)")
    print(f"executions            {found.executions}, of which died {found.died}")
    print(f"items                 {found.items}")
    print(f"lost                  {found.lost}")
    print(f"repeated in blocks    {found.repeated_in_blocks}")
    print(f"repeated without      {found.repeated_plain}")
    _show_recoveries(report)
    print(f"wall time             {report.seconds:.0f} s")
    _show_list("hangs", injector.fleet.hangs)
    _show_list("unfinished", report.unfinished)
    _show_list("left in RQ", report.left)
    _show_list("wrong", found.problems)
    if not report.is_clean:
        _show_logs(report, logs)


def _show_recoveries(report: Report) -> None:
    found = recoveries(report.injector.blows)
    calm = [each for each in found if each.undisturbed]
    print(f"recoveries            {len(found)}, of which undisturbed by Redis or database {len(calm)}")
    for label, some in (("slowest recovery", found), ("slowest undisturbed", calm)):
        worst = slowest(some)
        print(f"{label:<22}{worst or 'none'}")
    for kind in sorted({each.kind for each in calm}):
        some = [each for each in calm if each.kind == kind]
        print(f"  {kind:<20}{len(some)}, median {median(each.seconds for each in some):.2f} s, slowest {slowest(some)}")


def _show_list(title: str, lines: Iterable[str]) -> None:
    shown = list(lines)
    if shown:
        print(f"{title}: {len(shown)}")
        for line in shown[:30]:
            print(f"  {line}")


def _show_logs(report: Report, logs: Path) -> None:
    """Lines about what went wrong, and the ends of the logs of the workers that ran it."""
    for row in report.findings.suspects[:5]:
        print(f"--- log lines of {row} {row.arguments[0]}")
        lines = [
            f"{path.name}: {line}"
            for path in sorted(logs.iterdir())
            for line in path.read_text(errors="replace").splitlines()
            if str(row.pk) in line
        ]
        print("\n".join(lines[-TAIL:]))
    if not report.findings.suspects:
        for worker in report.injector.fleet.workers:
            print(f"--- {worker.log.name}")
            print("\n".join(worker.log.read_text(errors="replace").splitlines()[-TAIL:]))
