"""How a report is getting on, in the words of its page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from continuations.transitions import OWNED

from ..stories.live import etag
from ..stories.progress import Progress
from .models import ModelCall

if TYPE_CHECKING:
    from .models import Rendering, Report, Summary

STEPS = ("extract", "summarise", "format", "deliver")


@dataclass(frozen=True)
class CallLine:
    """One call of the model."""

    number: int
    call: ModelCall
    # Somebody waits for its answer.
    is_open: bool

    @property
    def outcome(self) -> str:
        if self.call.outcome:
            return str(self.call.get_outcome_display())
        return _("being answered") if self.is_open else _("cut off: its process ended first")


class ReportProgress(Progress):
    """One report with its continuation, read at one moment."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.continuation, steps=STEPS)
        self.report = report
        self._calls = list(report.model_calls.all())

    @cached_property
    def calls(self) -> list[CallLine]:
        """All calls of the model. Only the last can be open, and only while an execution lasts."""
        runs = self.continuation is not None and self.continuation.status in OWNED
        last = len(self._calls)
        return [CallLine(number, call, runs and number == last) for number, call in enumerate(self._calls, start=1)]

    @property
    def tally(self) -> list[tuple[str, int]]:
        """The calls, counted."""
        answered = sum(call.outcome == ModelCall.Outcome.ANSWERED for call in self._calls)
        return [
            (_("Calls of the model"), len(self._calls)),
            (_("Answered"), answered),
            (_("Failed"), sum(call.outcome == ModelCall.Outcome.FAILED for call in self._calls)),
            (_("Answers asked for again"), max(answered - 1, 0)),
        ]

    @property
    def summary(self) -> Summary | None:
        """What the model answered, from where it is stored: the result of its step."""
        line = self.step("summarise")
        return line.record.result if line and line.record else None

    @cached_property
    def renderings(self) -> list[Rendering]:
        return list(self.report.renderings.defer("content"))

    @property
    def etag(self) -> str:
        calls = [(call.pk, call.outcome) for call in self._calls]
        return etag(*self.facts, calls, self.report.delivered_at)
