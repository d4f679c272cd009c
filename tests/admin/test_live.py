"""What the pages poll: only what has changed, only to those who may see it."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from continuations.models import Continuation, StepRecord
from continuations.testing import interrupt_during, run_until_finished

from . import states
from .jobs import Import, Parent
from .pages import LIST, address, source_of, staff

pytestmark = pytest.mark.django_db


def poll(client: Client, row: Continuation, etag: str = "") -> Any:
    return client.get(address(row, "live"), headers={"if-none-match": etag} if etag else {})


def test_the_changing_part_is_the_page_without_its_frame(admin_client: Client) -> None:
    row = states.running()
    response = poll(admin_client, row)
    source = response.content.decode()
    assert 'data-continuations-state="running"' in source
    assert "Is it moving?" in source
    assert "<html" not in source
    page = source_of(admin_client, row)
    assert f'data-continuations-live="{address(row, "live")}"' in page


def test_the_page_starts_with_the_tag_of_what_it_shows(admin_client: Client) -> None:
    row = states.running()
    etag = admin_client.get(address(row)).context["etag"]
    assert poll(admin_client, row, etag).status_code == 304
    assert f'data-continuations-etag="{html.escape(etag)}"' in source_of(admin_client, row)


# What changes a page, each from a running continuation.
CHANGES: dict[str, Callable[[Continuation], object]] = {
    "a beat": lambda row: StepRecord.objects.filter(continuation=row, name="load").update(sequence=99),
    "a request": lambda row: row.pause(by="ana"),
    "a request taken back": lambda row: (row.pause(), row.resume()),
    "an event": lambda row: row.send("hello"),
    "the end": lambda row: run_until_finished(row),
    "silence": lambda row: StepRecord.objects.filter(continuation=row).update(
        heartbeat_at=timezone.now() - dt.timedelta(hours=1)
    ),
    "another queue": lambda row: Continuation.objects.filter(pk=row.pk).update(queue_name="slow"),
    "a failed follow-up": lambda row: Continuation.objects.filter(pk=row.pk).update(follow_up_failed_at=timezone.now()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_sent_again_only_when_it_has_changed(admin_client: Client, change: str) -> None:
    row = states.running()
    etag = poll(admin_client, row)["ETag"]
    assert poll(admin_client, row, etag).status_code == 304
    CHANGES[change](row)
    response = poll(admin_client, row, etag)
    assert response.status_code == 200
    assert response["ETag"] != etag
    assert poll(admin_client, row, response["ETag"]).status_code == 304


def test_it_changes_when_a_request_may_be_forced(admin_client: Client) -> None:
    row = states.pausing()
    etag = poll(admin_client, row)["ETag"]
    Continuation.objects.filter(pk=row.pk).update(requested_at=timezone.now() - dt.timedelta(minutes=6))
    assert "Force the pause" in poll(admin_client, row, etag).content.decode()


def test_the_page_of_a_parent_changes_with_its_children(admin_client: Client) -> None:
    parent = states.once(Parent.enqueue(2))
    etag = poll(admin_client, parent)["ETag"]
    child = parent.children.first()
    assert child is not None
    with interrupt_during(Import, "load", 5):
        states.once(child)
    response = poll(admin_client, parent, etag)
    assert response.status_code == 200
    assert 'value="25.0"' in response.content.decode()


def test_the_tag_depends_on_language_and_permissions(admin_client: Client) -> None:
    row = states.running()
    etags = {poll(admin_client, row)["ETag"], poll(staff("view"), row)["ETag"]}
    with translation.override("de"):
        etags.add(poll(admin_client, row)["ETag"])
    assert len(etags) == 3


def test_an_unchanged_poll_costs_three_queries(admin_client: Client) -> None:
    """Session, user, and one for the page however long its history is."""
    row = states.succeeded()
    etag = poll(admin_client, row)["ETag"]
    with CaptureQueriesContext(connection) as captured:
        assert poll(admin_client, row, etag).status_code == 304
    assert len(captured) == 3
    assert "error_traceback" not in captured.captured_queries[-1]["sql"]


def test_it_may_not_be_kept_by_caches(admin_client: Client) -> None:
    response = poll(admin_client, states.running())
    assert "no-store" in response["Cache-Control"]


def test_who_may_not_view_gets_nothing_live(client: Client) -> None:
    row = states.running()
    nobody = staff("control", "retry", "edit_cursor")
    assert poll(nobody, row).status_code == 403
    assert nobody.get(f"{LIST}live/?ids={row.pk}").status_code == 403
    for where in (address(row, "live"), f"{LIST}live/?ids={row.pk}"):
        response = client.get(where)
        assert response.status_code == 302
        assert response["Location"].startswith("/admin/login/")


def test_only_reading_is_possible(admin_client: Client) -> None:
    row = states.running()
    for where in (address(row, "live"), f"{LIST}live/"):
        assert admin_client.post(where).status_code == 405


def test_what_is_gone_is_not_found(admin_client: Client) -> None:
    row = states.running()
    where = address(row, "live")
    row.delete()
    assert admin_client.get(where).status_code == 404
    assert admin_client.get(f"{LIST}no-uuid/live/").status_code == 404


# The list


def test_the_list_asks_for_the_cells_of_what_has_not_ended(admin_client: Client) -> None:
    running, succeeded = states.running(), states.succeeded()
    source = source_of(admin_client, LIST)
    assert f'data-continuations-row="{running.pk}" data-continuations-active' in source
    assert f'data-continuations-row="{succeeded.pk}">' in source
    found = admin_client.get(f"{LIST}live/?ids={running.pk},{succeeded.pk}").json()["rows"]
    assert found[str(running.pk)]["ended"] is False
    assert found[str(succeeded.pk)]["ended"] is True
    cells = found[str(running.pk)]["cells"]
    assert set(cells) == {"state", "step", "started", "runs", "error"}
    for name, cell in cells.items():
        assert f'<span data-continuations-cell="{name}">{cell}</span>' in source or "ago" in cell


def test_the_cells_are_sent_again_only_when_one_has_changed(admin_client: Client) -> None:
    row = states.running()
    Continuation.objects.update(started_at=timezone.now() - dt.timedelta(days=3, hours=5))
    where = f"{LIST}live/?ids={row.pk}"
    etag = admin_client.get(where)["ETag"]
    assert admin_client.get(where, headers={"if-none-match": etag}).status_code == 304
    row.pause(by="ana")
    response = admin_client.get(where, headers={"if-none-match": etag})
    assert "by ana" in response.json()["rows"][str(row.pk)]["cells"]["state"]


def test_the_cells_cost_three_queries_and_are_bounded(admin_client: Client) -> None:
    ids = [str(Import.enqueue(str(number)).pk) for number in range(105)]
    with CaptureQueriesContext(connection) as captured:
        found = admin_client.get(f"{LIST}live/?ids={','.join(ids)}").json()["rows"]
    assert len(captured) == 3
    assert len(found) == 100


@pytest.mark.parametrize("ids", ["", "x", "1,2", "00000000-0000-0000-0000-000000000000", "'--"])
def test_ids_that_are_none_give_no_cells(admin_client: Client, ids: str) -> None:
    states.running()
    assert admin_client.get(f"{LIST}live/", {"ids": ids}).json() == {"rows": {}}
