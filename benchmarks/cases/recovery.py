"""A process that is killed."""

from __future__ import annotations

from benchmarks.case import ABSURD, OURS, PLAIN_RQ, Case, Limit, Measure, Sizes


def cases(size: Sizes) -> list[Case]:
    return [
        Case(
            what="worker and its horse killed, until another machine's worker goes on",
            unit="s",
            rounds=1,
            ours=Measure("ours", OURS, "lose_worker", {"n": size(3, 1)}),
            others=(
                Measure("RQ", PLAIN_RQ, "maintenance_interval", note="its own constant, not waited for; then failed"),
                Measure("absurd", ABSURD, "claim_timeout", note="its own constant, not waited for"),
            ),
            targets=(Limit(15, "s"),),
        ),
        Case(
            what="horse killed, until the job goes on",
            unit="ms",
            rounds=1,
            ours=Measure("ours", OURS, "lose_horse", {"n": size(10, 2)}),
            targets=(Limit(1000, "ms"),),
        ),
    ]
