"""Walking many records, with the progress stored in passing, or at each."""

from __future__ import annotations

from benchmarks.case import (
    ABSURD,
    BARE,
    BARE_ON_SQLITE,
    DBOS,
    DBOS_ON_SQLITE,
    OURS,
    OURS_ON_SQLITE,
    ROUNDS,
    Case,
    Measure,
    Side,
    Sizes,
    Times,
)

# Records that the other engines walk, which take milliseconds for each.
FEW = 500


def cases(size: Sizes) -> list[Case]:
    return [
        _in_passing(size, "PostgreSQL", OURS, BARE, {"absurd": ABSURD, "dbos": DBOS}),
        _in_passing(size, "SQLite", OURS_ON_SQLITE, BARE_ON_SQLITE, {}),
        _at_each(size, "PostgreSQL", OURS, BARE, {"absurd": ABSURD, "dbos": DBOS}, size(3_000)),
        _at_each(size, "SQLite", OURS_ON_SQLITE, BARE_ON_SQLITE, {"dbos": DBOS_ON_SQLITE}, size(10_000)),
    ]


def _in_passing(size: Sizes, kind: str, ours: Side, bare: Side, others: dict[str, Side]) -> Case:
    n = size(100_000)
    return Case(
        what=f"{n:,} records, `step.iterate`, durable within a second ({kind})",
        unit="µs a record",
        # Of half a second each, on a machine where the first is slower than the others.
        rounds=ROUNDS + 6,
        records=n,
        ours=Measure("ours", ours, "walk", {"n": n}, factor=1e6 / n),
        others=(
            Measure("a bare keyset loop", bare, "walk", {"n": n}, factor=1e6 / n),
            *_engines(size, others, rounds=1),
        ),
        targets=(Times(1.15, "a bare keyset loop"),),
    )


def _at_each(size: Sizes, kind: str, ours: Side, bare: Side, others: dict[str, Side], n: int) -> Case:
    return Case(
        what=f"{n:,} records, `checkpoint_interval = 0`, durable at each ({kind})",
        unit="µs a record",
        rounds=ROUNDS + 2,
        records=n,
        ours=Measure("ours", ours, "walk_and_write", {"n": n}, factor=1e6 / n),
        others=(
            Measure("a raw UPDATE each", bare, "walk_and_write", {"n": n}, factor=1e6 / n),
            *_engines(size, others, rounds=3),
        ),
        targets=(Times(1.3, "a raw UPDATE each"),),
    )


def _engines(size: Sizes, sides: dict[str, Side], rounds: int) -> list[Measure]:
    n = size(FEW)
    return [
        Measure(
            name, side, "records", {"n": n}, factor=1e6 / n, rounds=rounds, note=f"{n:,} records, a durable step each"
        )
        for name, side in sides.items()
    ]
