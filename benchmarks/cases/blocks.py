"""Work and cursor in one transaction."""

from __future__ import annotations

from benchmarks.case import BARE, DBOS, OURS, ROUNDS, Case, Measure, Sizes, Times


def cases(size: Sizes) -> list[Case]:
    n, few = size(500), size(100)
    return [
        Case(
            what=f"work and cursor in one transaction for each of {n:,} records (PostgreSQL)",
            unit="µs a record",
            records=n,
            rounds=ROUNDS * 2,
            ours=Measure("ours, `step.atomic()`", OURS, "walk_and_work", {"n": n}, factor=1e6 / n),
            others=(
                Measure("the two statements, bare", BARE, "walk_and_work", {"n": n}, factor=1e6 / n),
                Measure(
                    "dbos",
                    DBOS,
                    "walk_and_work",
                    {"n": few},
                    factor=1e6 / few,
                    rounds=3,
                    note=f"{few:,} transactional steps",
                ),
            ),
            targets=(Times(1.3, "the two statements, bare"),),
        )
    ]
