"""`CONTINUATIONS = {"DATABASE": ...}`: the continuations are on another database than the rest, and no router knows."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from continuations.models import Continuation
from continuations.testing import run_enqueued, run_until_finished
from tests.shop.jobs import Approved
from tests.test_waiting import Parent

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _elsewhere(settings: Any) -> None:
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "DATABASE": "other"}


def test_questions_and_verbs_of_querysets_go_there() -> None:
    row = Approved.enqueue()
    assert list(Continuation.objects.for_job(Approved).active()) == [row]
    assert Continuation.objects.using("default").count() == 0
    assert [each.pk for each in Continuation.objects.for_job(Approved).pause(by="ada").changed] == [row.pk]
    assert Continuation.objects.get(pk=row.pk).status == "paused"
    Continuation.objects.all().resume()
    assert run_enqueued() == 1
    Continuation.objects.filter(pk=row.pk).cancel()
    Continuation.objects.update(anchor_open=False)
    assert Continuation.objects.prune(dt.timedelta(microseconds=1)) == 1
    assert not Continuation.objects.exists()


def test_an_event_finds_its_continuation_by_key() -> None:
    row = Approved.using(key="order 7").enqueue()
    run_enqueued()
    Continuation.objects.send(key="order 7", name="approved", payload="yes")
    assert run_until_finished(row).status == "succeeded"


def test_an_alias_that_is_named_wins() -> None:
    Approved.enqueue()
    assert [Continuation.objects.using(alias).count() for alias in ("default", "other")] == [0, 1]


def test_families_live_there_too() -> None:
    parent = Parent.enqueue(2)
    run_enqueued()
    assert parent.children.count() == 2
    assert {child._state.db for child in parent.children.all()} == {"other"}
    run_enqueued()
    assert run_until_finished(parent).status == "succeeded"
