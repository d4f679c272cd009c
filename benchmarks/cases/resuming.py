"""Passing what earlier executions have completed."""

from __future__ import annotations

from benchmarks.case import ABSURD, DBOS, OURS, OURS_ON_SQLITE, ROUNDS, Case, Limit, Measure, Sizes, Times


def cases(size: Sizes) -> list[Case]:
    n, few = size(1_000), size(300)
    what = f"resuming a job with {n:,} completed steps"
    return [
        Case(
            what=f"{what}, from its claim to behind them (PostgreSQL)",
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
            targets=(Times(1, "absurd", aim=True),),
        ),
        *(
            Case(
                what=f"{what}: the query for them, and passing each ({kind})",
                unit="ms",
                # Of a few milliseconds, in which the machine may be busy with something else.
                rounds=2 * ROUNDS + 1,
                ours=Measure("ours", side, "pass_steps", {"n": n}),
                targets=(Limit(5, "ms"),),
            )
            for kind, side in (("PostgreSQL", OURS), ("SQLite", OURS_ON_SQLITE))
        ),
    ]
