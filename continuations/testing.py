"""Tests of jobs without Redis and without workers: `enqueue` writes the row, and the test says when it runs.

Set `CONTINUATIONS = {"DELIVERY": "continuations.testing.MemoryDelivery"}` in the settings of your tests. Everything
here works inside `TestCase` and pytest-django's `db`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.db.models import Q
from django.utils import timezone

from .conf import database
from .stopping import Stop, probes
from .workplace import Workplace

if TYPE_CHECKING:
    from .ends import Outcome
    from .job import ContinuableJob
    from .models import Continuation
    from .querysets import ContinuationQuerySet
    from .stopping import Probe

__all__ = [
    "MemoryDelivery",
    "assert_resumable",
    "crash_during",
    "enqueued",
    "interrupt_after",
    "interrupt_during",
    "run_enqueued",
    "run_until_finished",
    "stopping_when",
]


class MemoryDelivery:
    """Hands nothing to anybody: the rows are enough for the functions of this module."""

    def push(self, continuation: Continuation, *, at_front: bool = False) -> None:
        """Nothing to do."""

    def push_many(self, continuations: Sequence[Continuation], *, at_front: bool = False) -> None:
        """Nothing to do."""

    def replace(self, continuation: Continuation, delivery: int, execution: Any) -> None:
        """Nothing to do."""

    def push_anchor(self, continuation: Continuation) -> None:
        """Nothing to do."""

    def forget(self, continuations: Sequence[Continuation]) -> None:
        """Nothing to do."""

    def wakes_up(self, queue_name: str) -> bool:
        """The test does."""
        return True


class _Bench(Workplace):
    """The test's own process, where an owner that is not running is dead, and time is the test's to choose."""

    runs_early = True

    def waits_in_place(self, seconds: float, queue_name: str) -> bool:
        return False

    def is_dead(self, execution: Any) -> bool:
        return True


class _Crash(BaseException):
    """Ends an execution as SIGKILL would: nothing catches it, so nothing more is written."""


def enqueued(job_class: type[ContinuableJob] | None = None) -> ContinuationQuerySet:
    """Continuations that wait to run, due or not, oldest first; also those whose execution crashed.

    What waits for an event or for children is not among them, unless its time is up: nothing would come of it.
    """
    from .models import Continuation
    from .transitions import Status

    rows = Continuation.objects.using(database())
    if job_class is not None:
        rows = rows.for_job(job_class)
    told_only = Q(status=Status.WAITING) & ~Q(waiting_for="") & (Q(run_after=None) | Q(run_after__gt=timezone.now()))
    return rows.active().exclude(status=Status.PAUSED).exclude(told_only).order_by("created_at", "pk")


def run_enqueued(job_class: type[ContinuableJob] | None = None, *, due_only: bool = False) -> int:
    """One execution of each continuation that waits to run now, not of those that come back meanwhile.

    Oldest first, due or not unless `due_only`. Runs all of them, then raises the first error that failed one.
    Returns how many ran. `job_class` matches its subclasses too.
    """
    _tell_families()
    rows = enqueued(job_class)
    if due_only:
        rows = rows.due(timezone.now())
    first_error: BaseException | None = None
    ran = 0
    for continuation in list(rows):
        outcome = _execute(continuation)
        ran += 1
        first_error = first_error or _failure(outcome)
    if first_error is not None:
        raise first_error
    return ran


def run_until_finished(continuation: Continuation, *, max_executions: int = 1000) -> Continuation:
    """Executions of `continuation`, due or not, until it ends; then raises the error that failed it, if one did.

    Returns it as it is in the database. Stops too when it is paused, or waits for an event or for children. Raises
    `AssertionError` after `max_executions`.
    """
    _tell_families()
    for _ in range(max_executions):
        outcome = _execute(continuation)
        continuation.refresh_from_db()
        if (error := _failure(outcome)) is not None:
            raise error
        if not enqueued().filter(pk=continuation.pk).exists():
            return continuation
    raise AssertionError(f"{continuation} has not ended after {max_executions} executions; it is {continuation.status}")


@contextlib.contextmanager
def stopping_when(predicate: Callable[[ContinuableJob], Any]) -> Iterator[None]:
    """Ask `predicate(job)` at *every* checkpoint: falsy goes on, True or a string leaves; it may raise."""
    probes.append(predicate)
    try:
        yield
    finally:
        probes.remove(predicate)


@contextlib.contextmanager
def interrupt_during(
    job_class: type[ContinuableJob], step: str, cursor: Any = None, reason: bool | str = True
) -> Iterator[None]:
    """Interrupt `job_class` at a checkpoint inside `step` when its cursor equals `cursor` exactly (None: none)."""
    with stopping_when(lambda job: reason if _is_at(job, job_class, step, cursor) else None):
        yield


@contextlib.contextmanager
def interrupt_after(job_class: type[ContinuableJob], step: str, reason: bool | str = True) -> Iterator[None]:
    """Interrupt `job_class` at the checkpoint after `step`, before the next one."""

    def is_after(job: ContinuableJob) -> Any:
        done = job.completed_steps
        return reason if isinstance(job, job_class) and not job.current_step and done and done[-1] == step else None

    with stopping_when(is_after):
        yield


@contextlib.contextmanager
def crash_during(job_class: type[ContinuableJob], step: str, cursor: Any = None) -> Iterator[None]:
    """Let `job_class` die at a checkpoint inside `step`, at `cursor` exactly, as by SIGKILL."""

    def crash(job: ContinuableJob) -> None:
        if _is_at(job, job_class, step, cursor):
            raise _Crash

    with stopping_when(crash):
        yield


def assert_resumable(
    job_class: type[ContinuableJob], *args: Any, effects: Callable[[], Any], reset: Callable[[], object]
) -> None:
    """Assert that no interruption and no crash changes what the job does.

    Runs the job alone, then once for every checkpoint with an interrupt there, then with a crash there. `reset()`
    comes before each run, and `effects()` after it must return the same each time.
    """
    visited: list[str] = []

    def note(job: ContinuableJob) -> None:
        visited.append(_place(job))

    reset()
    with stopping_when(note):
        expected_status = run_until_finished(job_class.enqueue(*args)).status
    expected = effects()
    for kind, answer in (("an interrupt", _interrupt), ("a crash", _crash)):
        for index, place in enumerate(visited):
            reset()
            try:
                with stopping_when(_at_checkpoint(index, answer)):
                    status = run_until_finished(job_class.enqueue(*args)).status
            except Exception as error:
                raise AssertionError(
                    f"{job_class.__name__} is not resumable: {kind} {place} led to {error!r}"
                ) from error
            got = effects()
            if (got, status) != (expected, expected_status):
                raise AssertionError(
                    f"{job_class.__name__} is not resumable: {kind} {place} gave {got!r} ({status}), "
                    f"where {expected!r} ({expected_status}) was expected"
                )


def _at_checkpoint(index: int, answer: Callable[[], Any]) -> Probe:
    remaining = iter(range(index, -1, -1))
    return lambda job: answer() if next(remaining, None) == 0 else None


def _interrupt() -> Stop:
    return Stop("stopping")


def _crash() -> None:
    raise _Crash


def _place(job: ContinuableJob) -> str:
    step = job._running()[0].current
    if step is None:
        return f"after step {job.completed_steps[-1]!r}" if job.completed_steps else "before the first step"
    return f"in step {step.name!r} at cursor {step.cursor!r}"


def _is_at(job: ContinuableJob, job_class: type[ContinuableJob], step: str, cursor: Any) -> bool:
    if not isinstance(job, job_class):
        return False
    current = job._running()[0].current
    return (
        current is not None
        and current.name == step
        and type(current.cursor) is type(cursor)
        and (current.cursor == cursor)
    )


def _execute(continuation: Continuation) -> Outcome | None:
    """One execution here; None if it crashed."""
    from .execution import execute

    rows = type(continuation).objects.using(database())
    delivery = rows.only("delivery").get(pk=continuation.pk).delivery
    try:
        outcome = execute(continuation.pk, delivery, _Bench())
    except _Crash:
        return None
    _tell_families()
    return outcome


def _tell_families() -> None:
    """What ends and verbs do on commit for parents and children: in a test case nothing is ever committed."""
    from .family import cancel_children, cancel_strays, wake_parent
    from .models import Continuation

    if not connections[database()].in_atomic_block:
        return
    rows = Continuation.objects.using(database())
    parents = rows.filter(pk__in=rows.exclude(parent=None).values("parent"))
    # Parents come before their children, and what is done to one changes the next.
    for pk in list(parents.order_by("created_at", "pk").values_list("pk", flat=True)):
        parent = rows.get(pk=pk)
        if parent.status == parent.Status.CANCELLED:
            cancel_children(parent)
        else:
            cancel_strays(parent)
            wake_parent(Continuation, database(), parent.pk)


def _failure(outcome: Outcome | None) -> BaseException | None:
    if outcome is None or outcome.continuation is None:
        return None
    return outcome.error if outcome.status == outcome.continuation.Status.FAILED else None
