"""What a job class does when a continuation has ended: `on_success` and `on_failure`, in the transaction of the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import OperationalError, connections, transaction
from django.utils import timezone

from . import attributes, log
from .current import running
from .errors import TransitionError, traceback_of
from .loading import load_job_class
from .models import Continuation
from .outages import TROUBLE
from .transitions import Status

if TYPE_CHECKING:
    from .job import ContinuableJob


def on_end(job: ContinuableJob, row: Continuation, error: Exception | None, *, last_try: bool) -> None:
    """Run the hook of a continuation that has just been marked ended, in the transaction that marks it.

    What the hook raises is rolled back and noted, and the end stands. Trouble of the database comes out, so that the
    whole end is tried again, until the `last_try`.
    """
    name = "on_success" if row.status == Status.SUCCEEDED else "on_failure"
    alias = row._state.db or "default"
    try:
        with transaction.atomic(using=alias):
            _call(job, row, name, error)
        if connections[alias].needs_rollback:
            # MySQL undoes the whole transaction in a deadlock, and the hook has not let its error out.
            raise OperationalError(f"{name} went on after the database had rolled back its transaction")
    except Exception as raised:
        if isinstance(raised, TROUBLE) and not last_try:
            raise
        log.warning(row, f"{name} raised {type(raised).__name__}; what it did was rolled back", exc_info=raised)
        _note(row, raised)


def run_again(row: Continuation) -> None:
    """`Continuation.follow_up`."""
    alias = row._state.db
    with transaction.atomic(using=alias):
        locked = Continuation.objects.using(alias).lock(row.pk)
        if locked.status != Status.SUCCEEDED or locked.follow_up_failed_at is None:
            problem = f"is {locked.status}" if locked.status != Status.SUCCEEDED else "was followed up"
            raise TransitionError(f"{locked} {problem}: follow_up() is for on_success that failed")
        job = load_job_class(locked.job_path)()
        steps = locked.steps.using(alias).order_by("-position")
        attributes.load(job, steps.values_list("attributes_json", flat=True).first())
        job._bind(locked, None, None)
        _call(job, locked, "on_success", None)
        _write(locked, None, "")
    row.follow_up_failed_at, row.follow_up_error = None, ""


def _call(job: ContinuableJob, row: Continuation, name: str, error: Exception | None) -> None:
    args, kwargs = row.arguments
    with running(job):
        if name == "on_success":
            job.on_success(*args, **kwargs)
        else:
            job.on_failure(error or RuntimeError(f"{row} failed"), *args, **kwargs)


def _note(row: Continuation, error: Exception) -> None:
    _write(row, timezone.now(), traceback_of(error))


def _write(row: Continuation, failed_at: Any, text: str) -> None:
    row.follow_up_failed_at, row.follow_up_error = failed_at, text
    row.save(using=row._state.db, update_fields=["follow_up_failed_at", "follow_up_error"])
