"""What is measured: ours, what stands beside it, and what ours must reach."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import Any, Protocol

# Rounds of a case that does not say otherwise.
ROUNDS = 5


@dataclass(frozen=True)
class Side:
    """A process that measures: a module of `benchmarks.sides`, and the database it uses."""

    module: str
    kind: str = "postgresql"
    # Sides of the same name share a database.
    database: str = "django"
    # The folder of `.venvs` it needs; ours if empty.
    environment: str = ""


OURS, OURS_ON_SQLITE = Side("ours"), Side("ours", "sqlite")
BARE, BARE_ON_SQLITE = Side("bare"), Side("bare", "sqlite")
PLAIN_RQ = Side("plain_rq")
ABSURD = Side("absurd", database="absurd", environment="absurd")
DBOS = Side("dbos", database="dbos", environment="dbos")
DBOS_ON_SQLITE = Side("dbos", "sqlite", database="dbos", environment="dbos")


@dataclass(frozen=True)
class Measure:
    """One thing that a side measures. What it gives is multiplied by `factor`, so that all are in the case's unit."""

    label: str
    side: Side
    call: str
    options: dict[str, Any] = field(default_factory=dict)
    factor: float = 1.0
    # Rounds in which it is measured; None is all of them.
    rounds: int | None = None
    # A constant of that library, or what it took a smaller number for.
    note: str = ""


class Target(Protocol):
    """What ours must reach."""

    def reached(self, result: Result) -> bool | None:
        """None: what it is compared with was not measured."""


@dataclass(frozen=True)
class Times:
    """The median of the rounds' ratios ours / other is at most, or at least, so much."""

    limit: float
    other: str
    at_least: bool = False
    # Wanted, not demanded.
    aim: bool = False

    def __str__(self) -> str:
        sign, aim = "≥" if self.at_least else "≤", "aim: " if self.aim else ""
        return f"{aim}{sign} {self.limit:g} × {self.other}"

    def reached(self, result: Result) -> bool | None:
        ratios = result.ratios(self.other)
        if not ratios:
            return None
        middle = statistics.median(ratios)
        return middle >= self.limit if self.at_least else middle <= self.limit


@dataclass(frozen=True)
class Plus:
    """The median of the rounds' differences ours - other is at most so much."""

    limit: float
    other: str
    unit: str

    def __str__(self) -> str:
        return f"≤ {self.other} + {self.limit:g} {self.unit}"

    def reached(self, result: Result) -> bool | None:
        differences = [ours - other for ours, other in result.pairs(self.other)]
        return statistics.median(differences) <= self.limit if differences else None


@dataclass(frozen=True)
class Limit:
    """So many of a hundred readings are at most so much."""

    limit: float
    unit: str
    share: float = 0.5

    def __str__(self) -> str:
        of = "" if self.share == 0.5 else f", {self.share:.0%} of the readings"
        return f"≤ {self.limit:g} {self.unit}{of}"

    def reached(self, result: Result) -> bool | None:
        readings = sorted(result.readings[0])
        return readings[math.ceil(self.share * len(readings)) - 1] <= self.limit if readings else None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row of the table, or more than one if more than one stands beside ours."""

    what: str
    unit: str
    ours: Measure
    others: tuple[Measure, ...] = ()
    targets: tuple[Target, ...] = ()
    rounds: int = ROUNDS
    # Records that there have to be.
    records: int = 0

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Ours first."""
        return (self.ours, *self.others)


@dataclass
class Result:
    """What came of a case: for each measure, ours first, the readings of all rounds, and the middle of each round."""

    case: Case
    readings: list[list[float]]
    middles: list[list[float]]
    # Why something was not measured.
    problems: list[str] = field(default_factory=list)

    def pairs(self, label: str) -> list[tuple[float, float]]:
        """Ours and the other of that name, round by round."""
        place = [measure.label for measure in self.case.measures].index(label)
        return list(zip(self.middles[0], self.middles[place], strict=False))

    def ratios(self, label: str) -> list[float]:
        """Ours / other, round by round."""
        return [ours / other for ours, other in self.pairs(label)]


class Sizes:
    """How many of everything: as the cases say, or a fraction that only shows that they work."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick

    def __call__(self, full: int, quick: int = 0) -> int:
        return full if not self.quick else quick or max(10, full // 100)
