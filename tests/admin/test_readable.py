"""What is easily misread at three in the morning, and is not."""

from __future__ import annotations

import datetime as dt
import json
import re

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.translation import override

from continuations.models import Continuation, StepRecord
from continuations.testing import crash_during

from . import states
from .jobs import Broken, Import
from .pages import LIST, act, address, source_of, text_of

pytestmark = pytest.mark.django_db


def test_nothing_is_recommended_that_takes_back_what_somebody_asked_for(admin_client: Client) -> None:
    for state in (states.pausing, states.deaf):
        controls = admin_client.get(address(state())).context["controls"]
        assert "resume" in [control.verb.slug for control in controls]
        assert not any(control.is_recommended for control in controls)


def test_cancelling_is_no_button_that_could_mean_not_doing_it(admin_client: Client) -> None:
    row = states.running()
    assert ">Yes, cancel it</button>" in source_of(admin_client, address(row, "verb", "cancel"))
    assert ">Yes, cancel them</button>" in act(admin_client, "cancel_selected", row).content.decode()


def test_what_is_stalled_has_no_time_left(admin_client: Client) -> None:
    states.running()
    assert "2.0 s left" in text_of(admin_client, LIST)
    Continuation.objects.all().delete()
    row = states.stalled()
    assert "2.0 s left" not in text_of(admin_client, LIST)
    assert "2.0 s left" not in text_of(admin_client, row)


def test_the_error_of_a_row_leaves_out_the_name_of_the_row(admin_client: Client) -> None:
    row = states.paused_by_limit()
    text = text_of(admin_client, LIST)
    assert "ResumeLimitError was resumed 0 times" in text
    assert f"ResumeLimitError Limited {row.pk}" not in text


def test_an_error_that_is_cut_says_so(admin_client: Client) -> None:
    states.discarded()
    Continuation.objects.update(error_message="x" * 300)
    assert f"KeyError {'x' * 79}…" in text_of(admin_client, LIST)


def test_a_long_class_can_be_broken_at_its_capitals(admin_client: Client) -> None:
    states.paused_by_limit()
    assert "Resume<wbr>Limit<wbr>Error" in source_of(admin_client, LIST)


def test_an_execution_with_an_error_does_not_say_that_there_was_one(admin_client: Client) -> None:
    [line] = admin_client.get(address(states.failed())).context["page"].executions
    assert line.error.startswith("ValueError: row 67,543 is bad")
    assert line.why == ""


def test_an_execution_that_runs_says_how_far_it_has_come(admin_client: Client) -> None:
    row = states.interrupted()
    [ended] = admin_client.get(address(row)).context["page"].executions
    assert (ended.step, ended.before, ended.after) == ("load", "", "4")
    with crash_during(Import, "load", 6):
        states.once(row)
    StepRecord.objects.filter(continuation=row, name="load").update(cursor_json="6")
    line, before = admin_client.get(address(row)).context["page"].executions
    assert (line.record.outcome, line.step, line.before, line.after) == ("", "load", "4", "6")
    assert before.after == "4"


def test_a_time_is_told_in_utc_too_where_the_clock_is_another(admin_client: Client) -> None:
    row = states.paused()
    at = dt.datetime(2026, 1, 31, 2, 30, 5, tzinfo=dt.UTC)
    Continuation.objects.filter(pk=row.pk).update(requested_at=timezone.now(), created_at=at)
    assert "Jan. 31, 2026 03:30:05 CET (02:30:05 UTC)" in text_of(admin_client, row)
    with timezone.override(dt.UTC):
        assert "Jan. 31, 2026 02:30:05 UTC" in text_of(admin_client, row)
        assert "(02:30:05 UTC)" not in text_of(admin_client, row)


def test_what_has_been_quiet_is_not_said_to_move(admin_client: Client) -> None:
    row = states.running()
    tag = admin_client.get(address(row, "live"))["ETag"]
    assert "Is it moving? Yes, 2.0 a second." in text_of(admin_client, row)
    StepRecord.objects.filter(continuation=row).update(heartbeat_at=timezone.now() - dt.timedelta(seconds=45))
    text = text_of(admin_client, row)
    assert "Is it moving? Perhaps:" in text
    assert "Last sign of life 45 s ago" in text
    assert admin_client.get(address(row, "live"), headers={"if-none-match": tag}).status_code == 200


def test_what_has_ended_says_how_long_it_took(admin_client: Client) -> None:
    row = states.succeeded()
    assert row.finished_at is not None
    Continuation.objects.filter(pk=row.pk).update(started_at=row.finished_at - dt.timedelta(minutes=100))
    text = text_of(admin_client, row)
    assert "From its start to its end it took 1 h 40 min." in text
    assert "3 steps Is it moving?" in text


def test_the_default_of_a_secret_is_a_secret(admin_client: Client) -> None:
    row = states.once(Broken.enqueue())
    assert "hunter22" in row.error_message
    assert "hunter22" not in source_of(admin_client, row)


def test_the_example_of_a_cursor_is_one(admin_client: Client) -> None:
    text = text_of(admin_client, address(states.paused(), "verb", "cursor"))
    example = re.search(r"\{[^}]*\}", text)
    assert example is not None
    assert json.loads(example[0]) == {"$": "date", "v": "2026-01-31"}


def test_the_steps_to_run_again_from_are_told_with_their_states(admin_client: Client) -> None:
    row = states.failed()
    text = text_of(admin_client, address(row, "verb", "rerun"))
    assert "load completed Cursor 67543 break failed Cursor 3" in text
    assert StepRecord.objects.filter(continuation=row).count() == 2


def test_an_error_does_not_turn_round_a_sentence_that_runs_from_right_to_left(admin_client: Client) -> None:
    row = states.failed()
    with override("he"):
        answers = [str(answer.text) for answer in admin_client.get(address(row)).context["page"].answers]
    assert any("\u2068ValueError: row 67,543 is bad" in text and text.endswith("\u2069") for text in answers)
    assert "\u2068" not in source_of(admin_client, row)
