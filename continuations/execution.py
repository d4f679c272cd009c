"""One execution: claim, run `perform`, write the outcome. Only then is RQ told, by the runner."""

from __future__ import annotations

import gc
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from django.utils import timezone
from rq.exceptions import ShutDownImminentException
from rq.timeouts import BaseTimeoutException

from . import attributes, codec, current, log, shortcuts, signals
from .claim import Claim, Refusal, claim
from .conf import settings
from .delivery import deliver
from .ends import Outcome, changes_of, fill, tell
from .errors import (
    CheckpointError,
    CrashLimitError,
    Interrupt,
    ResumeLimitError,
    SerializationError,
    as_exception,
    fields_of,
)
from .family import after_end
from .followup import on_end
from .hooks import Hooks
from .isolation import atomic
from .loading import load_job_class
from .missing import MISSING
from .models import Continuation, Execution, StepRecord
from .outages import PAUSES, TROUBLE, insistently, is_away, reconnect, tells_of_a_loss
from .outcome import FRONT_REASONS, Decision, Ending, Situation, at_limit, decide
from .progress import Progress
from .records import PassedStep
from .sequence import Sequence
from .stopping import Stopping
from .transitions import ARROWS, Status

if TYPE_CHECKING:
    import uuid

    from .job import ContinuableJob
    from .workplace import Workplace


# Seconds to rest after a race that our own statement lost, so that the same race is not run at once.
TROUBLE_PAUSE = 1.0


def execute(pk: uuid.UUID, delivery: int, place: Workplace) -> Outcome:
    """Run one execution of the continuation, if this delivery may.

    Database errors of our own statements come out as they are; the caller decides whether to wait.
    """
    with place.hold():
        claimed = claim(pk, delivery, place)
        running = _Running(claimed, place) if claimed.refusal is None else None
    if running is None:
        return Outcome(claimed.continuation, refusal=claimed.refusal)
    continuation, execution, caller = running.continuation, running.execution, current.current_job()
    signals.emit(signals.execution_started, continuation, execution=execution)
    try:
        ending = running.run()
        with place.hold():
            place.disarm()
            outcome = running.end(ending)
    finally:
        # A time-out may have been raised between any two lines.
        current.go_back_to(caller)
        signals.emit(signals.execution_ended, continuation, execution=execution)
    stop = ending.error if isinstance(ending.error, (KeyboardInterrupt, SystemExit)) else None
    if running.left_open:
        # A generator that holds the block ends it when it is collected: not in the middle of another transaction.
        traceback.clear_frames(ending.error.__traceback__ if ending.error else None)
        place.listen(lambda: None)
        del running, ending
        gc.collect()
    return outcome if stop is None else replace(outcome, stop=stop)


class _Running:
    """A claimed continuation while its job runs."""

    def __init__(self, claimed: Claim, place: Workplace) -> None:
        assert claimed.continuation is not None
        assert claimed.execution is not None
        self.continuation: Continuation = claimed.continuation
        self.execution: Execution = claimed.execution
        self.place = place
        self.rest_is_over = claimed.rest_is_over
        self.last = claimed.last
        self.progress = Progress(self.continuation, self.execution.pk, place.hold)
        self.job_class: type[ContinuableJob] | None = None
        self.job: ContinuableJob | None = None
        self.sequence: Sequence | None = None
        self.stopping: Stopping | None = None
        self.alias = self.progress.alias
        # A transaction that `perform` left open was rolled back.
        self.left_open = False
        # The driver's connection with which `perform` began.
        self._driver: Any = None

    def run(self) -> Ending:
        """`perform`, and how it ended. Nothing else is caught: what is not an error of the job ends the process."""
        try:
            result = self._perform()
        except Interrupt as interrupt:
            return _left(interrupt)
        except (BaseTimeoutException, ShutDownImminentException, SystemExit, KeyboardInterrupt) as error:
            if self.job is None:
                # Nothing has begun yet that could be said to have been ended by it.
                raise
            return Ending(error=error, forced="timeout" if isinstance(error, BaseTimeoutException) else "stopping")
        except TROUBLE as error:
            # The connection broke under the job, or a statement of ours lost a race that cannot be run again inside a
            # transaction: neither the job's fault nor its failure.
            if is_away(connections[self.alias]):
                return Ending(reason="database")
            ours = error is self.progress.trouble or self._was_replaced(error)
            return Ending(reason="database", wait=TROUBLE_PAUSE) if ours else Ending(error=error)
        except Exception as error:  # noqa: BLE001 - whatever a job raises is its outcome
            return Ending(error=error)
        if self.stopping is not None and self.stopping.left is not None:
            left = self.stopping.left
            self.progress.complain(f"swallowed the interrupt ({left.reason}): do not catch BaseException around steps")
            return _left(left)
        return Ending(result=result)

    def _was_replaced(self, error: BaseException) -> bool:
        """Whether the connection was lost in a block of the job's: Django opens the next one as the block ends."""
        return tells_of_a_loss(error) and connections[self.alias].connection is not self._driver

    def end(self, ending: Ending) -> Outcome:
        """Write the outcome, again if the database was away or chose another victim; it knows its own success."""
        step = self.progress.step
        sequence, unsaved = (0, False) if step is None else (step.record.sequence, step.unsaved)
        tries = 0
        while True:
            try:
                return self._end(ending, last_try=tries >= len(PAUSES))
            except TROUBLE as error:
                if step is not None:
                    # What the transaction wrote is not there, or will be recognised as ours.
                    step.record.sequence, step.unsaved = sequence, unsaved
                away = is_away(connections[self.alias]) and not reconnect(self.alias)
                if tries >= len(PAUSES) and not (away and self.place.sits_out_outages):
                    raise
                log.warning(self.continuation, f"its outcome could not be written ({error}); trying again")
                # Even when told to stop: so much time there is.
                time.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1

    def _end(self, ending: Ending, *, last_try: bool = False) -> Outcome:
        """Decide and write the outcome in one transaction, under the row's lock."""
        left_open = self.progress.blocks.abandon()
        if left_open:
            self.left_open = True
            self.progress.doubt(rolled_back=True)
        if ending.reason == "superseded":
            if not self.progress.forget_lost_step():
                row = Continuation.objects.using(self.alias).filter(pk=self.continuation.pk).first()
                return self._superseded(row or self.continuation)
            ending = Ending(reason="database")
        ending, result_json = self._encoded(ending)
        if left_open and ending.forced is None:
            problem = CheckpointError(
                f"{self.continuation.job_name}.perform ended with a transaction open on {', '.join(left_open)}; "
                "it was rolled back. Open transactions with `with transaction.atomic():` and let the block end"
            )
            problem.__cause__ = ending.error
            ending = Ending(error=problem)
        if self.sequence is not None and self.sequence.timed_out is not None and ending.forced is None and ending.error:
            # Whoever lets it try again lets it wait again.
            self.sequence.timed_out.begin_again(None)
        if (outcome := self._succeed(ending, result_json)) is not None:
            return outcome
        # A hook runs in it, at the project's level. Who parks runs none, and has to see what came at the last moment.
        with transaction.atomic(using=self.alias) if ending.rest is None else atomic(self.alias):
            row = Continuation.objects.using(self.alias).select_for_update().filter(pk=self.continuation.pk).first()
            if row is None:
                return Outcome(None, refusal=Refusal.GONE)
            if row.owner != self.execution.pk:
                return self._recognise(row, ending)
            try:
                decision = self._decide(row, ending)
            except Exception as error:  # noqa: BLE001 - a policy is code of the job's, and may raise
                error.__context__ = error.__context__ or ending.error
                decision = Decision(Status.FAILED, "error", error=error)
            rests = decision.rest if decision.status == Status.WAITING else None
            if rests is not None and rests.look(row) is not MISSING:
                # It came meanwhile. What comes from now on finds the row locked, and then waiting.
                decision = replace(decision, status=Status.INTERRUPTED, wait=0.0, rest=None)
            assert (Status(row.status), decision.status) in ARROWS
            outcome = self._write(row, decision, result_json)
            self._follow_up(row, decision, last_try=last_try)
            after_end(row)
        tell(row, self.execution, decision, self.progress.step)
        return outcome

    def _encoded(self, ending: Ending) -> tuple[Ending, str | None]:
        """It with the result, if any; or with the error of what cannot be stored."""
        try:
            if self.progress.step is not None:
                self.progress.check(self.progress.step)
            return ending, codec.encode(ending.result, what=f"result of {self.continuation.job_name}.perform")
        except SerializationError as error:
            return ending if ending.error is not None else Ending(error=error), None

    def _recognise(self, row: Continuation, ending: Ending) -> Outcome:
        """The row is not ours any more: because our own outcome was committed, and the answer lost, or superseded."""
        mine = (
            Execution.objects.using(self.alias).filter(pk=self.execution.pk).exclude(outcome__in=["", "died"]).first()
        )
        if mine is None or row.owner is not None or row.status != mine.outcome:
            return self._superseded(row)
        after_end(row)
        moved_on = row.delivery != self.continuation.delivery
        if moved_on and not row.is_told_only:
            deliver(row)
        waits = row.status == Status.WAITING and row.run_after is not None and not moved_on
        return Outcome(
            row,
            Status(row.status),
            error=ending.error,
            wait=max(0.0, (row.run_after - timezone.now()).total_seconds()) if waits and row.run_after else 0.0,
            moved_on=moved_on,
            at_front=row.reason in FRONT_REASONS,
        )

    def _superseded(self, row: Continuation) -> Outcome:
        if row.executions < self.execution.number and row.delivery == self.continuation.delivery:
            # Nobody was: a server that crashed has forgotten this claim, for which nobody waited.
            return Outcome(row, Status.INTERRUPTED, at_front=True)
        return Outcome(row, refusal=Refusal.SUPERSEDED)

    def _perform(self) -> Any:
        continuation, progress, place = self.continuation, self.progress, self.place
        # Loaded only now: the claim has committed, and nothing older than it can be seen.
        with place.hold():
            self.job_class = load_job_class(continuation.job_path)
            last = self.last
            records = [] if last is None else insistently(connections[self.alias], lambda: progress.load(last))
            self.job = job = self.job_class()
            progress.job = job
            attributes.load(job, None if last is None else last.attributes_json)
            interval = self.job_class.checkpoint_interval
            if interval is None:
                interval = settings().checkpoint_interval
            self.stopping = Stopping(job, progress, place, interval)
            place.listen(self.stopping.ask_to_stop)
            self.sequence = Sequence(progress, self.stopping, records, rest_is_over=self.rest_is_over)
            job._bind(continuation, self.sequence, self.stopping)
            self._check_limits()
            args, kwargs = continuation.arguments
            progress.blocks.note_outer()
            self._driver = connections[self.alias].connection
        with current.running(job):
            result = job.perform(*args, **kwargs)
        if self.stopping.left is None:
            self.sequence.finish()
        return result

    def _check_limits(self) -> None:
        """Crashes are only counted at the next claim, so what they exceed is found here."""
        assert self.job_class is not None
        row, limit = self.continuation, self.job_class.max_resumptions
        if row.crashes >= self.job_class.max_crashes:
            raise CrashLimitError(
                f"{row} died {row.crashes} times in a row without progress (max_crashes); its progress is kept"
            )
        if limit is not None and row.counted_resumptions > limit:
            raise ResumeLimitError(
                f"{row} was resumed {limit} times, which is all that max_resumptions allows; its progress is kept"
            )

    def _decide(self, row: Continuation, ending: Ending) -> Decision:
        if self.job_class is None:
            # It could not be loaded, so it cannot say what to do about that either.
            assert ending.error is not None
            return Decision(Status.FAILED, "error", error=as_exception(ending.error))
        if isinstance(ending.error, (CrashLimitError, ResumeLimitError)):
            return at_limit(self.job_class, ending.error)
        return decide(self.job_class, row, ending, self._situation())

    def _situation(self) -> Situation:
        sequence, step = self.sequence, self.progress.step
        return Situation(
            advanced=sequence is not None and sequence.advanced,
            has_progress=sequence is not None and sequence.has_progress,
            step=None if step is None else step.name,
        )

    def _succeed(self, ending: Ending, result_json: str | None) -> Outcome | None:
        """The way most executions end: nothing has to be read for it, and nobody's code runs. None: it is not that."""
        is_plain = ending.is_return and self.progress.step is None and not self._has("on_success")
        if not is_plain or self.left_open or not shortcuts.are_there(self.alias):
            return None
        row = self.continuation
        decision = self._decide(row, ending)
        outcome, changes = changes_of(self.job_class, row, decision, result_json, self.place)
        if not shortcuts.end(row, self.execution, changes, self._fill_execution(decision)):
            return None
        fill(row, changes)
        after_end(row)
        tell(row, self.execution, decision, self.progress.step)
        return outcome

    def _write(self, row: Continuation, decision: Decision, result_json: str | None) -> Outcome:
        step = self.progress.step
        outcome, changes = changes_of(self.job_class, row, decision, result_json, self.place)
        Continuation.objects.using(self.alias).filter(pk=row.pk).update(**changes)
        if step is not None and not self.progress.write_last(step):
            # Cannot be: the row's lock is ours. If it is, write nothing at all.
            transaction.set_rollback(True, using=self.alias)
            return Outcome(row, refusal=Refusal.SUPERSEDED)
        fill(row, changes)
        self.execution.save(using=self.alias, update_fields=self._fill_execution(decision))
        if outcome.moved_on and not row.is_told_only:
            deliver(row)
        return outcome

    def _fill_execution(self, decision: Decision) -> tuple[str, ...]:
        """Put onto the execution how it ended. Gives the names of what that changes."""
        record = self._record()
        changes: dict[str, Any] = {
            "finished_at": timezone.now(),
            "outcome": decision.status.value,
            "reason": decision.reason,
            "step": "" if record is None else record.name,
            "cursor_after_json": None if record is None else record.cursor_json,
            **fields_of(decision.error),
        }
        fill(self.execution, changes)
        # It began with the others empty.
        return tuple(name for name, value in changes.items() if value not in ("", None))

    def _follow_up(self, row: Continuation, decision: Decision, *, last_try: bool) -> None:
        if self.job is None or decision.status not in (Status.SUCCEEDED, Status.FAILED):
            return
        if self._has("on_success" if decision.status == Status.SUCCEEDED else "on_failure"):
            self.job._bind(row, None, None)
            on_end(self.job, row, decision.error, last_try=last_try)

    def _has(self, hook: str) -> bool:
        return self.job is not None and getattr(type(self.job), hook) is not getattr(Hooks, hook)

    def _record(self) -> PassedStep | StepRecord | None:
        """The step in progress, or the last one that was completed."""
        if self.progress.step is not None:
            return self.progress.step.record
        if self.sequence is not None and self.sequence.in_progress is not None:
            return self.sequence.in_progress
        return self.sequence.completed[-1] if self.sequence is not None and self.sequence.completed else None


def _left(interrupt: Interrupt) -> Ending:
    return Ending(reason=interrupt.reason, wait=interrupt.wait, rest=interrupt.rest)
