"""Memory of a long walk."""

from __future__ import annotations

from benchmarks.case import OURS, Case, Measure, Sizes, Times


def cases(size: Sizes) -> list[Case]:
    n = size(1_000_000, 20_000)
    return [
        Case(
            what=f"memory of a walk over {n:,} records, at its end",
            unit="MB",
            records=n,
            rounds=1,
            ours=Measure("ours", OURS, "memory_at_end", {"n": n}),
            others=(Measure("the same walk after 10,000", OURS, "memory_at_first"),),
            targets=(Times(1.1, "the same walk after 10,000"),),
        )
    ]
