"""The axis on which executions and steps stand: numbers, tones, ends, for eyes and for the mouse."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.test import Client

from continuations.models import Continuation, Execution, StepRecord

from . import states
from .pages import address

pytestmark = pytest.mark.django_db


def drawn(row: Continuation, client: Client) -> tuple[str, dict[str, str]]:
    """The axis, and the lane of each step."""
    page = client.get(address(row)).context["page"]
    return str(page.timeline.axis), {line.name: str(line.lane) for line in page.steps}


def apart(row: Continuation, *ends: tuple[int, int]) -> None:
    """Let its executions have run from and to those seconds."""
    for number, (begin, end) in enumerate(ends, start=1):
        Execution.objects.filter(continuation=row, number=number).update(
            started_at=row.created_at + dt.timedelta(seconds=begin),
            finished_at=row.created_at + dt.timedelta(seconds=end),
        )


def test_executions_stand_on_the_axis_by_number_and_say_how_they_ended(admin_client: Client) -> None:
    row = states.succeeded()
    apart(row, (0, 30), (60, 90), (120, 150))
    axis, _ = drawn(row, admin_client)
    assert re.findall(r"<text[^>]*>(\d)</text>", axis) == ["1", "2", "3"]
    assert re.findall(r"<title>([^<]*)</title>", axis) == [
        "Execution 1: interrupted (the worker was told to stop).",
        "Execution 2: interrupted (the worker was told to stop).",
        "Execution 3: succeeded.",
    ]
    assert axis.count("continuations-fold") == 2
    assert 'aria-hidden="true"' in axis


def test_the_number_of_an_execution_that_is_too_narrow_is_left_out(admin_client: Client) -> None:
    row = states.succeeded()
    apart(row, (0, 3600), (3601, 3602), (3603, 7200))
    axis, _ = drawn(row, admin_client)
    assert re.findall(r"<text[^>]*>(\d)</text>", axis) == ["1", "3"]
    assert axis.count("<rect") == 3


def test_a_step_that_was_completed_is_not_red_because_a_later_one_failed(admin_client: Client) -> None:
    _, lanes = drawn(states.failed(), admin_client)
    assert "continuations-lane-good" in lanes["load"]
    assert "continuations-lane-bad" in lanes["break"]


def test_the_axis_says_when_it_begins_and_ends(admin_client: Client) -> None:
    row = states.succeeded()
    apart(row, (0, 30), (60, 90), (120, 150))
    first, last = admin_client.get(address(row)).context["page"].timeline.ends
    executions = Execution.objects.filter(continuation=row).order_by("number")
    assert executions[0].started_at.isoformat() in first
    assert executions[2].finished_at is not None
    assert executions[2].finished_at.isoformat() in last


def test_without_an_execution_there_is_no_axis(admin_client: Client) -> None:
    axis, lanes = drawn(states.enqueued(), admin_client)
    assert (axis, lanes) == ("", {})


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (states.running, "running"),
        (states.interrupted, "in progress"),
        (states.paused, "paused"),
        (states.waiting_for_event, "waiting"),
        (states.failed, "failed"),
        (states.cancelled, "cancelled"),
    ],
)
def test_the_step_in_progress_is_in_the_state_of_what_it_belongs_to(
    admin_client: Client, state: Any, word: str
) -> None:
    row = state()
    line = admin_client.get(address(row)).context["page"].steps[-1]
    assert StepRecord.objects.get(continuation=row, name=line.name).status == "running"
    assert f"<span>{word}</span>" in line.state
