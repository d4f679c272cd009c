"""Results as a table: in Markdown, which reads well in a terminal too."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from .case import Measure, Result, Times

HEAD = ("what", "ours", "beside it", "ratio", "must reach", "")
VERDICTS = {True: "reached", False: "**missed**", None: "not measured"}


def rows(result: Result) -> list[tuple[str, ...]]:
    """A row for each that stands beside ours; one if nothing does."""
    case = result.case
    ours = spread(result.readings[0], case.unit)
    found = []
    left = list(case.targets)
    for place, other in enumerate(case.others, 1):
        mine = [target for target in left if getattr(target, "other", None) == other.label]
        if place == 1:
            mine += [target for target in left if not hasattr(target, "other")]
        beside = f"{other.label}: {spread(result.readings[place], case.unit)}{_note(other)}"
        found.append((beside, spread(result.ratios(other.label)), *_verdict(mine, result)))
    if not case.others:
        found.append(("", "", *_verdict(left, result)))
    return [((case.what, ours) if number == 0 else ("", "")) + row for number, row in enumerate(found)]


def spread(values: Sequence[float], unit: str = "") -> str:
    """Median, and least to most."""
    if not values:
        return "–"
    middle = number(statistics.median(values))
    tail = f" {unit}" if unit else ""
    if len(values) == 1:
        return f"{middle}{tail}"
    return f"{middle}{tail} ({number(min(values))} to {number(max(values))})"


def number(value: float) -> str:
    """Three digits that count."""
    if value >= 1000:
        return f"{value:,.0f}"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def markdown(results: Sequence[Result]) -> str:
    lines = [HEAD, ("---",) * len(HEAD), *(row for result in results for row in rows(result))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _verdict(targets: Sequence[object], result: Result) -> tuple[str, str]:
    verdicts = []
    for target in targets:
        reached = target.reached(result)  # type: ignore[attr-defined]
        is_aim = isinstance(target, Times) and target.aim
        verdicts.append("not reached" if is_aim and reached is False else VERDICTS[reached])
    return ", ".join(map(str, targets)), ", ".join(verdicts)


def _note(measure: Measure) -> str:
    return f" ({measure.note})" if measure.note else ""
