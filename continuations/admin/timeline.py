"""When each execution and each step ran, as bars on one axis; the time in which nothing ran is folded."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..records import StepRecord
from ..transitions import Status
from ..words import duration
from . import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..models import Execution

# Shares of the axis: what a gap takes at most, and all of them together.
GAP = 0.03
ALL_GAPS = 0.3
# A bar that is narrower cannot be seen.
NARROWEST = 0.003
# Nor could the number of an execution be read in one that is narrower than this.
NUMBERED = 0.04

# Tones of bars, by how their execution ended.
ENDINGS: dict[str, str] = {
    "": "active",
    Status.SUCCEEDED: "good",
    Status.FAILED: "bad",
    Status.DISCARDED: "bad",
    Status.CANCELLED: "quiet",
    "died": "bad",
    "abandoned": "bad",
}


@dataclass(frozen=True)
class Segment:
    """A stretch of the axis, from `left` to `right` as shares of it."""

    begin: dt.datetime
    end: dt.datetime
    left: float
    right: float
    tone: str
    number: int
    title: str

    def place(self, moment: dt.datetime) -> float:
        """Where `moment`, which lies in it, is on the axis."""
        whole = (self.end - self.begin).total_seconds()
        share = (moment - self.begin).total_seconds() / whole if whole > 0 else 0.0
        return self.left + (self.right - self.left) * min(max(share, 0.0), 1.0)


class Timeline:
    """The axis of a continuation: its executions one after the other, the gaps between them folded."""

    def __init__(self, executions: Sequence[Execution], now: dt.datetime) -> None:
        self.segments: list[Segment] = []
        # Seconds in which nothing ran, as far as they are folded away.
        self.idle_seconds = 0.0
        spans = [(each.started_at, max(each.finished_at or now, each.started_at)) for each in executions]
        busy = sum((end - begin).total_seconds() for begin, end in spans)
        gaps = [max((begin - end).total_seconds(), 0.0) for (_, end), (begin, _) in pairwise(spans)]
        gap_share = min(GAP, ALL_GAPS / len(gaps)) if gaps else 0.0
        widths = [_gap_width(gap, busy + sum(gaps), gap_share) for gap in gaps]
        for_busy = 1.0 - sum(widths)
        left = 0.0
        for index, (execution, (begin, end)) in enumerate(zip(executions, spans, strict=True)):
            share = (end - begin).total_seconds() / busy if busy > 0 else 1 / len(spans)
            right = left + share * for_busy
            tone = ENDINGS.get(execution.outcome, "waiting")
            self.segments.append(Segment(begin, end, left, right, tone, execution.number, words.ended(execution)))
            left = right + (widths[index] if index < len(widths) else 0.0)
        self.idle_seconds = sum(gaps)

    def lane(self, record: StepRecord, now: dt.datetime) -> SafeString:
        """The bars of one step, for eyes only: the cells beside it say the same."""
        end = record.finished_at or now
        completed_at = record.finished_at if record.status == StepRecord.Status.COMPLETED else None
        bars = [
            (
                # What came of the execution later is not what came of this step.
                "good" if completed_at is not None and completed_at <= segment.end else segment.tone,
                _percent(left),
                _percent(max(segment.place(end) - left, NARROWEST)),
                segment.title,
            )
            for segment in self.segments
            if segment.begin <= end and segment.end >= record.started_at
            for left in [segment.place(record.started_at)]
        ]
        return _drawing(self._folds(record.started_at, end), _bars(bars))

    @property
    def axis(self) -> SafeString:
        """The bars of the executions with their numbers, for eyes only: they have a table of their own."""
        bars = [
            (each.tone, _percent(each.left), _percent(max(each.right - each.left, NARROWEST)), each.title)
            for each in self.segments
        ]
        numbers = [
            (_percent((each.left + each.right) / 2), str(each.number))
            for each in self.segments
            if each.right - each.left >= NUMBERED
        ]
        texts = format_html_join("", '<text x="{}" y="12" text-anchor="middle">{}</text>', numbers)
        begin, end = (self.segments[0].begin, self.segments[-1].end) if self.segments else (None, None)
        return _drawing(self._folds(begin, end), _bars(bars), texts) if begin and end else SafeString("")

    @property
    def ends(self) -> list[SafeString]:
        """When the first execution began and the last one ended, or now."""
        return [words.clock(self.segments[0].begin), words.clock(self.segments[-1].end)] if self.segments else []

    @property
    def summary(self) -> str:
        """How much of the time is left out."""
        if self.idle_seconds < 1:
            return ""
        return gettext("%s in which nothing ran are folded.") % duration(self.idle_seconds)

    def _folds(self, begin: dt.datetime, end: dt.datetime) -> SafeString:
        """A mark in each gap between two bars of a step."""
        places = [
            (_percent((before.right + after.left) / 2),) * 2
            for before, after in pairwise(self.segments)
            if begin <= before.end and after.begin <= end
        ]
        return format_html_join("", '<line class="continuations-fold" x1="{}" x2="{}" y1="0" y2="16"/>', places)


def _bars(bars: list[tuple[str, str, str, str]]) -> SafeString:
    """Of each: tone, left, width, and what is said of it."""
    rect = '<rect class="continuations-lane-{}" x="{}" y="3" width="{}" height="10" rx="1"><title>{}</title></rect>'
    return format_html_join("", rect, bars)


def _drawing(*parts: SafeString) -> SafeString:
    return format_html(
        '<svg class="continuations-lane" width="100%" height="16" aria-hidden="true" focusable="false">{}</svg>',
        format_html_join("", "{}", [(part,) for part in parts]),
    )


def _gap_width(seconds: float, whole: float, most: float) -> float:
    return min(seconds / whole, most) if whole > 0 else 0.0


def _percent(share: float) -> str:
    # Text, since a number would be localised.
    return f"{share * 100:.2f}%"
