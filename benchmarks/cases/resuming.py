"""Passing what earlier executions have completed."""

from __future__ import annotations

from benchmarks.case import ABSURD, DBOS, OURS, OURS_ON_SQLITE, Case, Limit, Measure, Sizes


def cases(size: Sizes) -> list[Case]:
    n, few = size(1_000), size(300)
    what = f"resuming a job with {n:,} completed steps, from its claim to behind them"
    return [
        Case(
            what=f"{what} (PostgreSQL)",
            unit="ms",
            ours=Measure("ours", OURS, "resume", {"n": n}),
            others=(
                Measure("absurd", ABSURD, "resume", {"n": n}, rounds=3),
                Measure(
                    "dbos",
                    DBOS,
                    "resume",
                    {"n": few},
                    factor=n / few,
                    rounds=3,
                    note=f"{few:,} steps, scaled; without its start",
                ),
            ),
            targets=(Limit(5, "ms"),),
        ),
        Case(
            what=f"{what} (SQLite)",
            unit="ms",
            ours=Measure("ours", OURS_ON_SQLITE, "resume", {"n": n}),
            targets=(Limit(5, "ms"),),
        ),
    ]
