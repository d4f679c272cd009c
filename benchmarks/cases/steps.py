"""Trivial steps, each durable."""

from __future__ import annotations

from benchmarks.case import (
    ABSURD,
    BARE,
    BARE_ON_SQLITE,
    DBOS,
    DBOS_ON_SQLITE,
    OURS,
    OURS_ON_SQLITE,
    Case,
    Measure,
    Sizes,
    Times,
)

RAW = "one UPDATE by the driver"


def cases(size: Sizes) -> list[Case]:
    n = size(1_000)
    options = {"n": n}
    return [
        Case(
            what=f"{n:,} trivial steps, each durable (PostgreSQL)",
            unit="ms a step",
            ours=Measure("ours", OURS, "steps", options),
            others=(
                Measure("absurd", ABSURD, "steps", options),
                Measure("dbos", DBOS, "steps", options, rounds=3),
                Measure(RAW, BARE, "write", options),
            ),
            targets=(Times(1, "absurd"), Times(2, RAW, aim=True)),
        ),
        Case(
            what=f"{n:,} trivial steps, each durable (SQLite)",
            unit="ms a step",
            ours=Measure("ours", OURS_ON_SQLITE, "steps", options),
            others=(
                Measure("dbos", DBOS_ON_SQLITE, "steps", options, rounds=3),
                Measure(RAW, BARE_ON_SQLITE, "write", options),
            ),
            targets=(Times(0.15, "dbos"),),
        ),
    ]
