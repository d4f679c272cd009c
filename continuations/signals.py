"""Signals for every boundary of a continuation's life. The sender is the model `Continuation`.

Each is sent after what it tells of has been committed, with `continuation` and what its line below names. Receivers
cannot disturb a job: what they raise goes to the logger `django.dispatch`. A receiver that is slow makes the job slow.
Where a process dies between a commit and its signal, the signal is not sent: for what must happen, use `on_success`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.dispatch import Signal

if TYPE_CHECKING:
    from .models import Continuation

# Before the row is written, in the caller's transaction: a receiver may put JSON values into `continuation.context`.
enqueueing = Signal()
# In the process that enqueued it, once that is committed.
enqueued = Signal()
# `execution`: the Execution. A worker has claimed it.
execution_started = Signal()
# `step`: its name. `cursor`: where it begins. `resumed`: whether an earlier execution began it.
step_started = Signal(use_caching=True)
# `step`, `cursor`.
step_completed = Signal(use_caching=True)
# `step`: it was completed by an earlier execution.
step_skipped = Signal(use_caching=True)
# `execution`, `reason`, `step`, `cursor` (None outside steps), `error` (or None), `wait`: seconds before it goes on.
# The execution has ended and the continuation has not: it goes back to its queue, rests, or is paused.
interrupted = Signal()
# `execution`.
succeeded = Signal()
# `execution`, `step`, `cursor`, `error`. Final, until somebody retries.
failed = Signal()
# `execution`, `step`, `cursor`, `error`: one that `discard_on` names.
discarded = Signal()
# `execution`. This process is done with it: the last signal of each, also where it was superseded or could not write.
execution_ended = Signal()
# Somebody's `pause()`, `resume()` or `cancel()` has taken effect; `retry()` or `rerun_from()` was called.
paused = Signal()
resumed = Signal()
cancelled = Signal()
retried = Signal()
# `event`: the Event. Somebody has sent the first of that name.
event_sent = Signal()
# `action` and `why`, as `recover()` tells them.
recovered = Signal()


def emit(signal: Signal, continuation: Continuation, **facts: Any) -> None:
    """Send `signal` now."""
    if signal.receivers:
        signal.send_robust(sender=type(continuation), continuation=continuation, **facts)


def emit_on_commit(signal: Signal, continuation: Continuation, **facts: Any) -> None:
    """Send `signal` once the transaction on the continuation's database has committed."""
    if signal.receivers:
        transaction.on_commit(lambda: emit(signal, continuation, **facts), using=continuation._state.db, robust=True)
