"""python -m benchmarks [--only NAME ...] [--quick] [--rounds N] [--write FILE]"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from . import environments, growth, machine, rounds, table
from .case import Result, Sizes
from .cases import MODULES
from .page import Page
from .stage import Stage


def main() -> int:
    options = _options()
    here = machine.describe()
    print(here.description, flush=True)
    if not here.is_quiet:
        print(f"NOT QUIET: the load is {here.load:.2f}, so these figures say little", flush=True)
    # SIGTERM ends like Ctrl-C: everything that was started ends, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="continuations-benchmarks-"))
    began = time.monotonic()
    results: list[Result] = []
    grown = None
    try:
        with Stage(folder) as stage:
            if stage.postgresql is None:
                print("NOT MEASURED: all that needs PostgreSQL, whose programs are not installed", flush=True)
            results = _measure(options, stage)
            if stage.postgresql is not None and (not options.only or "growth" in options.only):
                grown = growth.measure(stage, Sizes(quick=options.quick), options.rounds)
                results += grown.results
                print(table.markdown(grown.results), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    problems = [f"{result.case.what}: {problem}" for result in results for problem in result.problems]
    print("", *problems, f"{time.monotonic() - began:.0f} s", sep="\n")
    if options.write is not None:
        Page(options.write).fill(here.description, results, grown)
        print(f"written: {options.write}")
    return 1 if problems else 0


def _measure(options: argparse.Namespace, stage: Stage) -> list[Result]:
    results = []
    size = Sizes(quick=options.quick)
    chosen = [
        (name, case)
        for name, cases in MODULES.items()
        if not options.only or name in options.only
        for case in cases(size)
    ]
    # First, since it counts as nobody's time.
    environments.install({measure.side.environment for _, case in chosen for measure in case.measures})
    for name, case in chosen:
        began = time.monotonic()
        result = rounds.run(case, stage, options.rounds)
        print(f"\n{name}, {time.monotonic() - began:.0f} s", table.markdown([result]), *result.problems, sep="\n")
        sys.stdout.flush()
        results.append(result)
    return results


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ours beside others, in one run.")
    parser.add_argument("--only", nargs="+", choices=[*MODULES, "growth"], metavar="NAME", help="These alone.")
    parser.add_argument("--quick", action="store_true", help="Small numbers, one round: shows that it works.")
    parser.add_argument("--rounds", type=int, help="Instead of each case's own number.")
    parser.add_argument(
        "--write", type=Path, help="Put the table and the plots into this page, such as docs/performance.md."
    )
    options = parser.parse_args()
    if options.quick:
        options.rounds = options.rounds or 1
    return options


if __name__ == "__main__":
    sys.exit(main())
