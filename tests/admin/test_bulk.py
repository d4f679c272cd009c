"""The verbs for many at once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from continuations.admin import bulk
from continuations.models import Continuation, Event

from . import states
from .jobs import Import
from .pages import ALL, LIST, act, messages_of, staff, text_of

pytestmark = pytest.mark.django_db

# Each action with a state for it, what its form takes, the permission, and the status afterwards.
CASES: list[tuple[str, Any, dict[str, Any], str, str]] = [
    ("pause_selected", states.interrupted, {}, "control", "paused"),
    ("resume_selected", states.paused, {}, "control", "enqueued"),
    ("cancel_selected", states.paused, {}, "control", "cancelled"),
    ("send_to_selected", states.waiting_for_event, {"name": "approved"}, "control", "enqueued"),
    ("retry_selected", states.failed, {}, "retry", "enqueued"),
    ("rerun_selected", states.succeeded, {"step": "load"}, "retry", "enqueued"),
]


def status_of(row: Continuation) -> str:
    row.refresh_from_db()
    return row.status


@pytest.mark.parametrize(("action", "state", "data", "permission", "after"), CASES)
def test_an_action_does_what_the_querysets_verb_does_and_history_knows(
    action: str, state: Any, data: dict[str, Any], permission: str, after: str
) -> None:
    rows = [state(), state()]
    calm = Import.enqueue("left alone")
    client = staff("view", permission)
    response = act(client, action, *rows, confirmed="yes", reason="it is late", **data)
    assert [status_of(row) for row in rows] == [after, after]
    assert status_of(calm) == "enqueued"
    assert messages_of(response) == [f"2 are now {after}."]
    entries = LogEntry.objects.order_by("object_id")
    assert [entry.object_id for entry in entries] == sorted(str(row.pk) for row in rows)
    assert all(entry.change_message.endswith(" Reason: it is late") for entry in entries)
    assert {entry.user.username for entry in entries} == {"sam"}


@pytest.mark.parametrize(("action", "state", "data", "permission", "after"), CASES)
def test_an_action_asks_first_and_says_what_that_means(
    admin_client: Client, action: str, state: Any, data: dict[str, Any], permission: str, after: str
) -> None:
    row, other = state(), states.discarded() if "send" in action else states.cancelling()
    before = status_of(row)
    response = act(admin_client, action, row, other, index="0", select_across="0")
    source = response.content.decode()
    assert f"<li>{row}</li>" in source
    assert "1 of those selected is in a state for it now." in text_of_response(source)
    assert "Not undone" in source or "Kept" in source
    assert f'name="action" value="{action}"' in source
    assert f'name="_selected_action" value="{row.pk}"' in source
    assert status_of(row) == before
    assert not LogEntry.objects.exists()


def text_of_response(source: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", source).split())


@pytest.mark.parametrize("confirmed", [{}, {"confirmed": "yes"}])
@pytest.mark.parametrize(("action", "state", "data", "permission", "after"), CASES)
def test_without_its_permission_an_action_is_refused_and_nothing_changes(
    action: str, state: Any, data: dict[str, Any], permission: str, after: str, confirmed: dict[str, str]
) -> None:
    row = state()
    before = status_of(row)
    client = staff(*(set(ALL) - {permission}))
    assert act(client, action, row, **confirmed, **data).status_code == 403
    assert status_of(row) == before
    assert f'value="{action}"' not in client.get(LIST).content.decode()


@pytest.mark.parametrize(("action", "state", "data", "permission", "after"), CASES)
def test_without_a_csrf_token_an_action_is_refused(
    action: str, state: Any, data: dict[str, Any], permission: str, after: str
) -> None:
    row = state()
    before = status_of(row)
    assert act(staff(*ALL, enforce_csrf_checks=True), action, row, confirmed="yes", **data).status_code == 403
    assert status_of(row) == before


@pytest.mark.parametrize(("action", "state", "data", "permission", "after"), CASES)
def test_a_get_with_an_action_changes_nothing(
    admin_client: Client, action: str, state: Any, data: dict[str, Any], permission: str, after: str
) -> None:
    row = state()
    before = status_of(row)
    admin_client.get(LIST, {"action": action, "_selected_action": str(row.pk), "confirmed": "yes", **data})
    assert status_of(row) == before


def test_what_is_in_no_state_for_it_is_left_as_it_is(admin_client: Client) -> None:
    paused, succeeded = states.paused(), states.succeeded()
    response = act(admin_client, "resume_selected", paused, succeeded, confirmed="yes")
    assert messages_of(response) == ["1 is now enqueued."]
    assert status_of(succeeded) == "succeeded"
    assert LogEntry.objects.get().object_id == str(paused.pk)


def test_nothing_to_do_is_said(admin_client: Client) -> None:
    response = act(admin_client, "retry_selected", states.succeeded(), confirmed="yes")
    assert messages_of(response) == ["Nothing was changed: none of them is in a state for it."]


def test_what_is_refused_is_told_with_its_reason(admin_client: Client) -> None:
    first, second = states.succeeded(), states.failed()
    response = act(admin_client, "rerun_selected", first, second, confirmed="yes", step="publish")
    told = messages_of(response)
    assert told[0] == "1 is now enqueued."
    assert told[1].startswith("1 was left as it is:")
    assert "has no step 'publish'" in told[1]


def test_what_is_deaf_is_taken_away_only_by_force(admin_client: Client) -> None:
    row = states.deaf()
    act(admin_client, "pause_selected", row, confirmed="yes")
    assert status_of(row) == "pausing"
    act(admin_client, "pause_selected", row, confirmed="yes", force="on")
    assert status_of(row) == "paused"


def test_all_pages_at_once_are_bounded(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in no state for it does not use up the bound."""
    monkeypatch.setattr(bulk, "LIMIT", 3)
    old = [states.cancelled() for _ in range(2)]
    rows = [states.paused() for _ in range(4)]
    asked = act(admin_client, "resume_selected", rows[0], select_across="1").content.decode()
    assert "At most 3 are changed at a time" in asked
    response = act(admin_client, "resume_selected", rows[0], select_across="1", confirmed="yes")
    assert messages_of(response) == ["3 are now enqueued.", "There are more than 3. Do it again for the rest."]
    assert sorted(map(status_of, rows)) == ["enqueued", "enqueued", "enqueued", "paused"]
    assert {status_of(row) for row in old} == {"cancelled"}


def test_all_pages_at_once_keep_to_the_filter(admin_client: Client) -> None:
    broken, other = states.failed(), states.failed()
    Continuation.objects.filter(pk=other.pk).update(queue_name="slow")
    act(admin_client, "retry_selected", broken, where=f"{LIST}?queue=default", select_across="1", confirmed="yes")
    assert status_of(broken) == "enqueued"
    assert status_of(other) == "failed"


def test_nothing_selected_changes_nothing(admin_client: Client) -> None:
    row = states.paused()
    admin_client.post(LIST, {"action": "cancel_selected", "confirmed": "yes"})
    assert status_of(row) == "paused"


def test_an_event_is_sent_to_many(admin_client: Client) -> None:
    rows = [states.waiting_for_event(), states.waiting_for_event()]
    act(admin_client, "send_to_selected", *rows, confirmed="yes", name="approved", payload='{"by": "ana"}')
    assert [event.payload_json for event in Event.objects.all()] == ['{"by":"ana"}'] * 2


def test_a_form_that_is_wrong_is_shown_again(admin_client: Client) -> None:
    row = states.waiting_for_event()
    response = act(admin_client, "send_to_selected", row, confirmed="yes", name="approved", payload="{")
    assert "This is no JSON" in response.content.decode()
    assert status_of(row) == "waiting"


# Deletion and history


def test_deleting_needs_djangos_own_permission() -> None:
    row = states.succeeded()
    client = staff(*ALL)
    where = f"{LIST}{row.pk}/delete/"
    assert client.post(where, {"post": "yes"}).status_code == 403
    assert Continuation.objects.filter(pk=row.pk).exists()
    assert "/delete/" not in client.get(f"{LIST}{row.pk}/change/").content.decode()


def test_deleting_says_what_goes_with_it(admin_client: Client) -> None:
    row = states.succeeded()
    text = text_of(admin_client, f"{LIST}{row.pk}/delete/")
    assert "Steps: 3" in text
    assert "Executions: 3" in text
    admin_client.post(f"{LIST}{row.pk}/delete/", {"post": "yes"})
    assert not Continuation.objects.exists()


def test_many_are_deleted_as_django_does_it(admin_client: Client) -> None:
    rows = [states.succeeded(), states.failed()]
    assert "Are you sure" in act(admin_client, "delete_selected", *rows).content.decode()
    act(admin_client, "delete_selected", *rows, post="yes")
    assert not Continuation.objects.exists()


def test_somebody_with_every_permission_is_offered_every_action() -> None:
    states.paused()
    source = staff(*ALL).get(LIST).content.decode()
    assert [f'value="{action}"' in source for action, *_ in CASES] == [True] * len(CASES)
