"""Taking a continuation away from an execution: one that is dead, or one that does not honour a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connections
from django.utils import timezone

from .records import Execution, StepRecord

if TYPE_CHECKING:
    import uuid

    from .models import Continuation


def steps_are_free(row: Continuation) -> bool:
    """Whether no open block of the owner holds the step in progress. Waits for nobody."""
    alias = row._state.db or "default"
    if not connections[alias].features.has_select_for_update_skip_locked:
        return True
    steps = StepRecord.objects.using(alias).filter(continuation=row, status=StepRecord.Status.RUNNING)
    return len(steps.select_for_update(skip_locked=True)) == steps.count()


def take_steps(row: Continuation, owner: Execution | None, heir: uuid.UUID | None) -> Inheritance:
    """Give the step in progress to `heir`, and count what the former `owner` has left.

    The row must be locked. Waits for an open block of a predecessor that still writes, or makes its next write match
    nothing. The reads lock, so that MySQL too reads what is committed now.
    """
    last = last_step(row, lock=True)
    if last is not None and last.status == StepRecord.Status.RUNNING:
        last.execution = heir
        StepRecord.objects.using(row._state.db).filter(pk=last.pk).update(execution=heir)
    return Inheritance(row, owner, last)


def last_step(row: Continuation, *, lock: bool = False) -> StepRecord | None:
    """The step in progress, if there is one, else the last that was completed; without its result.

    Those before it are completed, however many they are.
    """
    steps = StepRecord.objects.using(row._state.db).filter(continuation=row).defer("result_json")
    last = (steps.select_for_update() if lock else steps).order_by("-position").first()
    if last is not None:
        last.continuation = row
        if last.status == StepRecord.Status.RUNNING:
            last.result_json = None
    return last


class Inheritance:
    """What the executions so far have left behind."""

    def __init__(self, row: Continuation, owner: Execution | None, last: StepRecord | None) -> None:
        self._row = row
        self._owner = owner
        self.last = last
        self._current = last if last is not None and last.status == StepRecord.Status.RUNNING else None
        self.completed = 0 if last is None else last.position + (self._current is None)

    @property
    def cursor_json(self) -> str | None:
        """Cursor of the step in progress."""
        return None if self._current is None else self._current.cursor_json

    @property
    def has_progress(self) -> bool:
        """A step was completed, or a cursor moved."""
        return self.completed > 0 or (self._current is not None and self._current.advanced)

    def bury(self, *, outcome: str = "died", reason: str = "crash") -> None:
        """Note on the owner's execution that it died, and where, unless it wrote its own outcome."""
        if self._owner is None:
            return
        current = self._current
        Execution.objects.using(self._row._state.db).filter(pk=self._owner.pk, finished_at=None).update(
            finished_at=timezone.now(),
            outcome=outcome,
            reason=reason,
            step="" if current is None else current.name,
            cursor_after_json=None if current is None else current.cursor_json,
        )

    def crash_counts(self) -> dict[str, Any]:
        """What the death of the owner changes on the row."""
        if self._owner is None:
            return {}
        changes: dict[str, Any] = {"reason": "crash"}
        moved = (
            self._current is not None
            and self._current.advanced
            and self._current.cursor_json != self._owner.cursor_before_json
        )
        if moved or self.completed != self._owner.completed_before:
            changes |= {"crashes": 0, "attempts_json": {}, "errors": 0}
        else:
            changes["crashes"] = self._row.crashes + 1
        if self.has_progress:
            changes["counted_resumptions"] = self._row.counted_resumptions + 1
        return changes
