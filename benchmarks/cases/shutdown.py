"""A worker that is told to stop."""

from __future__ import annotations

from benchmarks.case import OURS, Case, Limit, Measure, Sizes


def cases(size: Sizes) -> list[Case]:
    n = size(50, 2)
    return [
        Case(
            what=f"SIGTERM until another worker has taken the job, a checkpoint every 10 ms ({n} times)",
            unit="ms",
            rounds=1,
            ours=Measure("ours", OURS, "stop", {"n": n}),
            targets=(Limit(100, "ms", share=0.95),),
        )
    ]
