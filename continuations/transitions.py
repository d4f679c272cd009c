"""The one table of statuses: who may move a continuation from where to where. Nothing else decides that."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from .errors import TransitionError


class Status(TextChoices):
    """`interrupted` is infrastructure, `paused` is a person. `pausing` and `cancelling` are requests, not facts."""

    ENQUEUED = "enqueued", _("enqueued")
    RUNNING = "running", _("running")
    INTERRUPTED = "interrupted", _("interrupted")
    WAITING = "waiting", _("waiting")
    PAUSING = "pausing", _("pausing")
    PAUSED = "paused", _("paused")
    CANCELLING = "cancelling", _("cancelling")
    CANCELLED = "cancelled", _("cancelled")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    DISCARDED = "discarded", _("discarded")


S = Status

ARROWS: dict[tuple[Status, Status], str] = {
    (S.ENQUEUED, S.RUNNING): "a worker claims it",
    (S.INTERRUPTED, S.RUNNING): "a worker claims it again",
    (S.WAITING, S.RUNNING): "it is due and a worker claims it",
    (S.RUNNING, S.RUNNING): "a worker takes it over from a dead execution",
    (S.RUNNING, S.INTERRUPTED): "the execution stopped at a checkpoint, or an error is resumed, or it died",
    (S.RUNNING, S.WAITING): "the execution rests until a time or an event",
    (S.RUNNING, S.SUCCEEDED): "perform returned",
    (S.RUNNING, S.FAILED): "perform raised, or a limit was reached",
    (S.RUNNING, S.DISCARDED): "perform raised an error that discard_on names",
    (S.RUNNING, S.PAUSED): "a limit was reached and on_limit is 'pause'",
    (S.RUNNING, S.CANCELLED): "RQ's stop command ended its process",
    (S.RUNNING, S.PAUSING): "a person asks the running execution to pause",
    (S.RUNNING, S.CANCELLING): "a person asks the running execution to cancel",
    (S.PAUSING, S.PAUSED): "the execution stopped, or died, after the request",
    (S.PAUSING, S.CANCELLED): "RQ's stop command ended its process",
    (S.PAUSING, S.CANCELLING): "a person cancels before the pause took effect",
    (S.PAUSING, S.RUNNING): "a person takes the request back",
    (S.PAUSING, S.SUCCEEDED): "perform returned before the request took effect",
    (S.PAUSING, S.FAILED): "perform raised before the request took effect",
    (S.PAUSING, S.DISCARDED): "perform raised a discarded error before the request took effect",
    (S.CANCELLING, S.CANCELLED): "the execution stopped, or died, after the request",
    (S.CANCELLING, S.SUCCEEDED): "perform returned before the request took effect",
    (S.CANCELLING, S.FAILED): "perform raised before the request took effect",
    (S.CANCELLING, S.DISCARDED): "perform raised a discarded error before the request took effect",
    (S.ENQUEUED, S.ENQUEUED): "its delivery was lost and it is delivered again",
    (S.ENQUEUED, S.PAUSED): "a person pauses it before it started",
    (S.ENQUEUED, S.CANCELLED): "a person cancels it before it started",
    (S.INTERRUPTED, S.ENQUEUED): "its delivery was lost and it is delivered again",
    (S.INTERRUPTED, S.WAITING): "it rests before the next execution",
    (S.INTERRUPTED, S.PAUSED): "a person pauses it between executions",
    (S.INTERRUPTED, S.CANCELLED): "a person cancels it between executions",
    (S.WAITING, S.ENQUEUED): "it is due, or a person or event wakes it",
    (S.WAITING, S.INTERRUPTED): "a short back-off was waited out in place",
    (S.WAITING, S.PAUSED): "a person pauses it while it waits",
    (S.WAITING, S.CANCELLED): "a person cancels it while it waits",
    (S.PAUSED, S.ENQUEUED): "a person resumes it",
    (S.PAUSED, S.CANCELLED): "a person cancels it",
    (S.FAILED, S.ENQUEUED): "a person retries it, or runs it again from a step",
    (S.SUCCEEDED, S.ENQUEUED): "a person runs it again from a step",
    (S.DISCARDED, S.ENQUEUED): "a person runs it again from a step",
    (S.CANCELLED, S.ENQUEUED): "a person runs it again from a step",
}

# Ended: no execution will follow unless a person retries.
FINISHED = frozenset({S.SUCCEEDED, S.FAILED, S.DISCARDED, S.CANCELLED})
# An execution owns it.
OWNED = frozenset({S.RUNNING, S.PAUSING, S.CANCELLING})
# Waiting for a worker, or for the moment at which it will.
CLAIMABLE = frozenset({S.ENQUEUED, S.INTERRUPTED, S.WAITING})

# What each verb of a continuation starts from, for whoever offers verbs. What has been asked of an execution and not
# been done for a while may be asked again with force: `force_after` of the continuation says from when on.
VERBS: dict[str, frozenset[Status]] = {
    "pause": CLAIMABLE | {S.RUNNING},
    "resume": frozenset({S.PAUSED, S.PAUSING}),
    "cancel": CLAIMABLE | {S.RUNNING, S.PAUSING, S.PAUSED},
    "retry": frozenset({S.FAILED}),
    "rerun_from": FINISHED | {S.PAUSED},
    "set_cursor": CLAIMABLE | {S.PAUSED, S.FAILED},
    "send": frozenset(S) - FINISHED | {S.FAILED},
    "follow_up": frozenset({S.SUCCEEDED}),
}
FORCED: dict[str, Status] = {"pause": S.PAUSING, "cancel": S.CANCELLING}


def allows(verb: str, status: str) -> bool:
    """Whether `verb`, the name of a method of a continuation, starts from `status` without force."""
    return Status(status) in VERBS[verb]


def check(source: str, target: str, *, subject: str, verb: str, sources: frozenset[Status] | None = None) -> None:
    """Raise `TransitionError` unless the table has an arrow from `source` to `target`.

    `sources` narrows what a verb starts from: retrying and resuming end in the same status, but not from the same.
    """
    allowed = {a for a, b in ARROWS if b == target}
    if sources is not None:
        allowed &= sources
    if Status(source) not in allowed:
        names = ", ".join(sorted(status.value for status in allowed))
        raise TransitionError(f"{subject} is {source}: cannot {verb} it. That needs one of these statuses: {names}.")
