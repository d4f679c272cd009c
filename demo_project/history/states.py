"""One continuation in each state that the admin shows, made by running the shop's jobs for real, here and now.

Recovery must neither run nor end them behind the visitor's back. Those that are paused, wait for something or have
ended it leaves alone; what is queued goes to a queue without a worker; and the one that looks as if it ran belongs to
an execution on another machine, of whose death there is no proof.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from typing import TYPE_CHECKING

from django.conf import settings
from django.test.utils import override_settings

from continuations.models import Continuation, Execution
from continuations.testing import crash_during, interrupt_during, run_until_finished

from .jobs import (
    ApproveBudget,
    ArchiveAccounts,
    CloseBranch,
    CloseMonth,
    ImportOrders,
    NightlyReport,
    RemindCustomer,
    SendInvoices,
    ShopJob,
    SyncCatalogue,
)
from .moments import move

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "sk-4f7c-9a2e-hunter22"
HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)


def failed() -> Continuation:
    """At an order without an article, with a real traceback and a token among its arguments."""
    row = once(ImportOrders.enqueue("orders-2026-11.csv", token=TOKEN))
    return moved(row, ago=40 * MINUTE, lasted=4 * MINUTE)


def succeeded() -> Continuation:
    """After three executions."""
    row = SendInvoices.enqueue(dt.date(2026, 9, 1))
    for cursor in (310, 720):
        with interrupt_during(SendInvoices, "send", cursor, reason="stopping"):
            once(row)
    return moved(once(row), ago=26 * HOUR, lasted=9 * MINUTE)


def cancelled() -> Continuation:
    """By a person who had started it with the wrong file."""
    row = interrupted_at(ImportOrders.enqueue("orders-2025-11.csv", token=TOKEN), "load", 2_100)
    row.cancel(by="ben", reason="the file of last year")
    # RQ has never heard of it, so there is no end to be told of.
    Continuation.objects.filter(pk=row.pk).update(anchor_open=False, check_after=None)
    return moved(row, ago=5 * HOUR, lasted=2 * MINUTE)


def paused() -> Continuation:
    """At 43 %, by a person."""
    row = interrupted_at(SendInvoices.enqueue(dt.date(2026, 10, 1)), "send", 430)
    row.pause(by="ana", reason="the letterhead has changed")
    return moved(row, ago=2 * HOUR, lasted=6 * MINUTE)


def of_unknown_size() -> Continuation:
    """Nobody knows how many pages there are."""
    row = interrupted_at(SyncCatalogue.enqueue("Miller & Sons"), "pull", SyncCatalogue.cursor_after(23))
    row.pause(by="ana", reason="their server is slow today")
    return moved(row, ago=90 * MINUTE, lasted=3 * MINUTE)


def nested() -> Continuation:
    """Its cursor is an account and a record in it."""
    row = interrupted_at(ArchiveAccounts.enqueue(2024), "archive", ArchiveAccounts.cursor_after(638))
    row.pause(by="ben", reason="until the auditors have gone")
    return moved(row, ago=3 * HOUR, lasted=14 * MINUTE)


def stalled() -> Continuation:
    """It runs on a machine that gives no sign of life. Nothing proves its death here, so nobody takes it over."""
    row = ArchiveAccounts.enqueue(2023)
    with crash_during(ArchiveAccounts, "archive", ArchiveAccounts.cursor_after(210)):
        once(row)
    Execution.objects.filter(continuation=row).update(worker="worker-7", host="web-7", pid=None, boot="")
    return moved(row, ago=34 * MINUTE, lasted=9 * MINUTE)


def unheard() -> Continuation:
    """On a queue that no worker listens on."""
    return moved(NightlyReport.enqueue(dt.date(2026, 11, 26)), ago=25 * MINUTE, lasted=0 * MINUTE)


def waiting() -> Continuation:
    """For a person to approve it."""
    return moved(once(ApproveBudget.enqueue(48_000)), ago=20 * HOUR, lasted=1 * MINUTE)


def discarded() -> Continuation:
    """There was nothing left to do."""
    return moved(once(RemindCustomer.enqueue(1_213)), ago=70 * MINUTE, lasted=1 * MINUTE)


def parent() -> Continuation:
    """Of three children: one has succeeded, one has failed, and one is paused, so that it goes on waiting."""
    row = once(CloseMonth.enqueue(["Lisbon", "Atlantis", "Oslo"]))
    lisbon, atlantis, oslo = row.children.order_by("created_at", "pk")
    once(lisbon)
    once(atlantis)
    with interrupt_during(CloseBranch, "close", 20):
        once(oslo)
    oslo.pause(by="ana", reason="a cheque is missing")
    for child in (lisbon, atlantis, oslo):
        move(child, ago=299 * MINUTE, lasted=3 * MINUTE)
    return moved(row, ago=300 * MINUTE, lasted=1 * MINUTE)


# Oldest last: the list shows the newest first, and each moment is moved back on its own.
STATES: tuple[Callable[[], Continuation], ...] = (
    succeeded,
    waiting,
    cancelled,
    parent,
    nested,
    paused,
    of_unknown_size,
    discarded,
    failed,
    stalled,
    unheard,
)


def make_states() -> list[Continuation]:
    """Make them all. Nothing touches Redis, and nothing is logged."""
    with _in_memory(), _at_once(), _quietly():
        return [make() for make in STATES]


def once(row: Continuation) -> Continuation:
    """One execution of it, whatever becomes of it."""
    # It complains of what has failed, and of what has not ended after that one.
    with contextlib.suppress(Exception):
        run_until_finished(row, max_executions=1)
    row.refresh_from_db()
    return row


def interrupted_at(row: Continuation, step: str, cursor: object) -> Continuation:
    """One execution of it, up to this cursor."""
    with interrupt_during(ShopJob, step, cursor, reason="stopping"):
        return once(row)


def moved(row: Continuation, *, ago: dt.timedelta, lasted: dt.timedelta) -> Continuation:
    """It, moved into the past."""
    move(row, ago=ago, lasted=lasted)
    return row


@contextlib.contextmanager
def _in_memory() -> Iterator[None]:
    given = {**getattr(settings, "CONTINUATIONS", {}), "DELIVERY": "continuations.testing.MemoryDelivery"}
    with override_settings(CONTINUATIONS=given):
        yield


@contextlib.contextmanager
def _at_once() -> Iterator[None]:
    was, ShopJob.pace = ShopJob.pace, 0.0
    try:
        yield
    finally:
        ShopJob.pace = was


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    logger = logging.getLogger("continuations")
    was, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was
