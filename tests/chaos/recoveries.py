"""How long it took until a continuation ran again whose owner a fault had killed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from continuations.models import Execution

from .faults import Blow

# Faults after which a continuation has no owner, or one that is frozen.
FATAL = ("SIGKILL", "SIGSTOP")
# After Redis was emptied nobody is dead for two leases; a database that is away holds up everybody for a while.
SHADOWS = {"Valkey killed": 26, "FLUSHALL": 26, "database fast": 6, "database immediate": 6, "sessions ended": 2}
# An execution may have been running so long before its pid belonged to somebody else.
LATEST = dt.timedelta(seconds=60)


@dataclass(frozen=True)
class Recovery:
    """From the fault to the start of the next execution."""

    kind: str
    seconds: float
    # Neither Redis nor the database was hit shortly before or meanwhile, nor the same worker once more.
    undisturbed: bool
    execution: str
    # From when on to look into the logs for what took so long, and what else was hit until it was over.
    meanwhile: str

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s after {self.kind} ({self.execution}; {self.meanwhile})"


def recoveries(blows: Sequence[Blow]) -> list[Recovery]:
    """One for each execution that a fault ended."""
    died = Execution.objects.filter(outcome="died").order_by("continuation_id", "number")
    following = {
        (execution.continuation_id, execution.number): execution.started_at for execution in Execution.objects.all()
    }
    found: list[Recovery] = []
    for execution in died:
        blow = _blow_to(execution, blows)
        restarted = following.get((execution.continuation_id, execution.number + 1))
        if blow is None or restarted is None:
            continue
        undisturbed = not any(_disturbs(each, blow, restarted) for each in blows)
        name = f"{execution.continuation_id} execution {execution.number}, {execution.host}"
        seconds = (restarted - blow.at).total_seconds()
        found.append(Recovery(blow.kind, seconds, undisturbed, name, _meanwhile(blow, restarted, blows)))
    return sorted(found, key=lambda each: each.seconds)


def slowest(found: Iterable[Recovery]) -> Recovery | None:
    return max(found, key=lambda each: each.seconds, default=None)


def _disturbs(other: Blow, blow: Blow, end: dt.datetime) -> bool:
    if other.worker and other.worker == blow.worker:
        # Its horse was killed, and then itself, before it could tell: nobody promises a second for that.
        return blow.at < other.at < end
    shadow = SHADOWS.get(other.kind)
    return shadow is not None and blow.at - dt.timedelta(seconds=shadow) < other.at < end


def _meanwhile(blow: Blow, end: dt.datetime, blows: Sequence[Blow]) -> str:
    others = [
        f"+{(other.at - blow.at).total_seconds():.1f} s {other.kind} of {other.worker or 'all'}"
        for other in blows
        if other is not blow and blow.at <= other.at < end
    ]
    return f"{blow.worker} at {blow.at:%T}; {', '.join(others) or 'nothing else'}"


def _blow_to(execution: Execution, blows: Sequence[Blow]) -> Blow | None:
    for blow in blows:
        fatal = blow.kind.startswith(FATAL) and execution.pid in blow.pids
        if fatal and execution.started_at <= blow.at <= execution.started_at + LATEST:
            return blow
    return None
