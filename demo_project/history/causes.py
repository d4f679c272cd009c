"""Real errors of the shop's jobs, each with the traceback that it really had."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from continuations.errors import class_of, text_of, traceback_of

from . import jobs

# What goes wrong in each class.
CAUSES: dict[type[jobs.ShopJob], Callable[[], Any]] = {
    jobs.ImportOrders: lambda: jobs.ImportOrders().handle(jobs.orders(jobs.BROKEN_ORDER)[-1]),
    jobs.SyncCatalogue: lambda: jobs.fetch(jobs.PAGES, "page-last"),
    jobs.ArchiveAccounts: lambda: jobs.ArchiveAccounts().source(1000).after(7),
    jobs.RemindCustomer: lambda: jobs.RemindCustomer().perform(1_213),
    jobs.SendInvoices: lambda: dt.date(2026, 2, 30),
    jobs.NightlyReport: lambda: dt.date(2026, 11, 31),
    jobs.ApproveBudget: lambda: Decimal("12,50"),
}


@dataclass(frozen=True)
class Cause:
    """An error as a continuation keeps it."""

    error_class: str
    message: str
    traceback: str


def cause_of(job: type[jobs.ShopJob]) -> Cause:
    """What goes wrong in this class, made to go wrong now."""
    try:
        CAUSES[job]()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return Cause(class_of(error), text_of(error), traceback_of(error))
    raise AssertionError(f"nothing goes wrong in {job.__name__}")
