"""Whether it has happened before: what became of others of the class."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client

from continuations.admin import past
from continuations.models import Continuation
from continuations.testing import run_until_finished

from . import states
from .jobs import Broken, Discards
from .pages import address, source_of, text_of

pytestmark = pytest.mark.django_db

QUESTION = "Has it happened before?"


def test_the_first_of_its_class_has_no_past(admin_client: Client) -> None:
    assert f"{QUESTION} There is no other of its class." in text_of(admin_client, states.failed())


def test_failures_and_the_last_success_of_others_are_told(admin_client: Client, mend: Any) -> None:
    row, _ = states.failed(), states.failed()
    mend()
    succeeded = run_until_finished(Broken.enqueue())
    assert succeeded.finished_at is not None
    Continuation.objects.filter(pk=succeeded.pk).update(finished_at=succeeded.finished_at - dt.timedelta(hours=3))
    text = text_of(admin_client, row)
    assert f"{QUESTION} Others of its class that failed: 1 of the last 2. The last success was 3 h ago" in text


def test_other_classes_do_not_count(admin_client: Client) -> None:
    states.discarded()
    assert "There is no other of its class." in text_of(admin_client, states.failed())


def test_only_the_newest_are_looked_at(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "OTHERS", 2)
    rows = [states.failed() for _ in range(4)]
    for row in rows:
        assert "failed: 2 of the last 2." in text_of(admin_client, row)


@pytest.mark.parametrize(
    ("state", "asked"),
    [
        (states.failed, True),
        (states.discarded, True),
        (states.paused_by_limit, True),
        (states.paused, False),
        (states.running, False),
        (states.succeeded, False),
    ],
)
def test_it_is_asked_of_what_went_wrong_alone(admin_client: Client, state: Any, asked: bool) -> None:
    assert (QUESTION in text_of(admin_client, state())) is asked


def test_a_link_leads_to_the_failures_of_the_class(admin_client: Client) -> None:
    row, other, discarded = states.failed(), states.failed(), states.discarded()
    [url] = {admin_client.get(address(each)).context["failures_url"] for each in (row, other)}
    assert url.replace("&", "&amp;") in source_of(admin_client, row)
    shown = source_of(admin_client, url)
    assert str(row.pk) in shown
    assert str(other.pk) in shown
    assert str(discarded.pk) not in shown


def test_a_success_of_nobody_is_not_told(admin_client: Client) -> None:
    states.discarded()
    row = states.once(Discards.enqueue())
    text = text_of(admin_client, row)
    assert "failed: 0 of the last 1." in text
    assert "The last success" not in text
