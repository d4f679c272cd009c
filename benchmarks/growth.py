"""What a long history costs: the same measures with a thousand continuations in the tables, and with a million."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from . import rounds
from .case import ROUNDS, Case, Measure, Result, Side, Sizes, Times
from .stage import NotMeasuredError, Stage
from .svg import Plot

MANY, FEW = Side("growth", database="many"), Side("growth", database="few")

# Name of the measure, title of its plot, unit, options.
MEASURES = (
    ("beat", "a beat", "µs", {"n": 500}),
    ("look", "a look of recovery", "ms", {}),
    ("list_page", "the admin's list", "ms", {}),
    ("detail_page", "a continuation in the admin", "ms", {}),
)
# Readings of each at each size.
READINGS = 7


@dataclass
class Growth:
    """Medians by size, for the plots, and the rows of the table."""

    medians: dict[str, dict[int, float]]
    results: list[Result]

    def plots(self) -> list[Plot]:
        return [Plot(title, unit, self.medians[name]) for name, title, unit, _ in MEASURES if self.medians[name]]


def measure(stage: Stage, size: Sizes, times: int | None) -> Growth:
    """Let the history grow, and measure at each size; then the pages of the admin, long and short by turns."""
    sizes = [1_000, 2_000] if size.quick else [10**power for power in range(3, 7)]
    medians: dict[str, dict[int, float]] = {name: {} for name, *_ in MEASURES}
    problems = []
    for n in sizes:
        try:
            stage.measure(MANY, "grow", n=n)
            for name, _, _, options in MEASURES:
                readings = [stage.measure(MANY, name, **options)[0] for _ in range(READINGS)]
                medians[name][n] = statistics.median(readings)
                print(f"{name} at {n:,}: {medians[name][n]:.2f}", flush=True)
        except NotMeasuredError as error:
            problems.append(f"growth at {n:,}: not measured, {error}")
            break
    results = []
    if not problems:
        stage.measure(FEW, "grow", n=sizes[0])
        results = [rounds.run(case, stage, times, keep=True) for case in _cases(sizes[-1], sizes[0])]
    stage.clear()
    for result in results[:1]:
        result.problems += problems
    return Growth(medians, results)


def _cases(many: int, few: int) -> list[Case]:
    return [
        Case(
            what=f"{title}, {many:,} continuations in the tables (PostgreSQL)",
            unit="ms",
            rounds=ROUNDS * 3,
            ours=Measure("ours", MANY, name),
            others=(Measure(f"with {few:,}", FEW, name),),
            targets=(Times(3, f"with {few:,}"),),
        )
        for name, title, *_ in MEASURES[2:]
    ]
