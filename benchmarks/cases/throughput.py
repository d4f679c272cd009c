"""Small jobs through the queue."""

from __future__ import annotations

from benchmarks.case import ABSURD, DBOS, OURS, PLAIN_RQ, Case, Measure, Sizes, Times

COMMITS = "RQ with the query and as many commits, bare"


def cases(size: Sizes) -> list[Case]:
    n, few = size(300), size(100)
    return [
        Case(
            what=f"{n:,} one-step jobs enqueued and finished, a worker that does not fork (PostgreSQL)",
            unit="jobs a second",
            records=n,
            rounds=5,
            ours=Measure("ours", OURS, "throughput", {"n": n, "forks": False}),
            others=(
                Measure("RQ with one ORM query", PLAIN_RQ, "throughput", {"n": n, "forks": False}),
                Measure(COMMITS, PLAIN_RQ, "throughput", {"n": n, "forks": False, "commits": True}),
                Measure(
                    "absurd",
                    ABSURD,
                    "throughput",
                    {"n": n, "at_once": 1},
                    rounds=3,
                    note="one task at a time, as it comes",
                ),
                Measure("absurd, eight tasks at a time", ABSURD, "throughput", {"n": n, "at_once": 8}, rounds=3),
                Measure("dbos", DBOS, "throughput", {"n": few}, rounds=3, note=f"{few:,} of them"),
            ),
            targets=(
                Times(0.7, "RQ with one ORM query", at_least=True),
                Times(1, "absurd", at_least=True),
                Times(1, "absurd, eight tasks at a time", at_least=True),
            ),
        ),
        Case(
            what=f"{few:,} one-step jobs enqueued and finished, a worker that forks for each (PostgreSQL)",
            unit="jobs a second",
            records=few,
            rounds=5,
            ours=Measure("ours", OURS, "throughput", {"n": few, "forks": True}),
            others=(
                Measure("RQ with one ORM query", PLAIN_RQ, "throughput", {"n": few, "forks": True}),
                Measure(COMMITS, PLAIN_RQ, "throughput", {"n": few, "forks": True, "commits": True}),
            ),
            targets=(Times(0.85, "RQ with one ORM query", at_least=True),),
        ),
    ]
