"""Editing a cursor: a date stays a date, a secret stays one, and what has moved is not overwritten."""

from __future__ import annotations

import datetime as dt
import html
from typing import Any

import pytest
from django.test import Client

from continuations.models import Continuation, StepRecord
from continuations.testing import interrupt_during, run_until_finished

from . import states
from .jobs import Days, Import
from .pages import address, call, messages_of, source_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def days() -> Continuation:
    row = Days.enqueue()
    with interrupt_during(Days, "days", dt.date(2026, 2, 1)):
        return states.once(row)


def fields(client: Client, row: Continuation) -> dict[str, str]:
    form = client.get(address(row, "verb", "cursor")).context["form"]
    return {name: form[name].value() or "" for name in ("step", "was", "cursor")}


def edit(client: Client, row: Continuation, cursor: str, **data: Any) -> Any:
    return call(client, row, "cursor", **{**fields(client, row), "cursor": cursor, **data})


def cursor_of(row: Continuation) -> Any:
    return row.steps.order_by("-position")[0].cursor


def test_the_form_shows_the_stored_form_with_its_type(admin_client: Client, days: Continuation) -> None:
    assert fields(admin_client, days)["cursor"].split() == ["{", '"$":', '"date",', '"v":', '"2026-02-01"', "}"]


def test_an_edited_date_is_a_date(admin_client: Client, days: Continuation) -> None:
    response = edit(admin_client, days, '{"$": "date", "v": "2026-02-02"}', reason="done by hand")
    assert cursor_of(days) == dt.date(2026, 2, 2)
    assert "is now interrupted" in messages_of(response)[0]
    assert run_until_finished(days).status == "succeeded"


def test_a_text_in_place_of_a_date_is_refused(admin_client: Client, days: Continuation) -> None:
    response = edit(admin_client, days, '"2026-02-02"')
    assert "The cursor is of type date, and this is of type text." in response.content.decode()
    assert cursor_of(days) == dt.date(2026, 2, 1)


def test_another_type_is_taken_when_that_is_meant(admin_client: Client, days: Continuation) -> None:
    edit(admin_client, days, "5", other_type="on")
    assert cursor_of(days) == 5


@pytest.mark.parametrize(
    "cursor", ["", "{", '{"$": "date", "v": "tomorrow"}', '{"$": "model", "v": ["x.y", 1, "nowhere"]}']
)
def test_what_is_no_cursor_is_refused(admin_client: Client, days: Continuation, cursor: str) -> None:
    response = edit(admin_client, days, cursor)
    assert "errorlist" in response.content.decode()
    assert cursor_of(days) == dt.date(2026, 2, 1)


def test_a_cursor_that_has_moved_since_is_not_overwritten(admin_client: Client, days: Continuation) -> None:
    given = fields(admin_client, days)
    with interrupt_during(Days, "days", dt.date(2026, 2, 2)):
        states.once(days)
    response = call(admin_client, days, "cursor", **{**given, "cursor": '{"$": "date", "v": "2026-01-01"}'})
    assert "The cursor has moved since this page was opened." in response.content.decode()
    assert cursor_of(days) == dt.date(2026, 2, 2)


def test_a_secret_in_a_cursor_is_not_given_away_by_the_form(admin_client: Client) -> None:
    row = states.interrupted()
    StepRecord.objects.filter(continuation=row, name="load").update(cursor_json='{"token":"hunter22","page":1}')
    assert fields(admin_client, row)["cursor"] == ""
    assert "hunter22" not in source_of(admin_client, address(row, "verb", "cursor"))
    edit(admin_client, row, '{"token": "hunter23", "page": 2}')
    assert cursor_of(row) == {"token": "hunter23", "page": 2}


def test_a_cursor_that_is_none_yet_may_become_anything(admin_client: Client) -> None:
    row = states.interrupted()
    StepRecord.objects.filter(continuation=row, name="load").update(cursor_json=None)
    edit(admin_client, row, "[1, 2]")
    assert cursor_of(row) == [1, 2]


def test_a_hostile_cursor_is_text_in_the_form(admin_client: Client) -> None:
    row = states.interrupted()
    hostile = "</textarea><script>alert(1)</script>"
    StepRecord.objects.filter(continuation=row, name="load").update(cursor_json=f'"{hostile}"')
    source = source_of(admin_client, address(row, "verb", "cursor"))
    assert hostile not in source
    assert html.escape(hostile) in source


def test_the_cursor_of_a_step_in_progress_alone_can_be_edited(admin_client: Client) -> None:
    row = Import.enqueue("x")
    response = call(admin_client, row, "cursor", step="load", cursor="1")
    assert "Nothing was changed" in messages_of(response)[0]
    row = states.interrupted()
    assert edit(admin_client, row, "7", step="check").status_code == 200
    assert row.steps.get(name="check").cursor is None
