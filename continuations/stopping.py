"""Whether an execution should leave: every reason, in one place, asked at checkpoints."""

from __future__ import annotations

import datetime as dt
import math
import mmap
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from .definition import is_duration
from .errors import Interrupt, storable

if TYPE_CHECKING:
    from .blocks import Blocks
    from .job import ContinuableJob
    from .progress import Progress
    from .rests import Rest

# Seconds, and share of the time-out, by which an execution leaves before RQ's death penalty.
MARGIN = 5.0
MARGIN_SHARE = 0.1
# Times the longest gap between checkpoints seen so far: the next gap may be somewhat longer.
GAP_FACTOR = 1.5
# The margin never eats more than this share of the time-out, or short jobs would get nowhere.
MARGIN_LIMIT = 1 / 3
# Docker gives a container 10 s between SIGTERM and SIGKILL; a job that takes half of that to stop is told so.
SLOW_CHECKPOINT = 5.0
# Seconds between two log lines that say that a job cannot stop where it is.
COMPLAINT_INTERVAL = 10.0

# Seconds: a job whose checkpoints or steps follow closely asks no more often what only a round trip tells.
ASK_PAUSE = 0.1

# What its column holds.
REASON_LENGTH = 100

REQUESTS = {"pausing": "paused", "cancelling": "cancelled"}

Probe = Callable[["ContinuableJob"], Any]

# Asked at every checkpoint of every execution of this process. For tests: see `continuations.testing`.
probes: list[Probe] = []


@dataclass(frozen=True)
class Stop:
    """What `should_stop()` may return: leave for `reason`, and if `wait` is given rest that many seconds first."""

    reason: str
    wait: float | dt.timedelta | None = None

    def __post_init__(self) -> None:
        if self.wait is not None and not is_duration(self.wait):
            raise TypeError(f"Stop(wait={self.wait!r}): expected seconds from 0 on, or a timedelta")

    @property
    def seconds(self) -> float | None:
        """`wait` in seconds."""
        return self.wait.total_seconds() if isinstance(self.wait, dt.timedelta) else self.wait


class Workplace(Protocol):
    """What runs an execution: a worker's horse, a worker itself, or a caller."""

    @property
    def stop_flag(self) -> mmap.mmap | bytes:
        """Memory whose first byte is set when a worker that shares it is told to stop."""

    @property
    def told_at(self) -> float:
        """When that was, on the monotonic clock; now, if nobody says."""

    def deadline(self) -> float | None:
        """Seconds until the death penalty, or None."""

    def ask(self) -> str | None:
        """A reason to leave that only a round trip tells. Never raises."""

    def hold(self) -> AbstractContextManager[None]:
        """Keep signals from raising inside."""

    def defer(self, on_held: Callable[[], object]) -> AbstractContextManager[Callable[[], None]]:
        """The same, telling when something was held back; what this gives lets that through, where it may raise."""


class Stopping:
    """The question `stopping()`, for one execution.

    Nothing going on costs a flag or two and one clock comparison: the shared flag is not set and `due` lies ahead. Once
    something was asked, or a cursor has to be read again, `due` is 0. Everything that costs more happens in `look`.
    """

    def __init__(self, job: ContinuableJob, progress: Progress, workplace: Workplace, interval: float) -> None:
        self.asked: str | None = None
        self.flag = workplace.stop_flag
        # Whether there is nothing to do at a checkpoint, and no transaction is open with which a cursor could go back.
        self.is_quiet = self._quietness(progress.blocks)
        # When to look closer, on the monotonic clock. 0: the first movement after a claim is written at once.
        self.due = 0.0
        # The interrupt that left, so that one that was swallowed can be raised again.
        self.left: Interrupt | None = None
        self._job = job
        self._progress = progress
        self.workplace = workplace
        self._interval = interval
        # By how much looks are apart when all is well.
        self._slack = max(0.0, interval - 1.0)
        self._next_beat = 0.0
        self._last_look = time.monotonic()
        # A small job has ended by then, without a round trip that nearly always tells nothing.
        self._next_question = self._last_look + ASK_PAUSE
        self._longest_gap = 0.0
        self._asked_at = self._last_look
        self._complained_at = 0.0
        self._timeout = workplace.deadline()
        self._deadline = math.inf if self._timeout is None else self._last_look + self._timeout
        self._times_out_at = self._deadline - self._margin()
        self._runs_until = math.inf if job.max_runtime is None else self._last_look + job.max_runtime

    def ask_to_stop(self) -> None:
        """Called by signal handlers: only notes."""
        self._note("stopping")

    def checkpoint(self) -> None:
        """Leave here if there is a reason to."""
        if not self.flag[0] and time.monotonic() < self.due:
            return
        self.look_and_leave()

    def look_and_leave(self, *, boundary: bool = False) -> None:
        """The rest of a checkpoint. `boundary`: between steps, where everything is asked."""
        stop = self.look(boundary=boundary)
        if stop is not None:
            self.leave(stop.reason, stop.seconds)

    def reason(self) -> str | None:
        """The answer to `stopping()`: why this execution should leave, or None."""
        if not self.flag[0] and time.monotonic() < self.due:
            return None
        if self._progress.step is not None and self._progress.step.is_in_event_loop:
            stop = self._reason_at_hand()
        else:
            stop = self.look()
        # Inside a transaction nothing is decided, but what was noted is known.
        return self.asked if stop is None else stop.reason

    def look(self, *, boundary: bool = False) -> Stop | None:
        """Ask everything that is due, and write progress on the beat."""
        self.insist()
        if self.flag[0]:
            self._note("stopping", at=self.workplace.told_at)
        now = time.monotonic()
        self._measure(now)
        if self._progress.blocks.open_alias() is not None:
            with self.workplace.hold():
                ours = self._progress.write_inside_block()
            if not ours:
                # The one reason to leave inside a transaction: it rolls back what a successor does.
                return Stop("superseded")
            self._complain(now)
            return None
        on_beat = boundary or now >= self._next_beat or self._progress.first_movement_waits
        if on_beat:
            self._next_beat = now + self._interval
            with self.workplace.hold():
                status = self._progress.beat()
                if status in REQUESTS:
                    self._note(REQUESTS[status])
                if now >= self._next_question:
                    self._next_question = now + ASK_PAUSE
                    self._note(self.workplace.ask())
            if status is None:
                return Stop("superseded")
        stop = self._reason(now, on_beat=on_beat)
        self._set_due(now)
        return stop

    def leave(self, reason: str, wait: float | None = None, rest: Rest | None = None) -> NoReturn:
        """Raise the interrupt. The one place that does."""
        late = time.monotonic() - self._asked_at
        if self.asked is not None and late > SLOW_CHECKPOINT:
            self._progress.complain(
                f"took {late:.0f} s to reach a checkpoint after {self.asked} was asked: "
                "call step.checkpoint() more often, or a worker that is given less time kills it there"
            )
        self.left = Interrupt(storable(reason)[:REASON_LENGTH], wait=wait, rest=rest)
        self.asked = self.asked or reason
        self.due = 0.0
        raise self.left

    def insist(self) -> None:
        """Raise the interrupt again if it was swallowed."""
        if self.left is not None:
            raise self.left

    def _reason_at_hand(self) -> Stop | None:
        """What is known without a round trip, which a coroutine makes in `acheckpoint`."""
        self.insist()
        if self.flag[0]:
            self._note("stopping", at=self.workplace.told_at)
        return self._reason(time.monotonic(), on_beat=False)

    def _reason(self, now: float, *, on_beat: bool) -> Stop | None:
        for probe in probes:
            if answer := probe(self._job):
                return _as_stop(answer)
        if self.asked is not None:
            return Stop(self.asked)
        if now >= self._times_out_at:
            return Stop("timeout")
        if now >= self._runs_until:
            return Stop("max_runtime")
        if on_beat and (answer := self._job.should_stop()):
            return _as_stop(answer)
        return None

    def _note(self, reason: str | None, *, at: float | None = None) -> None:
        if reason is not None and self.asked is None:
            self.asked = reason
            self._asked_at = time.monotonic() if at is None else at
            self.due = 0.0

    def _margin(self) -> float:
        timeout = self._timeout or 0.0
        wanted = max(MARGIN, timeout * MARGIN_SHARE, self._longest_gap * GAP_FACTOR)
        return min(wanted, timeout * MARGIN_LIMIT)

    def _measure(self, now: float) -> None:
        # The last checkpoint before this one is not known, only the last look; it came at most an interval later.
        gap, self._last_look = now - self._last_look - self._slack, now
        if gap > self._longest_gap:
            self._longest_gap = gap
            self._times_out_at = self._deadline - self._margin()

    def _set_due(self, now: float) -> None:
        self.due = min(self._next_beat, self._times_out_at, self._runs_until)
        # Asked after it was set: a signal may come in between.
        if probes or self._interval == 0 or not self._progress.has_moved or self._progress.is_unsettled or self.asked:
            self.due = 0.0

    def _quietness(self, blocks: Blocks) -> Callable[[], bool]:
        # A function with cells, for the one thing that may happen a million times a second.
        flag, own, others, clock = self.flag, blocks.own, blocks.others, time.monotonic

        def is_quiet() -> bool:
            return clock() < self.due and not flag[0] and not own.in_atomic_block

        def is_quiet_everywhere() -> bool:
            return is_quiet() and not any(each.in_atomic_block for each in others)

        return is_quiet_everywhere if others else is_quiet

    def _complain(self, now: float) -> None:
        """After stop was asked, say that an open transaction keeps the job from stopping."""
        if now >= self._times_out_at:
            self._note("timeout")
        if self.asked is not None and now - self._complained_at >= COMPLAINT_INTERVAL:
            self._complained_at = now
            self._progress.complain(
                f"cannot stop here ({self.asked} was asked {now - self._asked_at:.0f} s ago) because a transaction is "
                "open: use step.atomic() around the work on one item, and no transaction.atomic around the loop"
            )


def _as_stop(answer: Any) -> Stop:
    if isinstance(answer, Stop):
        return answer
    if isinstance(answer, str):
        return Stop(answer)
    return Stop("stopping")
