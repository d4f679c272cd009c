"""What becomes of a continuation when an execution ends: a pure decision from what is known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .errors import ContinuationError, NoProgressError, ResumeLimitError
from .policies import policy_for
from .transitions import Status

if TYPE_CHECKING:
    from .job import ContinuableJob
    from .models import Continuation
    from .rests import Rest

# Seconds: first back-off of an error that is resumed, and where its doubling ends.
BACKOFF_FIRST = 5.0
BACKOFF_LIMIT = 300.0

# Interruptions that are the design working, and do not count against max_resumptions.
FREE_REASONS = frozenset({"database", "timeout", "max_runtime", "isolating", "paused", "cancelled", "waiting"})
# After these the job goes to the front of its queue: it was its turn, and something else took it away.
FRONT_REASONS = frozenset({"stopping", "orphaned", "database"})


@dataclass(frozen=True)
class Ending:
    """How `perform` ended: it returned, left with a reason, or raised."""

    result: Any = None
    reason: str | None = None
    wait: float | None = None
    # What it waits for, if it left for that.
    rest: Rest | None = None
    error: BaseException | None = None
    # The error was raised into the job from outside (time-out, shutdown); this says by whom, as a reason.
    forced: str | None = None

    @property
    def is_return(self) -> bool:
        """`perform` has come to its end."""
        return self.reason is None and self.error is None and self.forced is None


@dataclass(frozen=True)
class Situation:
    """What the execution achieved."""

    # It completed a step or moved a cursor.
    advanced: bool
    # It or one before it did.
    has_progress: bool
    step: str | None = None


@dataclass(frozen=True)
class Decision:
    """The status to move to and what to write with it. `wait` seconds of rest come first if not 0."""

    status: Status
    reason: str = ""
    wait: float = 0.0
    rest: Rest | None = None
    error: Exception | None = None
    changes: dict[str, Any] = field(default_factory=dict)


def decide(job_class: type[ContinuableJob], row: Continuation, ending: Ending, situation: Situation) -> Decision:
    """Apply the rules. `row` is the locked row, so requests made meanwhile are seen."""
    decision = _outcome(job_class, row, ending, situation)
    if decision.status in (Status.INTERRUPTED, Status.WAITING, Status.PAUSED):
        # A request is a person's wish about what happens between executions; success and failure beat it.
        changes = {name: value for name, value in decision.changes.items() if name != "counted_resumptions"}
        if row.status == Status.PAUSING:
            return Decision(Status.PAUSED, "paused", error=decision.error, changes=changes)
        if row.status == Status.CANCELLING:
            return Decision(Status.CANCELLED, "cancelled", changes=changes)
    return decision


def _outcome(job_class: type[ContinuableJob], row: Continuation, ending: Ending, situation: Situation) -> Decision:
    if ending.forced is not None and situation.advanced:
        return _interruption(job_class, row, ending.forced, None, situation)
    if ending.reason is not None:
        decision = _interruption(job_class, row, ending.reason, ending.wait, situation)
        if ending.rest is None:
            return decision
        return replace(decision, status=Status.WAITING, wait=ending.wait or 0.0, rest=ending.rest)
    if ending.error is not None and not isinstance(ending.error, Exception):
        return _failure(_without_progress(ending, ending.error, situation))
    if ending.error is not None:
        return _error(job_class, row, ending, ending.error, situation)
    return Decision(Status.SUCCEEDED, changes={"errors": 0, "crashes": 0, "attempts_json": {}})


def _interruption(
    job_class: type[ContinuableJob], row: Continuation, reason: str, wait: float | None, situation: Situation
) -> Decision:
    free = reason in FREE_REASONS or wait is not None
    if not free and situation.has_progress and (over := _beyond_limit(job_class, row)):
        return over
    seconds = max(wait or 0.0, job_class.resume_wait_seconds())
    changes = {"errors": 0, "crashes": 0, "attempts_json": {} if situation.advanced else row.attempts_json}
    if not free and situation.has_progress:
        changes["counted_resumptions"] = row.counted_resumptions + 1
    return Decision(Status.WAITING if seconds else Status.INTERRUPTED, reason, seconds, changes=changes)


def _error(
    job_class: type[ContinuableJob], row: Continuation, ending: Ending, error: Exception, situation: Situation
) -> Decision:
    policy = policy_for(job_class, error)
    if policy is not None and policy.attempts is None:
        return Decision(Status.DISCARDED, "error", error=error)
    if policy is not None and policy.attempts is not None:
        tries = 1 if situation.advanced else row.attempts_json.get(policy.name, 0) + 1
        if tries >= policy.attempts:
            return _failure(error)
        attempts = {policy.name: tries} if situation.advanced else row.attempts_json | {policy.name: tries}
        return _resume(job_class, row, error, policy.delay(tries, error), situation, {"attempts_json": attempts})
    if ending.forced is not None:
        return _failure(_without_progress(ending, error, situation))
    resumable = situation.advanced and job_class.resume_errors_after_advancing
    if isinstance(error, ContinuationError) or not resumable:
        return _failure(error)
    errors = row.errors + 1
    backoff = min(BACKOFF_FIRST * 2 ** min(errors - 1, 10), BACKOFF_LIMIT)
    return _resume(job_class, row, error, backoff, situation, {"errors": errors, "attempts_json": {}})


def _resume(
    job_class: type[ContinuableJob],
    row: Continuation,
    error: Exception,
    wait: float,
    situation: Situation,
    changes: dict[str, Any],
) -> Decision:
    if situation.has_progress and (over := _beyond_limit(job_class, row, error)):
        return over
    seconds = max(wait, job_class.resume_wait_seconds())
    status = Status.WAITING if seconds else Status.INTERRUPTED
    if situation.has_progress:
        changes["counted_resumptions"] = row.counted_resumptions + 1
    return Decision(status, "error", seconds, error=error, changes={"crashes": 0, **changes})


def _beyond_limit(
    job_class: type[ContinuableJob], row: Continuation, cause: Exception | None = None
) -> Decision | None:
    limit = job_class.max_resumptions
    if limit is None or row.counted_resumptions < limit:
        return None
    error = ResumeLimitError(
        f"{row} was resumed {row.counted_resumptions} times, and max_resumptions is {limit}; its progress is kept"
    )
    error.__cause__ = cause
    return at_limit(job_class, error)


def at_limit(job_class: type[ContinuableJob], error: Exception) -> Decision:
    """What `on_limit` says: fail, or pause for a person."""
    if job_class.on_limit == "pause":
        return Decision(Status.PAUSED, "paused", error=error)
    return _failure(error)


def _failure(error: Exception) -> Decision:
    return Decision(Status.FAILED, "error", error=error)


def _without_progress(ending: Ending, error: BaseException, situation: Situation) -> Exception:
    where = f"step {situation.step!r}" if situation.step else "the code outside steps"
    remedy = (
        "call step.checkpoint() or move the cursor more often, or give the job more time (rq_options job_timeout)"
        if situation.step
        else "move the work into steps, or give the job more time (rq_options job_timeout)"
    )
    problem = NoProgressError(
        f"{where} was ended by {type(error).__name__} ({ending.forced}) before it had advanced, so running it again "
        f"would end the same way: {remedy}"
    )
    problem.__cause__ = error
    return problem
