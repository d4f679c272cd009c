"""Putting jobs on the queue."""

from __future__ import annotations

from benchmarks.case import OURS, PLAIN_RQ, Case, Measure, Sizes, Times


def cases(size: Sizes) -> list[Case]:
    n = size(1_000)
    return [
        Case(
            what=f"`{call}`, {n:,} jobs, each with its row (PostgreSQL)",
            unit="jobs a second",
            ours=Measure("ours", OURS, call, {"n": n}),
            others=(Measure("RQ", PLAIN_RQ, call, {"n": n}),),
            targets=(Times(0.5, "RQ", at_least=True),),
        )
        for call in ("enqueue", "enqueue_many")
    ]
