"""What a long history costs: the same measures with a thousand continuations in the tables, and with a million."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace

from . import rounds
from .case import ROUNDS, Case, Measure, Result, Side, Sizes, Times
from .stage import NotMeasuredError, Stage
from .svg import Plot

# Name of the measure, title of its plot, unit, options, what a long history may cost.
MEASURES = (
    ("beat", "a beat", "µs", {"n": 500}, Times(1.5, "with {few}", aim=True)),
    ("look", "a look of recovery", "ms", {}, Times(1.5, "with {few}", aim=True)),
    ("list_page", "the admin's list", "ms", {}, Times(3, "with {few}")),
    ("detail_page", "a continuation in the admin", "ms", {}, Times(3, "with {few}")),
)


@dataclass
class Growth:
    """Readings by size, for the plots, and the rows of the table."""

    plots: list[Plot]
    results: list[Result]


def measure(stage: Stage, size: Sizes, times: int | None) -> Growth:
    """A database for each size of the history, and each measure in all of them, by turns."""
    sizes = [1_000, 2_000] if size.quick else [10**power for power in range(3, 7)]
    sides = {n: Side("growth", database=f"history_{n}") for n in sizes}
    results, plots, problem = [], [], ""
    for n, side in sides.items():
        try:
            stage.measure(side, "grow", n=n)
        except NotMeasuredError as error:
            problem = f"not measured, {error}"
    for case, title in _cases(sides):
        result = Result(case, [[] for _ in case.measures], [[] for _ in case.measures], [problem])
        if not problem:
            result = rounds.run(case, stage, times, keep=True)
            plots.append(_plot(result, title, list(sides)))
        results.append(_ends(result))
    stage.clear()
    return Growth(plots, results)


def _cases(sides: dict[int, Side]) -> list[tuple[Case, str]]:
    few, *_, many = sides
    return [
        (
            Case(
                what=f"{title}, {many:,} continuations in the tables (PostgreSQL)",
                unit=unit,
                rounds=ROUNDS * 3,
                ours=Measure("ours", sides[many], name, options),
                others=tuple(Measure(f"with {n:,}", sides[n], name, options) for n in list(sides)[:-1]),
                targets=(replace(target, other=target.other.format(few=f"{few:,}")),),
            ),
            title,
        )
        for name, title, unit, options, target in MEASURES
    ]


def _plot(result: Result, title: str, sizes: list[int]) -> Plot:
    # Ours, the largest, comes first.
    ordered = [*result.readings[1:], result.readings[0]]
    medians = {n: statistics.median(readings) for n, readings in zip(sizes, ordered, strict=True) if readings}
    print(f"{title}: {', '.join(f'{value:.2f} at {n:,}' for n, value in medians.items())}", flush=True)
    return Plot(title, result.case.unit, medians)


def _ends(result: Result) -> Result:
    """The row of the table: the longest history beside the shortest."""
    case = replace(result.case, others=result.case.others[:1])
    return Result(case, result.readings[:2], result.middles[:2], [each for each in result.problems if each])
