"""Stored values, as they are shown. What came from a caller goes through `arguments`, `attributes` and `payload`."""

from __future__ import annotations

import json
from typing import Any

from ..models import Continuation, Event, StepRecord


def arguments(row: Continuation) -> Any:
    """`[positional, keyword]`, as stored."""
    return plain(row.arguments_json)


def call(row: Continuation) -> str:
    """The arguments as they would be written in a call, their values as JSON; empty if there are none."""
    stored = arguments(row)
    try:
        positional, keyword = stored
        return ", ".join([*map(text_of, positional), *(f"{name}={text_of(each)}" for name, each in keyword.items())])
    except (TypeError, ValueError, AttributeError):
        return text_of(stored)


def attributes(steps: list[StepRecord]) -> Any:
    """The attributes of the job by name, as the last of its steps stored them."""
    return plain(steps[-1].attributes_json) if steps else None


def payload(event: Event) -> Any:
    """What was sent with an event."""
    return plain(event.payload_json)


def plain(text: str | None) -> Any:
    """Stored text as plain JSON, with its tags. Not decoded: that could ask the database, or find its classes gone."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        # Nothing of ours; shown all the same.
        return text


def text_of(value: Any) -> str:
    """A value of `plain` on one line, as the command line takes it again."""
    return json.dumps(value, ensure_ascii=False)
