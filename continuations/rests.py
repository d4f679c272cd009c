"""What a continuation waits for: a time, an event, its children. One mechanism: rest until due or told."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from . import upkeep
from .definition import is_duration
from .errors import WaitTimeout
from .family import children_of_this_run
from .missing import MISSING, Missing
from .records import Event, PassedStep, StepRecord

if TYPE_CHECKING:
    from .models import Continuation


class Rest:
    """A rest of one name. Its step's cursor is the moment until which it lasts at most; None: until it is told."""

    kind: StepRecord.Kind
    # Whether a short one may be spent in the worker where no scheduler would end it.
    in_place = False

    def __init__(self, name: str, duration: Any = None, *, call: str) -> None:
        if duration is not None and not is_duration(duration):
            raise TypeError(f"{call} of {name!r} got {duration!r}; expected seconds from 0 on, or a timedelta")
        self.name = name
        # As its step has it, once that is met.
        self.due: dt.datetime | None = None
        self._seconds = duration.total_seconds() if isinstance(duration, dt.timedelta) else duration

    def until(self) -> dt.datetime | None:
        """The moment at which a rest that begins now is over by itself."""
        return None if self._seconds is None else timezone.now() + dt.timedelta(seconds=self._seconds)

    def look(self, row: Continuation) -> str | Missing | None:
        """JSON text of what was waited for, or `MISSING`. Called again under the row's lock before it parks."""
        return MISSING

    def check_after(self, run_after: dt.datetime | None) -> dt.datetime | None:
        """When recovery looks at a continuation that is parked for this."""
        return None if run_after is None else upkeep.after_push(run_after)

    def answer(self, row: Continuation, record: PassedStep | StepRecord) -> Any:
        """What the call returns once the step is completed, each time. Raises `WaitTimeout`."""
        return None


class Sleep(Rest):
    """Rests for a time."""

    kind = StepRecord.Kind.SLEEP
    in_place = True

    def __init__(self, name: str, duration: Any) -> None:
        if duration is None:
            raise TypeError(f"sleep({name!r}, None): expected seconds from 0 on, or a timedelta")
        super().__init__(name, duration, call="duration")


class Wait(Rest):
    """Rests until `send(name, payload)`, or until its time is up."""

    kind = StepRecord.Kind.EVENT

    def __init__(self, name: str, timeout: Any, default: Any) -> None:
        super().__init__(name, timeout, call="timeout")
        self._default = default

    def look(self, row: Continuation) -> str | Missing | None:
        found = Event.objects.using(row._state.db).filter(continuation=row, name=self.name)
        payload = found.values_list("payload_json").first()
        return MISSING if payload is None else payload[0]

    def answer(self, row: Continuation, record: PassedStep | StepRecord) -> Any:
        if record.status == StepRecord.Status.COMPLETED:
            return record.result
        if self._default is not MISSING:
            return self._default
        raise WaitTimeout(f"{row} waited for event {self.name!r} until {record.cursor}, and nobody sent it")


class Children(Rest):
    """Rests until all children have ended, however they did."""

    kind = StepRecord.Kind.CHILDREN

    def __init__(self, name: str) -> None:
        super().__init__(name, call="timeout")

    def look(self, row: Continuation) -> str | Missing | None:
        active = children_of_this_run(row).active().exists()
        return MISSING if active else None

    def check_after(self, run_after: dt.datetime | None) -> dt.datetime | None:
        # The child that ended last may have died before it could say so.
        return upkeep.again()

    def answer(self, row: Continuation, record: PassedStep | StepRecord) -> list[Continuation]:
        return list(children_of_this_run(row, before=record))
