"""The state of every job: continuations, their steps, executions and events. The source of truth, never Redis."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.db import models, transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from . import codec, signals, transitions, upkeep
from .delivery import deliver, report_end
from .errors import BusyError, TransitionError
from .family import after_end, cancel_strays
from .fields import NameField
from .identifiers import rq_job_id, uuid7
from .isolation import atomic
from .keys import take_key
from .querysets import ContinuationQuerySet
from .records import Event, Execution, StepRecord
from .rewinding import move_cursor, rewind
from .takeover import steps_are_free, take_steps
from .transitions import VERBS, Status

__all__ = ["Continuation", "Event", "Execution", "StepRecord"]

# Seconds after which a request that an execution has not honoured can be forced.
FORCE_AFTER = 300.0
EVENT_NAME_LENGTH = 200

# What a person who lets it go on forgives.
_A_NEW_START: dict[str, Any] = {"crashes": 0, "errors": 0, "attempts_json": {}, "counted_resumptions": 0}


class Continuation(models.Model):
    """One enqueued job. Its methods are the verbs; nothing else changes a continuation that no execution owns."""

    Status = Status

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    job_path = models.CharField(_("job"), max_length=255)
    queue_name = models.CharField(_("queue"), max_length=100)
    arguments_json = models.TextField(_("arguments"), db_column="arguments")
    rq_options_json = models.JSONField(_("RQ options"), db_column="rq_options", default=dict)
    status = models.CharField(_("status"), max_length=12, choices=Status, default=Status.ENQUEUED)
    key = NameField(_("key"), max_length=200, null=True)
    # The key while unfinished. Unique, since NULLs never collide, on every database alike.
    active_key = NameField(max_length=200, null=True)
    # No constraint in the database: a child inserted in its parent's open block must not lock the parent's row.
    parent = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        related_name="children",
        verbose_name=_("parent"),
        db_constraint=False,
        db_index=False,
    )
    # Id of the parent's step in which it was enqueued: once that was reset, it is a child of an earlier run. The id of
    # the parent itself if a hook enqueued it.
    parent_step = models.UUIDField(null=True)

    # Number of the delivery that may claim this row; 0 is the anchor.
    delivery = models.PositiveIntegerField(_("delivery"), default=0)
    # The anchor has not yet told RQ how this ended.
    anchor_open = models.BooleanField(default=True)
    # When recovery looks at this row; NULL while an execution owns it (those are looked at always) or nothing is due.
    check_after = models.DateTimeField(null=True, default=upkeep.after_push)
    # The execution that owns this row, by id.
    owner = models.UUIDField(null=True)

    executions = models.PositiveIntegerField(_("executions"), default=0)
    resumptions = models.PositiveIntegerField(_("resumptions"), default=0)
    # Those of them that count against max_resumptions.
    counted_resumptions = models.PositiveIntegerField(default=0)
    crashes = models.PositiveIntegerField(_("crashes in a row"), default=0)
    errors = models.PositiveIntegerField(_("errors in a row"), default=0)
    # Tries at the same place, for each retry_on line by name.
    attempts_json = models.JSONField(db_column="attempts", default=dict)
    # Why the last execution ended: a reason, "error" or "crash".
    reason = models.CharField(_("reason"), max_length=100, blank=True, default="")

    run_after = models.DateTimeField(_("run after"), null=True)
    waiting_for = models.CharField(_("waiting for"), max_length=200, blank=True, default="")
    request_by = models.CharField(_("requested by"), max_length=150, blank=True, default="")
    request_reason = models.CharField(_("reason of the request"), max_length=255, blank=True, default="")
    requested_at = models.DateTimeField(_("requested at"), null=True)

    result_json = models.TextField(_("result"), db_column="result", null=True)  # noqa: DJ001
    error_class = models.CharField(_("error class"), max_length=255, blank=True, default="")
    error_message = models.TextField(_("error message"), blank=True, default="")
    error_traceback = models.TextField(_("traceback"), blank=True, default="")
    # When and how on_success or on_failure failed; NULL if they did not.
    follow_up_failed_at = models.DateTimeField(_("follow-up failed at"), null=True)
    follow_up_error = models.TextField(_("error of the follow-up"), blank=True, default="")

    # JSON values that listeners of `signals.enqueueing` carry along, such as a trace.
    context = models.JSONField(default=dict)

    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    enqueued_at = models.DateTimeField(_("enqueued at"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    objects = ContinuationQuerySet.as_manager()

    class Meta:
        verbose_name = _("continuation")
        verbose_name_plural = _("continuations")
        default_permissions = ("view", "delete")
        permissions = [
            ("control_continuation", _("Can pause, resume and cancel continuations and send events to them")),
            ("retry_continuation", _("Can retry continuations and run them again from a step")),
            ("edit_cursor_continuation", _("Can edit cursors of continuations")),
        ]
        indexes = [
            # Lists, and what recovery looks for: unfinished rows of a status, oldest first.
            models.Index(fields=["status", "created_at"], name="continuation_status_created"),
            models.Index(fields=["created_at"], name="continuation_created"),
            models.Index(fields=["check_after"], name="continuation_check_after"),
            # Children of a parent, and whether one of them has not ended.
            models.Index(fields=["parent", "status"], name="continuation_parent_status"),
            # Lists of a class, of a queue, and of a key whose continuations may have ended.
            models.Index(fields=["job_path", "created_at"], name="continuation_job_created"),
            models.Index(fields=["queue_name", "created_at"], name="continuation_queue_created"),
            models.Index(fields=["key"], name="continuation_key"),
            models.Index(fields=["follow_up_failed_at"], name="continuation_follow_up_failed"),
        ]
        constraints = [
            # Not `unique=True`, for which PostgreSQL gets a second index, for LIKE.
            models.UniqueConstraint(fields=["active_key"], name="continuation_active_key_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.job_name} {self.pk}"

    @property
    def job_name(self) -> str:
        """The job class's name without its module."""
        return self.job_path.rpartition(".")[2]

    @property
    def rq_job_id(self) -> str:
        """Id of the RQ job that ends when this continuation ends; for `depends_on` of other RQ jobs."""
        return rq_job_id(self.pk)

    @property
    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of `perform`. Raises `DeserializationError`."""
        args, kwargs = codec.decode(self.arguments_json, what=f"arguments of {self}")
        return tuple(args), kwargs

    @property
    def result(self) -> Any:
        """What `perform` returned, or None. Raises `DeserializationError`."""
        return codec.decode(self.result_json, what=f"result of {self}")

    @property
    def is_finished(self) -> bool:
        """No execution will follow unless a person retries."""
        return self.status in transitions.FINISHED

    @property
    def is_told_only(self) -> bool:
        """It waits, and no time will end that by itself."""
        return self.status == Status.WAITING and bool(self.waiting_for) and self.run_after is None

    @property
    def force_after(self) -> dt.datetime | None:
        """The moment from which `pause` or `cancel` may be forced; None if its execution was asked for neither."""
        if self.status not in (Status.PAUSING, Status.CANCELLING):
            return None
        return (self.requested_at or self.created_at) + dt.timedelta(seconds=FORCE_AFTER)

    # The verbs. Each is one transaction; what is pushed is pushed once it commits.

    def pause(self, *, by: str = "", reason: str = "", force: bool = False) -> None:
        """Stop at the next checkpoint, or at once where nothing runs, until `resume()`. Progress is kept.

        `by` and `reason` say who asked and why. `force` takes the continuation away from an execution that has not
        stopped `FORCE_AFTER` seconds after it was asked; what it still does is written nowhere. Raises
        `TransitionError` from a status that does not allow it, and `BusyError` if somebody else keeps it locked.
        """
        with self._changing():
            if self.status == Status.RUNNING:
                self._move(Status.PAUSING, "pause", **_request(by, reason))
            else:
                changes = self._taken_away("pause", Status.PAUSING, force=force)
                self._move(Status.PAUSED, "pause", **_request(by, reason), **changes, reason="paused", check_after=None)
                signals.emit_on_commit(signals.paused, self)

    def resume(self, *, by: str = "", reason: str = "") -> None:
        """Go on with what is paused, where it stood, or take back a request to pause.

        What limits had been reached are counted anew. Raises `TransitionError` and `BusyError`.
        """
        with self._changing():
            if self.status == Status.PAUSING:
                self._move(Status.RUNNING, "resume", **_request(by, reason))
                signals.emit_on_commit(signals.resumed, self)
                return
            self._check(Status.ENQUEUED, "resume", VERBS["resume"])
            if self.executions == 0 and "depends_on" in self.rq_options_json and self.delivery == 0:
                # RQ still holds it back, or has delivered it in vain: recovery sees to it at once.
                self._write(status=Status.ENQUEUED, check_after=timezone.now(), **_request(by, reason))
                signals.emit_on_commit(signals.resumed, self)
                return
            # What was to start later still does.
            run_after = None if self.executions else self.run_after
            self.redeliver(**_request(by, reason), **_A_NEW_START, run_after=run_after)
            signals.emit_on_commit(signals.resumed, self)

    def cancel(self, *, by: str = "", reason: str = "", force: bool = False) -> None:
        """End it: at the next checkpoint, or at once where nothing runs. Its children are cancelled with it.

        A run that comes to its end first has succeeded or failed. `by`, `reason`, `force` and errors as in `pause`.
        """
        with self._changing():
            if self.status in (Status.RUNNING, Status.PAUSING):
                self._move(Status.CANCELLING, "cancel", **_request(by, reason))
                return
            changes = self._taken_away("cancel", Status.CANCELLING, force=force)
            changes |= {"finished_at": timezone.now(), "active_key": None, "check_after": upkeep.after_push()}
            self._move(Status.CANCELLED, "cancel", **_request(by, reason), **changes, reason="cancelled")
            transaction.on_commit(lambda: report_end(self), using=self._state.db, robust=True)
            after_end(self)
            signals.emit_on_commit(signals.cancelled, self, execution=None)

    def retry(self, *, by: str = "", reason: str = "") -> None:
        """Run a failed continuation again. It carries on at the step and cursor where it failed.

        `by` and `reason` say who asked and why. Raises `TransitionError` from any other status,
        `KeyConflictError` if another continuation has its key by now, and `BusyError`.
        """
        with self._changing():
            self._check(Status.ENQUEUED, "retry", VERBS["retry"])
            self._reopen(**_request(by, reason))
            signals.emit_on_commit(signals.retried, self)

    def rerun_from(self, step: str, *, keep_cursor: bool = False, by: str = "", reason: str = "") -> None:
        """Run again from `step` on. Earlier steps keep their results; this one and all after it are forgotten.

        `keep_cursor`: let the step go on at its last cursor, as for rows that were added since. Events that the
        forgotten steps waited for are forgotten too, and children they had enqueued are cancelled. Raises
        `InvalidStepError` for a step that was never met, `TransitionError` unless it has ended or is paused,
        `KeyConflictError` if another continuation has its key by now, and `BusyError`.
        """
        with self._changing():
            self._check(Status.ENQUEUED, "rerun", VERBS["rerun_from"])
            rewind(self, step, keep_cursor=keep_cursor)
            self._reopen(**_request(by, reason), result_json=None)
            signals.emit_on_commit(signals.retried, self)
            transaction.on_commit(lambda: cancel_strays(self), using=self._state.db, robust=True)

    def set_cursor(self, step: str, cursor: Any, *, by: str = "", reason: str = "") -> None:
        """Move the cursor of the step in progress while nothing runs, for example past a row that cannot be done.

        Raises `SerializationError` for a value that cannot be stored, `InvalidStepError` for a step that is not in
        progress, `TransitionError` while an execution owns it or after its end, unless that was a failure.
        """
        text = codec.encode(cursor, what=f"cursor of step {step!r}")
        with self._changing():
            if not transitions.allows("set_cursor", self.status):
                raise TransitionError(f"{self} is {self.status}: cannot set a cursor. Pause it first.")
            move_cursor(self, step, text)
            self._write(**_request(by, reason))

    def send(self, name: str, payload: Any = None) -> Event:
        """Give it an event, which `wait_for(name)` returns. One that comes early is kept; the first of a name wins.

        Returns the event that counts, which is another's if that came first. Raises `SerializationError` for a
        payload that cannot be stored, `TransitionError` after the end, unless that was a failure.
        """
        text = codec.encode(payload, what=f"payload of event {name!r}")
        if not isinstance(name, str) or not name.strip() or len(name) > EVENT_NAME_LENGTH:
            raise ValueError(f"{name!r:.300} is no name of an event: expected 1 to {EVENT_NAME_LENGTH} characters")
        with self._changing():
            if not transitions.allows("send", self.status):
                raise TransitionError(f"{self} is {self.status}: nothing will wait for event {name!r} any more.")
            event, is_first = Event.objects.using(self._state.db).get_or_create(
                continuation=self, name=name, defaults={"payload_json": text}
            )
            if is_first and self.status == Status.WAITING and self.waiting_for == name:
                self.redeliver()
            if is_first:
                signals.emit_on_commit(signals.event_sent, self, event=event)
        return event

    async def asend(self, name: str, payload: Any = None) -> Event:
        """`send`, for async code."""
        return await sync_to_async(self.send)(name, payload)

    def follow_up(self) -> None:
        """Run the `on_success` that failed again, here and now. What it raises comes out, and nothing of it is kept.

        Raises `TransitionError` unless it succeeded and its follow-up failed.
        """
        # By name, as a delivery names its runner: the models know nothing of running.
        run: Callable[[Continuation], None] = import_string("continuations.followup.run_again")
        run(self)

    # For the engine

    def redeliver(self, **changes: Any) -> None:
        """Make the row, which is locked, enqueued under the next delivery number, and push that on commit."""
        run_after = changes.pop("run_after", None)
        self._write(
            status=Status.ENQUEUED,
            delivery=self.delivery + 1,
            enqueued_at=timezone.now(),
            run_after=run_after,
            waiting_for="",
            check_after=upkeep.after_push(run_after),
            **changes,
        )
        deliver(self)

    def rest_again(self) -> None:
        """A delivery came before the row is due: send another at the right time, under the next number."""
        with atomic(self._state.db or "default"):
            # By primary key alone, as everybody locks it.
            row = Continuation.objects.using(self._state.db).select_for_update().filter(pk=self.pk).first()
            if row is not None and (row.delivery, row.status) == (self.delivery, Status.WAITING):
                row._write(delivery=row.delivery + 1, check_after=upkeep.after_push(row.run_after))
                deliver(row)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """A transaction in which this row is locked, and this object is as the row is now."""
        with atomic(self._state.db or "default"):
            locked = Continuation.objects.using(self._state.db).lock(self.pk)
            for field in self._meta.concrete_fields:
                setattr(self, field.attname, getattr(locked, field.attname))
            yield

    def _check(self, target: transitions.Status, verb: str, sources: frozenset[transitions.Status]) -> None:
        transitions.check(self.status, target, subject=str(self), verb=verb, sources=sources)

    def _move(self, target: transitions.Status, verb: str, **changes: Any) -> None:
        transitions.check(self.status, target, subject=str(self), verb=verb)
        self._write(status=target, **changes)

    def _write(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self, name, value)
        Continuation.objects.using(self._state.db).filter(pk=self.pk).update(**changes)

    def _reopen(self, **changes: Any) -> None:
        """Go on after the end, as if it had been paused there. Raises `KeyConflictError` if its key was taken."""
        take_key(self)
        ended = {"finished_at": None, "anchor_open": True, "follow_up_failed_at": None, "follow_up_error": ""}
        self.redeliver(**ended, **_A_NEW_START, **changes)

    def _taken_away(self, verb: str, asked: transitions.Status, *, force: bool) -> dict[str, Any]:
        """Changes that leave the row to nobody, if its execution was `asked` before. Raises if that may still stop."""
        if self.status != asked:
            return {}
        now, earliest = timezone.now(), self.force_after
        if not force or earliest is None or now < earliest:
            waited = now - (self.requested_at or self.created_at)
            raise TransitionError(
                f"{self} is {self.status}: cannot {verb} it twice. {FORCE_AFTER:.0f} s after the request force=True "
                f"takes it away from its execution; it was made {waited.total_seconds():.0f} s ago."
            )
        if not steps_are_free(self):
            raise BusyError(f"{self}: its execution is in a transaction just now; try again")
        owner = Execution.objects.using(self._state.db).filter(id=self.owner).first() if self.owner else None
        take_steps(self, owner, None).bury(outcome="abandoned", reason="forced")
        # Its delivery must not claim it again.
        return {"owner": None, "delivery": self.delivery + 1}


def _request(by: str, reason: str) -> dict[str, Any]:
    return {"request_by": str(by)[:150], "request_reason": str(reason)[:255], "requested_at": timezone.now()}
