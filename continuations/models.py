"""The state of every job: continuations, their steps, executions and events. The source of truth, never Redis."""

from __future__ import annotations

from typing import Any

from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from . import codec, transitions, upkeep
from .delivery import deliver
from .identifiers import rq_job_id, uuid7
from .keys import take_key
from .querysets import ContinuationQuerySet
from .transitions import Status


class Continuation(models.Model):
    """One enqueued job. Its methods are the verbs; nothing else changes a continuation that no execution owns."""

    Status = Status

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    job_path = models.CharField(_("job"), max_length=255)
    queue_name = models.CharField(_("queue"), max_length=100)
    arguments_json = models.TextField(_("arguments"), db_column="arguments")
    rq_options_json = models.JSONField(_("RQ options"), db_column="rq_options", default=dict)
    status = models.CharField(_("status"), max_length=12, choices=Status, default=Status.ENQUEUED)
    key = models.CharField(_("key"), max_length=200, null=True)  # noqa: DJ001 - absent is not empty
    # The key while unfinished. Unique, since NULLs never collide, on every database alike.
    active_key = models.CharField(max_length=200, null=True, unique=True)  # noqa: DJ001
    # No constraint in the database: a child inserted in its parent's open block must not lock the parent's row.
    parent = models.ForeignKey(
        "self", models.SET_NULL, null=True, related_name="children", verbose_name=_("parent"), db_constraint=False
    )

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
    waiting_for = models.CharField(_("waiting for"), max_length=100, blank=True, default="")
    request_by = models.CharField(_("requested by"), max_length=150, blank=True, default="")
    request_reason = models.CharField(_("reason of the request"), max_length=255, blank=True, default="")
    requested_at = models.DateTimeField(_("requested at"), null=True)

    result_json = models.TextField(_("result"), db_column="result", null=True)  # noqa: DJ001
    error_class = models.CharField(_("error class"), max_length=255, blank=True, default="")
    error_message = models.TextField(_("error message"), blank=True, default="")
    error_traceback = models.TextField(_("traceback"), blank=True, default="")

    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    enqueued_at = models.DateTimeField(_("enqueued at"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    objects = ContinuationQuerySet.as_manager()

    class Meta:
        verbose_name = _("continuation")
        verbose_name_plural = _("continuations")
        default_permissions = ("view", "delete")
        indexes = [
            # Lists, and what recovery looks for: unfinished rows of a status, oldest first.
            models.Index(fields=["status", "created_at"], name="continuation_status_created"),
            models.Index(fields=["created_at"], name="continuation_created"),
            models.Index(fields=["check_after"], name="continuation_check_after"),
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

    def retry(self, *, by: str = "", reason: str = "") -> None:
        """Run a failed continuation again. It carries on at the step and cursor where it failed.

        `by` and `reason` say who asked and why. Raises `TransitionError` from any other status, and `KeyConflictError`
        if another continuation has its key by now.
        """
        with transaction.atomic(using=self._state.db):
            locked = self._locked()
            transitions.check(
                locked.status, Status.ENQUEUED, subject=str(self), verb="retry", sources=frozenset({Status.FAILED})
            )
            take_key(self)
            self._redeliver(
                locked,
                finished_at=None,
                crashes=0,
                errors=0,
                attempts_json={},
                counted_resumptions=0,
                anchor_open=True,
                request_by=str(by)[:150],
                request_reason=str(reason)[:255],
                requested_at=timezone.now(),
            )

    def rest_again(self) -> None:
        """A delivery came before the row is due: send another at the right time, under the next number."""
        with transaction.atomic(using=self._state.db):
            matched = Continuation.objects.using(self._state.db).filter(
                pk=self.pk, delivery=self.delivery, status=Status.WAITING
            )
            self.delivery += 1
            if matched.update(delivery=self.delivery, check_after=upkeep.after_push(self.run_after)):
                deliver(self)

    def _locked(self) -> Continuation:
        """This row as it is now, locked until the transaction ends. Never waits for an open block."""
        return Continuation.objects.using(self._state.db).select_for_update().get(pk=self.pk)

    def _redeliver(self, locked: Continuation, **changes: Any) -> None:
        """Make the row enqueued under the next delivery number, and push that on commit."""
        changes |= {
            "status": Status.ENQUEUED,
            "delivery": locked.delivery + 1,
            "enqueued_at": timezone.now(),
            "run_after": None,
            "check_after": upkeep.after_push(),
        }
        for name, value in changes.items():
            setattr(self, name, value)
        self.save(update_fields=list(changes))
        deliver(self)


class StepRecord(models.Model):
    """A step that was met: its cursor while it runs, its result once it is completed.

    The primary key is made in Python and there is no index on what a beat writes, so a beat is one UPDATE by primary
    key that PostgreSQL does in place.
    """

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        COMPLETED = "completed", _("completed")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    continuation = models.ForeignKey(Continuation, models.CASCADE, related_name="steps", verbose_name=_("continuation"))
    position = models.PositiveIntegerField(_("position"))
    name = models.CharField(_("name"), max_length=200)
    status = models.CharField(_("status"), max_length=9, choices=Status, default=Status.RUNNING)
    cursor_json = models.TextField(_("cursor"), db_column="cursor", null=True)  # noqa: DJ001
    result_json = models.TextField(_("result"), db_column="result", null=True)  # noqa: DJ001
    attributes_json = models.TextField(_("attributes"), db_column="attributes", null=True)  # noqa: DJ001
    # The cursor has left its start.
    advanced = models.BooleanField(default=False)
    processed = models.PositiveBigIntegerField(_("processed"), default=0)
    total = models.PositiveBigIntegerField(_("total"), null=True)
    # Raised by every write; a write that expects another number matches nothing.
    sequence = models.PositiveBigIntegerField(default=1)
    # Id of the execution that may write this row.
    execution = models.UUIDField(null=True)
    heartbeat_at = models.DateTimeField(_("last beat"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        default_permissions = ()
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["continuation", "name"], name="steprecord_name_unique"),
            models.UniqueConstraint(fields=["continuation", "position"], name="steprecord_position_unique"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def cursor(self) -> Any:
        """The stored cursor. Raises `DeserializationError`."""
        return codec.decode(self.cursor_json, what=f"cursor of step {self.name!r}")

    @property
    def result(self) -> Any:
        """What the completed step returned. Raises `DeserializationError`."""
        return codec.decode(self.result_json, what=f"result of step {self.name!r}")


class Execution(models.Model):
    """One run of a continuation on a worker, from claim to outcome."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    continuation = models.ForeignKey(
        Continuation, models.CASCADE, related_name="execution_records", verbose_name=_("continuation")
    )
    number = models.PositiveIntegerField(_("number"))
    worker = models.CharField(_("worker"), max_length=255, blank=True, default="")
    host = models.CharField(_("host"), max_length=255, blank=True, default="")
    pid = models.PositiveIntegerField(_("process"), null=True)
    # Kernel boot and pid namespace: a pid proves death only there.
    boot = models.CharField(max_length=80, blank=True, default="")
    rq_job_id = models.CharField(_("RQ job"), max_length=80, blank=True, default="")
    rq_execution_id = models.CharField(_("RQ execution"), max_length=80, blank=True, default="")
    # Seconds; 0 under a worker that gives no lease.
    lease = models.FloatField(default=0)
    database_session = models.CharField(max_length=64, blank=True, default="")
    started_at = models.DateTimeField(_("started at"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    outcome = models.CharField(_("outcome"), max_length=12, blank=True, default="")
    reason = models.CharField(_("reason"), max_length=100, blank=True, default="")
    # Where it was when it ended.
    step = models.CharField(_("step"), max_length=200, blank=True, default="")
    # Steps that were completed when it began.
    completed_before = models.PositiveIntegerField(default=0)
    cursor_before_json = models.TextField(_("cursor before"), db_column="cursor_before", null=True)  # noqa: DJ001
    cursor_after_json = models.TextField(_("cursor after"), db_column="cursor_after", null=True)  # noqa: DJ001
    error_class = models.CharField(_("error class"), max_length=255, blank=True, default="")
    error_message = models.TextField(_("error message"), blank=True, default="")

    class Meta:
        verbose_name = _("execution")
        verbose_name_plural = _("executions")
        default_permissions = ()
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["continuation", "number"], name="execution_number_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.number}"

    @property
    def cursor_before(self) -> Any:
        """Cursor of the step in progress when this execution began. Raises `DeserializationError`."""
        return codec.decode(self.cursor_before_json)

    @property
    def cursor_after(self) -> Any:
        """Cursor of the step in progress when this execution ended. Raises `DeserializationError`."""
        return codec.decode(self.cursor_after_json)


class Event(models.Model):
    """Something sent to a continuation by name. The first of a name wins."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    continuation = models.ForeignKey(Continuation, models.CASCADE, related_name="events")
    name = models.CharField(_("name"), max_length=200)
    payload_json = models.TextField(_("payload"), db_column="payload", null=True)  # noqa: DJ001
    sent_at = models.DateTimeField(_("sent at"), default=timezone.now)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["continuation", "name"], name="event_name_unique"),
        ]

    def __str__(self) -> str:
        return self.name
