"""Putting jobs on the queue."""

from __future__ import annotations

from benchmarks.case import OURS, PLAIN_RQ, ROUNDS, Case, Measure, Sizes, Times


def cases(size: Sizes) -> list[Case]:
    n = size(500)
    return [
        Case(
            what=f"`{call}`, {n:,} jobs, each with its row (PostgreSQL)",
            unit="jobs a second",
            rounds=ROUNDS * 2,
            ours=Measure("ours", OURS, call, {"n": n}),
            others=(
                Measure("RQ", PLAIN_RQ, call, {"n": n}),
                Measure("RQ and a row each, bare", PLAIN_RQ, call, {"n": n, "rows": True}),
            ),
            targets=(Times(0.5, "RQ", at_least=True),),
        )
        for call in ("enqueue", "enqueue_many")
    ]
