"""A job for an idle worker."""

from __future__ import annotations

from benchmarks.case import ABSURD, DBOS, OURS, PLAIN_RQ, Case, Measure, Plus, Sizes

from .throughput import COMMITS


def cases(size: Sizes) -> list[Case]:
    # The first few make connections and prepared statements, which a worker keeps.
    n, fewer, few = size(40, 3), size(12, 3), size(5, 2)
    polls = (
        Measure("absurd", ABSURD, "latency", {"n": fewer}, note="polls every 0.25 s"),
        Measure("dbos", DBOS, "latency", {"n": few}, note="polls every second"),
    )
    return [
        Case(
            what=f"latency from `enqueue` to finished, an idle worker that {forks} (PostgreSQL)",
            unit="ms",
            records=n,
            rounds=3,
            ours=Measure("ours", OURS, "latency", {"n": n, "forks": forks == "forks"}),
            others=(
                Measure("RQ", PLAIN_RQ, "latency", {"n": n, "forks": forks == "forks"}, note="a job with one query"),
                Measure(COMMITS, PLAIN_RQ, "latency", {"n": n, "forks": forks == "forks", "commits": True}),
                *others,
            ),
            targets=(Plus(5, "RQ", "ms"),),
        )
        for forks, others in (("does not fork", polls), ("forks", ()))
    ]
