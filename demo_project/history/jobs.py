"""The jobs of a made-up shop, of which the history is full. They only count, but they run: a visitor may retry them."""

from __future__ import annotations

import datetime as dt
import time
from functools import partial
from typing import Any, ClassVar

from continuations import ContinuableJob, Step, discard_on
from continuations.sources import nested, pages

# The line of an order without an article, in the middle of its file.
BROKEN_ORDER = 6_754
# Accounts, and records of each, that `ArchiveAccounts` walks through.
ACCOUNTS, RECORDS = 40, 25
# Pages that the supplier has, which is not known before the last one.
PAGES = 60
# A queue that none of the demo's workers listens on.
UNHEARD_QUEUE = "nightly"


class ShopJob(ContinuableJob):
    """Counts through its steps, as many items in each as `plan` says; 0: the step has no cursor."""

    plan: ClassVar[dict[str, int]]
    # An event that it waits for before the first of them.
    waits_for: ClassVar[str] = ""
    # Whether anybody knows how many items there are before the last one.
    is_sized: ClassVar[bool] = True
    # Seconds for one item.
    pace: ClassVar[float] = 0.002
    resume_errors_after_advancing = False

    def work_through(self) -> None:
        for name, items in self.plan.items():
            self.step(name, partial(self.count, items) if items else nothing)

    def count(self, items: int, step: Step) -> None:
        step.progress(total=items if self.is_sized else None)
        for item in step.iterate(self.source(items)):
            time.sleep(self.pace)
            self.handle(item)

    def source(self, items: int) -> Any:
        """What a step of so many items walks."""
        return range(items)

    @classmethod
    def cursor_after(cls, done: int) -> Any:
        """The cursor of that source after so many items."""
        return done

    def handle(self, item: Any) -> None:
        """The work on one item, of which there is none here."""


class ImportOrders(ShopJob):
    """Reads a file of orders from a supplier's server, for which it needs a token that nobody should read."""

    queue_name = "imports"
    sensitive = ("token",)
    plan = {"check": 0, "load": 10_000, "publish": 0}

    def perform(self, file: str, token: str) -> None:
        self.token = token
        self.work_through()

    def source(self, items: int) -> Any:
        return orders(items)

    def handle(self, item: dict[str, Any]) -> None:
        self.article = item["sku"]


class SendInvoices(ShopJob):
    """Sends the invoices of a month."""

    plan = {"collect": 0, "send": 1_000, "report": 0}

    def perform(self, month: dt.date) -> None:
        self.work_through()


class SyncCatalogue(ShopJob):
    """Pulls a supplier's catalogue page by page: nobody knows how many there are."""

    is_sized = False
    plan = {"pull": PAGES}

    def perform(self, supplier: str) -> None:
        self.work_through()

    def source(self, items: int) -> Any:
        return pages(partial(fetch, items))

    @classmethod
    def cursor_after(cls, done: int) -> tuple[str]:
        return (f"page-{done + 1}",)


class ArchiveAccounts(ShopJob):
    """Archives the records of each account: its cursor is a tuple."""

    # Each record is remembered at once, so that a crash shows where it was.
    checkpoint_interval = 0
    plan = {"archive": ACCOUNTS * RECORDS}

    def perform(self, year: int) -> None:
        self.work_through()

    def source(self, items: int) -> Any:
        return nested(range(items // RECORDS), lambda account: range(RECORDS))

    @classmethod
    def cursor_after(cls, done: int) -> tuple[Any, ...]:
        account, record = divmod(done - 1, RECORDS)
        return (account or None, (account + 1, record + 1))


class NightlyReport(ShopJob):
    """Waits on a queue that nobody listens on until somebody starts a worker for it."""

    queue_name = UNHEARD_QUEUE
    plan = {"collect": 500, "write": 0}

    def perform(self, day: dt.date) -> None:
        self.work_through()


@discard_on(LookupError)
class RemindCustomer(ShopJob):
    """Writes to one customer, who may be gone."""

    plan = {"write": 0}

    def perform(self, customer: int) -> None:
        if customer % 50 == 13:
            raise LookupError(f"there is no customer {customer} any more")
        self.work_through()


class ApproveBudget(ShopJob):
    """Waits for a person."""

    waits_for = "approved"
    plan = {"book": 0}

    def perform(self, amount: int) -> Any:
        answer = self.wait_for(self.waits_for)
        self.work_through()
        return answer


class CloseMonth(ContinuableJob):
    """Lets each branch close its books, and waits for all of them."""

    def perform(self, branches: list[str]) -> None:
        self.branches = branches
        self.step(self.spawn)
        self.wait_for_children()

    def spawn(self) -> None:
        for branch in self.branches:
            CloseBranch.enqueue(branch)


class CloseBranch(ShopJob):
    """Closes the books of one branch, unless they were lost."""

    plan = {"close": 50}

    def perform(self, branch: str) -> str:
        if branch == "Atlantis":
            raise FileNotFoundError(f"The books of {branch} are under water.")
        self.work_through()
        return f"{branch} is closed"


def nothing() -> None:
    """A step without items."""


def orders(count: int) -> list[dict[str, Any]]:
    """Orders of a file, one of which has no article."""
    lines = range(1, count + 1)
    return [{"line": line} if line == BROKEN_ORDER else {"line": line, "sku": f"A-{line:05}"} for line in lines]


def fetch(count: int, token: str | None) -> tuple[list[int], str | None]:
    """A page, and the token of the next one."""
    number = int(token.removeprefix("page-")) if token else 1
    return list(range(20)), f"page-{number + 1}" if number < count else None


def all_jobs() -> list[type[ContinuableJob]]:
    """Every class of the shop."""
    return [CloseMonth, *ShopJob.__subclasses__()]
