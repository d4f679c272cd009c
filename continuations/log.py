"""One log line for each boundary. The words started, resumed, skipped, interrupted and completed appear nowhere else.

Records carry their facts as fields, for formatters that write JSON; docs/signals.md is made from these lines:

- `continuation_id`: the id, as text
- `job`: the dotted path of the job class
- `step`: name of the step, or None
- `cursor`: its cursor, masked where the job class says so, or None
- `reason`: why it was interrupted, `error` with an error, or None
- `execution`: number of the execution, 0 before the first
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from . import signals
from .errors import text_of
from .masking import mask, names_for

if TYPE_CHECKING:
    from .models import Continuation

logger = logging.getLogger("continuations")
# Where Django reports what receivers of signals raise.
_dispatch_logger = logging.getLogger("django.dispatch")


def step(event: str, continuation: Continuation, name: str, cursor: Any = None) -> None:
    """Say that `event` happened to a step. Like a receiver of its signal it cannot disturb the job.

    No receiver, since a job may skip thousands of steps: where nobody reads the line it costs next to nothing.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    try:
        boundary(event, continuation, step=name, cursor=cursor)
    except Exception:  # of a handler, or of the `repr` of a cursor
        _dispatch_logger.exception("Error in the log line of step %r", name)


def boundary(
    event: str,
    continuation: Continuation,
    *,
    step: str | None = None,
    cursor: Any = None,
    reason: str | None = None,
) -> None:
    """Say that `event` happened. `event` is one of the five words, with the subject left out."""
    if not logger.isEnabledFor(logging.INFO):
        return
    cursor = mask(cursor, names_for(continuation.job_path))
    subject = f"{continuation.job_name} {continuation.pk}"
    if step is not None:
        subject += f" step {step!r}"
    text = f"{subject} {event}"
    if cursor is not None:
        text += f" at cursor {cursor!r:.200}"
    if reason is not None:
        text += f" ({reason})"
    logger.info(text, extra=fields(continuation, step, cursor, reason))


def warning(continuation: Continuation, message: str, *, step: str | None = None, exc_info: Any = None) -> None:
    """A warning about one continuation."""
    logger.warning(
        "%s %s: %s",
        continuation.job_name,
        continuation.pk,
        message,
        exc_info=exc_info,
        extra=fields(continuation, step, None, None),
    )


def trouble(
    continuation: Continuation, outcome: str, error: BaseException, *, step: str | None, cursor: Any, wait: float
) -> None:
    """An error ended an execution: with its traceback when the continuation ends with it, else in one line."""
    goes_on = outcome in {"interrupted", "waiting"}
    place = "" if step is None else f" step {step!r}"
    # The text of an error that ends the continuation stands in its traceback, below the line.
    text = f": {text_of(error)}" if goes_on or outcome == "discarded" else ""
    then = f"runs again in {wait:.0f} s" if goes_on else outcome
    logger.log(
        logging.WARNING if goes_on or outcome == "discarded" else logging.ERROR,
        "%s %s%s raised %s%s; %s",
        continuation.job_name,
        continuation.pk,
        place,
        type(error).__name__,
        text,
        then,
        exc_info=None if text else error,
        extra=fields(continuation, step, cursor, "error"),
    )


def connect() -> None:
    """Turn signals into log lines, but for those of steps. Called when the app is ready."""
    for signal, receiver in (
        (signals.interrupted, _interrupted),
        (signals.failed, _failed),
        (signals.discarded, _discarded),
    ):
        signal.connect(receiver, dispatch_uid=f"continuations.log.{receiver.__name__}")


def _interrupted(
    continuation: Continuation,
    reason: str,
    step: str | None,
    cursor: Any,
    error: BaseException | None,
    wait: float,
    **_: Any,
) -> None:
    boundary("interrupted", continuation, step=step, cursor=cursor, reason=reason)
    if error is not None:
        trouble(continuation, str(continuation.status), error, step=step, cursor=cursor, wait=wait)


def _failed(continuation: Continuation, step: str | None, cursor: Any, error: BaseException, **_: Any) -> None:
    trouble(continuation, "failed", error, step=step, cursor=cursor, wait=0)


def _discarded(continuation: Continuation, step: str | None, cursor: Any, error: BaseException, **_: Any) -> None:
    trouble(continuation, "discarded", error, step=step, cursor=cursor, wait=0)


def fields(continuation: Continuation, step: str | None, cursor: Any, reason: str | None) -> dict[str, Any]:
    """What a record says of a continuation."""
    return {
        "continuation_id": str(continuation.pk),
        "job": continuation.job_path,
        "step": step,
        "cursor": mask(cursor, names_for(continuation.job_path)),
        "reason": reason,
        "execution": continuation.executions,
    }
