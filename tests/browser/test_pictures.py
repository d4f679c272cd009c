"""The pictures of docs/admin.md, `make browser PICTURES=1`: of pages with a past, as an operator sees them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from continuations.models import Continuation, Execution, StepRecord
from continuations.testing import crash_during, interrupt_during
from tests.admin import states
from tests.admin.jobs import Broken, Import, Parent
from tests.admin.pages import LIST, act, address, call

from .conftest import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

Open = Callable[..., Any]

ROWS = 100_000
# Cursors at which an execution ended: a deploy, a crash, another deploy.
STOPS = [0, 31_400, 41_200, 58_213]
# Seconds that each of those executions ran, and that it had waited before.
RAN = [22, 14, 41]
WAITED = [1, 19, 3]


@pytest.fixture(autouse=True)
def _a_worker_listens_on_one_queue(redis_url: str, worker_on: Callable[..., None], settings: Any) -> None:
    settings.CONTINUATIONS = {"DELIVERY": "continuations.testing.MemoryDelivery"}
    worker_on("default")


def aged(row: Continuation, age: dt.timedelta) -> Continuation:
    """As if it had been an import of a hundred thousand rows, and that long ago."""
    begin = timezone.now() - age
    executions = list(Execution.objects.filter(continuation=row).order_by("number"))
    moment = begin
    for execution, ran, waited, (came, went) in zip(executions, RAN, WAITED, pairwise(STOPS), strict=False):
        execution.started_at = moment + dt.timedelta(seconds=waited)
        moment = execution.started_at + dt.timedelta(seconds=ran)
        execution.finished_at = moment if execution.finished_at else None
        execution.cursor_before_json = str(came) if came else None
        execution.cursor_after_json = str(went)
        execution.step = "load"
        execution.worker, execution.host, execution.pid = f"web-{execution.number}", "vm1", 4100 + execution.number
        execution.save()
    last = STOPS[len(executions)]
    steps = StepRecord.objects.filter(continuation=row)
    steps.update(started_at=executions[0].started_at, finished_at=executions[0].started_at + dt.timedelta(seconds=1))
    steps.filter(name="load").update(
        started_at=executions[0].started_at + dt.timedelta(seconds=1),
        finished_at=None,
        heartbeat_at=timezone.now(),
        processed=last,
        total=ROWS,
        cursor_json=str(last),
        busy_seconds=sum(RAN[: len(executions)]) - 1,
    )
    row.refresh_from_db()
    row.created_at, row.started_at = begin, executions[0].started_at
    if row.finished_at is not None:
        row.finished_at = moment
    row.save()
    return row


def running() -> Continuation:
    """A third execution, after a deploy and a time-out."""
    row = states.enqueued()
    for cursor, reason in ((3, "stopping"), (4, "timeout")):
        with interrupt_during(Import, "load", cursor, reason=reason):
            states.once(row)
    with crash_during(Import, "load", 6):
        states.once(row)
    return aged(row, dt.timedelta(seconds=sum(RAN) + sum(WAITED)))


def failed() -> Continuation:
    """With two others of its class before it."""
    for minutes, status in ((90, "failed"), (180, "succeeded")):
        at = timezone.now() - dt.timedelta(minutes=minutes)
        other = states.once(Broken.enqueue("hunter22"))
        Continuation.objects.filter(pk=other.pk).update(created_at=at, finished_at=at, status=status)
    row = states.once(Broken.enqueue("hunter22"))
    # Of a machine like yours, not of this one.
    for each in Continuation.objects.exclude(error_traceback=""):
        each.error_traceback = each.error_traceback.replace(f"{ROOT}/tests", "/srv/shop")
        each.save()
    return row


def parent() -> Continuation:
    row = states.once(Parent.enqueue(4))
    first, second, _, _ = Continuation.objects.filter(parent=row).order_by("created_at")
    states.once(first)
    with interrupt_during(Import, "load", 6, reason="stopping"):
        states.once(second)
    return row


def cursor_form(client: Any, row: Continuation) -> dict[str, Any]:
    form = client.get(address(row, "verb", "cursor")).context["form"]
    return {"step": form["step"].value(), "was": form["was"].value(), "cursor": "31500"}


def test_the_pictures_of_the_docs(opened: Open, picture: Any, client: Any) -> None:
    states.succeeded()
    rows = {"failed": failed(), "family": parent(), "waiting": states.waiting_for_event(), "deaf": states.deaf()}
    rows |= {"paused": aged(states.paused(), dt.timedelta(minutes=2)), "running": running()}
    Execution.objects.filter(worker="").update(worker="web-2", host="vm1", pid=4121)
    page = opened(LIST)
    call(client, rows["paused"], "resume", reason="the deploy is done")
    act(client, "pause_selected", rows["paused"], confirmed="yes", reason="wrong file")
    call(client, rows["paused"], "cursor", **cursor_form(client, rows["paused"]), reason="Ben: those rows are done")
    call(client, rows["paused"], "send", name="approved", payload='{"by": "Ben"}')
    page.goto(LIST)
    expect(page.get_by_role("button", name="Live updates")).to_be_visible()
    picture(page, "admin-list", highest=950)
    for name in ("running", "failed", "paused", "waiting", "family"):
        page.goto(address(rows[name]))
        picture(page, f"admin-{name}")
    for name, path in {
        "admin-cancel": address(rows["running"], "verb", "cancel"),
        "admin-force": address(rows["deaf"], "verb", "force-pause"),
        "admin-rerun": f"{address(rows['failed'], 'verb', 'rerun')}?step=load",
        "admin-cursor": address(rows["paused"], "verb", "cursor"),
        "admin-event": address(rows["waiting"], "verb", "send"),
        "admin-history": address(rows["paused"], "history"),
    }.items():
        page.goto(path)
        assert page.url.endswith(path)
        picture(page, name)
    page.goto(LIST)
    page.check("#action-toggle")
    page.select_option("select[name=action]", "cancel_selected")
    page.locator("button[name=index]").click()
    expect(page.get_by_role("heading", name="Cancel", level=1)).to_be_visible()
    picture(page, "admin-bulk")
    page.emulate_media(color_scheme="dark")
    for name in ("running", "failed"):
        page.goto(address(rows[name]))
        picture(page, f"admin-{name}-dark")
    expect(page.locator(".continuations-frames")).to_contain_text("/srv/shop/admin/jobs.py")
    expect(page.locator(".continuations-frames")).not_to_contain_text(str(ROOT))
