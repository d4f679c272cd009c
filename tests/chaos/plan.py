"""Which fault happens when, drawn from a seed before anything starts, so that a seed replays."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from random import Random

# Seconds between two faults, on average, unless told otherwise.
GAP = 1.2
# How often each kind comes up. Redis is emptied rarely: for 24 s after it nobody can be proved dead by a lease.
WEIGHTS = {
    "SIGTERM worker": 3.0,
    "SIGTERM all": 2.0,
    "SIGKILL horse": 4.0,
    "SIGKILL worker": 3.0,
    "SIGKILL both": 4.0,
    "SIGSTOP both": 1.0,
    "SIGSTOP worker": 0.7,
    "Valkey killed": 0.5,
    "FLUSHALL": 0.5,
    "database fast": 0.8,
    "database immediate": 0.8,
    "sessions ended": 0.8,
    "duplicate delivery": 3.0,
    "recovery": 2.0,
}
# How long something is away or stopped, in seconds. A lease lives for 12.
SPANS = {
    "SIGSTOP both": (13.0, 18.0),
    "SIGSTOP worker": (13.0, 18.0),
    "Valkey killed": (0.0, 2.0),
    "database fast": (0.0, 2.0),
    "database immediate": (0.0, 2.0),
}


@dataclass(frozen=True)
class Fault:
    """`at` seconds after the start, on the victim that lies at `share` of all there are, for `seconds`."""

    at: float
    kind: str
    share: float
    seconds: float

    def __str__(self) -> str:
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at:6.1f} s  {self.kind}{lasts}"


def draw(seed: int, *, count: int, seconds: float, without: Collection[str] = ()) -> list[Fault]:
    """`count` faults spread over `seconds` at random."""
    random = Random(seed)
    kinds = [kind for kind in WEIGHTS if kind not in without]
    weights = [WEIGHTS[kind] for kind in kinds]
    gaps = [random.expovariate(1) for _ in range(count)]
    scale = seconds / (sum(gaps) or 1)
    faults: list[Fault] = []
    at = 0.0
    for gap in gaps:
        at += gap * scale
        (kind,) = random.choices(kinds, weights)
        span = random.uniform(*SPANS.get(kind, (0.0, 0.0)))
        faults.append(Fault(at, kind, random.random(), span))
    return faults
