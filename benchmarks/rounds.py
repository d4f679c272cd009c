"""Round by round: ours, then what stands beside it, so that both meet the same machine."""

from __future__ import annotations

import statistics
import time

from .case import Case, Measure, Result
from .stage import NotMeasuredError, Stage

# On a slow machine a case has no more than so many rounds once it has taken so many seconds.
FEWEST, ENOUGH = 3, 20.0


def run(case: Case, stage: Stage, rounds: int | None, *, keep: bool = False) -> Result:
    """Measure a case. What cannot be measured is told in the result, and the rest is measured all the same.

    `keep`: leave the processes that measured for the next case.
    """
    measures = case.measures
    result = Result(case, [[] for _ in measures], [[] for _ in measures])
    given_up: set[str] = set()
    began = time.monotonic()
    for number in range(rounds or case.rounds):
        if number >= FEWEST and rounds is None and time.monotonic() - began > ENOUGH:
            break
        # Each begins once: what comes first may find another machine than what follows.
        for place in _turned(range(len(measures)), number):
            measure = measures[place]
            if measure.label in given_up or (measure.rounds is not None and number >= measure.rounds):
                continue
            try:
                readings = _read(case, measure, stage, first=number == 0)
            except NotMeasuredError as error:
                given_up.add(measure.label)
                result.problems.append(f"{measure.label}: not measured, {error}")
                continue
            result.readings[place] += readings
            result.middles[place].append(statistics.median(readings))
    if not keep:
        stage.clear()
    return result


def _read(case: Case, measure: Measure, stage: Stage, *, first: bool) -> list[float]:
    if first and case.records and not measure.side.environment:
        stage.measure(measure.side, "prepare", records=case.records)
    return [reading * measure.factor for reading in stage.measure(measure.side, measure.call, **measure.options)]


def _turned(places: range, number: int) -> list[int]:
    start = number % len(places)
    return [*places[start:], *places[:start]]
