"""All cases, in the order of the table. Each module is a noun, with a function `cases(size)`."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.case import Case, Sizes

from . import (
    blocks,
    checkpoints,
    enqueueing,
    iteration,
    latency,
    memory,
    recovery,
    resuming,
    shutdown,
    steps,
    throughput,
)

MODULES: dict[str, Callable[[Sizes], list[Case]]] = {
    "iteration": iteration.cases,
    "checkpoints": checkpoints.cases,
    "blocks": blocks.cases,
    "steps": steps.cases,
    "resuming": resuming.cases,
    "throughput": throughput.cases,
    "latency": latency.cases,
    "enqueueing": enqueueing.cases,
    "shutdown": shutdown.cases,
    "recovery": recovery.cases,
    "memory": memory.cases,
}
