"""A checkpoint at which nothing is going on."""

from __future__ import annotations

from benchmarks.case import BARE_ON_SQLITE, OURS_ON_SQLITE, Case, Measure, Sizes, Times


def cases(size: Sizes) -> list[Case]:
    n = size(2_000_000)
    return [
        Case(
            what="`step.advance()` in a plain loop, loop included",
            unit="µs a call",
            ours=Measure("ours", OURS_ON_SQLITE, "advance", {"n": n}),
            others=(Measure("an empty method", BARE_ON_SQLITE, "call", {"n": n}),),
            targets=(Times(8, "an empty method"),),
        )
    ]
