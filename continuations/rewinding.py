"""Going back, or aside, in the steps of a continuation that nobody runs. Its row must be locked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import InvalidStepError
from .loading import registered
from .records import Event, StepRecord
from .renaming import current_name

if TYPE_CHECKING:
    from .models import Continuation


def rewind(row: Continuation, name: str, *, keep_cursor: bool) -> None:
    """Forget the step `name` and all later ones, with the events they waited for.

    `keep_cursor`: the step stays, at its last cursor, and is in progress again. Raises `InvalidStepError`.
    """
    record = _step_named(row, name)
    steps = StepRecord.objects.using(row._state.db).filter(continuation=row)
    forgotten = steps.filter(position__gte=record.position)
    waited = forgotten.filter(kind=StepRecord.Kind.EVENT).values_list("name", flat=True)
    Event.objects.using(row._state.db).filter(continuation=row, name__in=list(waited)).delete()
    if keep_cursor and record.kind == StepRecord.Kind.STEP:
        forgotten = forgotten.exclude(pk=record.pk)
        steps.filter(pk=record.pk).update(
            status=StepRecord.Status.RUNNING,
            result_json=None,
            finished_at=None,
            execution=None,
            sequence=record.sequence + 1,
        )
    forgotten.delete()


def move_cursor(row: Continuation, name: str, cursor_json: str | None) -> None:
    """Put the cursor of the step in progress elsewhere. Raises `InvalidStepError` if `name` is not in progress."""
    record = _step_named(row, name)
    if record.status != StepRecord.Status.RUNNING or record.kind != StepRecord.Kind.STEP:
        raise InvalidStepError(f"{row}: step {name!r} is not in progress: to do it again, use rerun_from")
    StepRecord.objects.using(row._state.db).filter(pk=record.pk).update(
        cursor_json=cursor_json, advanced=True, execution=None, sequence=record.sequence + 1
    )


def _step_named(row: Continuation, name: str) -> StepRecord:
    job_class = registered(row.job_path)
    renamed = {} if job_class is None else job_class.renamed_steps
    records = list(row.steps.using(row._state.db))
    for record in records:
        if name in (record.name, current_name(record.name, renamed)):
            return record
    names = ", ".join(repr(record.name) for record in records) or "none"
    raise InvalidStepError(f"{row} has no step {name!r}; its steps: {names}")
