"""What belongs to a continuation: its steps, its executions, and the events sent to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from . import codec
from .columns import made
from .fields import NameField
from .identifiers import uuid7

if TYPE_CHECKING:
    import uuid


class StepRecord(models.Model):
    """A step that was met: its cursor while it runs, its result once it is completed.

    The primary key is made in Python and there is no index on what a beat writes, so a beat is one UPDATE by primary
    key that PostgreSQL does in place.
    """

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        COMPLETED = "completed", _("completed")
        TIMED_OUT = "timed_out", _("timed out")

    class Kind(models.TextChoices):
        STEP = "step", _("step")
        EVENT = "event", _("waits for an event")
        SLEEP = "sleep", _("sleeps")
        CHILDREN = "children", _("waits for children")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Here and below a unique constraint begins with it, so it needs no index of its own.
    continuation = models.ForeignKey(
        "Continuation", models.CASCADE, related_name="steps", verbose_name=_("continuation"), db_index=False
    )
    position = models.PositiveIntegerField(_("position"))
    name = NameField(_("name"), max_length=200)
    # What waits is a step, too: its cursor is the moment until which it waits at most.
    kind = models.CharField(_("kind"), max_length=8, choices=Kind, default=Kind.STEP)
    status = models.CharField(_("status"), max_length=9, choices=Status, default=Status.RUNNING)
    cursor_json = models.TextField(_("cursor"), db_column="cursor", null=True)  # noqa: DJ001
    result_json = models.TextField(_("result"), db_column="result", null=True)  # noqa: DJ001
    attributes_json = models.TextField(_("attributes"), db_column="attributes", null=True)  # noqa: DJ001
    # The cursor has left its start.
    advanced = models.BooleanField(default=False)
    processed = models.PositiveBigIntegerField(_("processed"), default=0)
    total = models.PositiveBigIntegerField(_("total"), null=True)
    # Spent running, over all executions: rates and remaining times are made from it, since waiting is no work.
    busy_seconds = models.FloatField(_("seconds of work"), default=0)
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

    @classmethod
    def begun(cls, continuation_id: uuid.UUID, position: int, name: str, kind: str, start_json: str | None) -> Self:
        """A step that begins now, not yet stored."""
        now = timezone.now()
        return made(
            cls,
            id=uuid7(),
            continuation_id=continuation_id,
            position=position,
            name=name,
            kind=kind,
            cursor_json=start_json,
            heartbeat_at=now,
            started_at=now,
        )

    @property
    def cursor(self) -> Any:
        """The stored cursor. Raises `DeserializationError`."""
        return codec.decode(self.cursor_json, what="cursor of step", of=self.name)

    @property
    def result(self) -> Any:
        """What the completed step returned. Raises `DeserializationError`."""
        return codec.decode(self.result_json, what="result of step", of=self.name)


class PassedStep(NamedTuple):
    """A completed step as later executions see it. There may be thousands, so it is no model."""

    position: int
    name: str
    kind: str
    status: str
    cursor_json: str | None
    result_json: str | None

    @property
    def cursor(self) -> Any:
        """Where it ended. Raises `DeserializationError`."""
        return codec.decode(self.cursor_json, what="cursor of step", of=self.name)

    @property
    def result(self) -> Any:
        """What it returned. Raises `DeserializationError`."""
        return codec.decode(self.result_json, what="result of step", of=self.name)


class Execution(models.Model):
    """One run of a continuation on a worker, from claim to outcome."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    continuation = models.ForeignKey(
        "Continuation",
        models.CASCADE,
        related_name="execution_records",
        verbose_name=_("continuation"),
        db_index=False,
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
    continuation = models.ForeignKey("Continuation", models.CASCADE, related_name="events", db_index=False)
    name = NameField(_("name"), max_length=200)
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

    @property
    def payload(self) -> Any:
        """What was sent. Raises `DeserializationError`."""
        return codec.decode(self.payload_json, what="payload of event", of=self.name)
