"""Signals for every boundary of a continuation's life. The sender is the model `Continuation`.

Each is sent after what it tells of has been committed, with `continuation` and the arguments that stand above it.
Receivers cannot disturb a job: what they raise goes to the logger `django.dispatch`. A receiver that is slow makes the
job slow. Where a process dies between a commit and its signal, the signal is not sent: for what must happen, use
`on_success`. docs/signals.md is made from the comments here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.dispatch import Signal

if TYPE_CHECKING:
    from .models import Continuation

# A row is about to be written, in the caller's transaction. The one that comes before its commit: a receiver may put
# JSON values into `continuation.context`, and they travel with the row.
enqueueing = Signal()
# It was enqueued and that is committed; sent in the process that enqueued it.
enqueued = Signal()
# A worker has claimed it.
#   execution: the `Execution`
execution_started = Signal()
# A step begins.
#   step: its name
#   cursor: where it begins
#   resumed: whether an earlier execution began it
step_started = Signal(use_caching=True)
# A step has ended, and its result is stored.
#   step: its name
#   cursor: its last cursor
step_completed = Signal(use_caching=True)
# A step was met that an earlier execution has completed.
#   step: its name
step_skipped = Signal(use_caching=True)
# An execution has ended and the continuation has not: it goes back to its queue, waits for a time, an event, its
# children or a person.
#   execution: the `Execution`
#   reason: why, such as `stopping`, `timeout`, `waiting`, `paused` or `error`
#   step: name of the step in progress, None outside steps
#   cursor: its cursor, None outside steps
#   error: the exception that did it, or None
#   wait: seconds before it goes on
interrupted = Signal()
# It has ended well.
#   execution: the `Execution`
succeeded = Signal()
# It has ended with an error. Final, until somebody retries.
#   execution: the `Execution`
#   step: name of the step in progress, None outside steps
#   cursor: its cursor, None outside steps
#   error: the exception
failed = Signal()
# It has ended with an error that `discard_on` names.
#   execution: the `Execution`
#   step: name of the step in progress, None outside steps
#   cursor: its cursor, None outside steps
#   error: the exception
discarded = Signal()
# This process is done with an execution: the last signal of each, also where it was superseded or could not write.
#   execution: the `Execution`
execution_ended = Signal()
# Somebody's `pause()` has taken effect, or a limit has paused it.
paused = Signal()
# Somebody's `resume()` has taken effect. An execution that goes on by itself is an `execution_started`.
resumed = Signal()
# Somebody's `cancel()` has taken effect.
#   execution: the `Execution` that heeded it, None where nothing ran
cancelled = Signal()
# Somebody has called `retry()` or `rerun_from()`.
retried = Signal()
# Somebody has sent the first event of a name.
#   event: the `Event`
event_sent = Signal()
# Recovery has done something about it, such as to put it back on its queue.
#   action: what was done, such as `taken over` or `delivered again`
#   why: what proved that it was needed
recovered = Signal()


def emit(signal: Signal, continuation: Continuation, **facts: Any) -> None:
    """Send `signal` now."""
    if signal.receivers:
        signal.send_robust(sender=type(continuation), continuation=continuation, **facts)


def emit_on_commit(signal: Signal, continuation: Continuation, **facts: Any) -> None:
    """Send `signal` once the transaction on the continuation's database has committed."""
    if signal.receivers:
        transaction.on_commit(lambda: emit(signal, continuation, **facts), using=continuation._state.db, robust=True)
