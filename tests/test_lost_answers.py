"""O2: connections that break while an answer is on its way, by a proxy in front of a real server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from django.db import OperationalError, connection, transaction

from continuations import ContinuableJob, Step, prepared
from continuations.execution import execute
from continuations.models import Continuation
from continuations.testing import run_until_finished
from continuations.workplace import Workplace
from tests.processes import Worker, database_url, eventually
from tests.proxy import PLAIN, Proxy, proxy_to_the_database, through
from tests.shapes import lose_connection
from tests.shop.jobs import Commits, note
from tests.shop.models import Applied

pytestmark = pytest.mark.django_db(transaction=True)

EXPECTED = ["atomic", "block 0", "block 1", "transaction 0", "transaction 1"]

# Commits, by what their transactions have sent.
COMMITS = {
    "the claim": rb"INSERT INTO .continuations_execution",
    "an atomic step": rb"'atomic'.*continuations_steprecord",
    "step.atomic()": rb"'block 1'.*continuations_steprecord",
    "transaction.atomic()": rb"'transaction 1'.*continuations_steprecord",
    "the outcome": rb"UPDATE .continuations_continuation.*'succeeded'",
}


@pytest.fixture
def proxy(transactional_db: None) -> Iterator[Proxy]:
    with proxy_to_the_database() as made:
        yield made


def items() -> list[str]:
    return list(Applied.objects.order_by("pk").values_list("item", flat=True))


def is_commit_of(kind: str, transaction: bytes) -> bool:
    # PostgreSQL commits a claim and a plain outcome in the statement that writes them.
    ends = rb".*(COMMIT|SELECT \* FROM changed)\0?$"
    return re.search(COMMITS[kind] + ends, transaction, re.DOTALL | re.IGNORECASE) is not None


def nth(index: int) -> Callable[[bytes], bool]:
    remaining = iter(range(index, -1, -1))
    return lambda transaction: next(remaining) == 0


def run(continuation: Continuation, proxy: Proxy) -> None:
    """Executions until it ends. Their owners live, so a claim that forgot that it has succeeded is refused here."""
    while not continuation.is_finished:
        # As the runner does: what was not claimed is delivered again.
        with through(proxy), suppress(OperationalError):
            outcome = execute(continuation.pk, continuation.delivery, Workplace())
            assert outcome.refusal is None
        continuation.refresh_from_db()


@pytest.mark.parametrize("reached", [True, False], ids=["the answer is lost", "the message is lost"])
@pytest.mark.parametrize("threshold", [prepared.THRESHOLD, 0], ids=["as it is", "prepared at once"])
def test_a_connection_that_is_cut_at_any_message_costs_nothing(
    proxy: Proxy, reached: bool, threshold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O2, §6: from connecting to the outcome's commit. Nothing is done twice, and it is nobody's failure."""
    monkeypatch.setattr(prepared, "THRESHOLD", threshold)
    met: list[bytes] = []
    while True:
        Applied.objects.all().delete()
        continuation = Commits.enqueue("a")
        proxy.cut(nth(len(met)), reached=reached)
        run(continuation, proxy)
        at = proxy.cuts[0][-200:] if proxy.cuts else b""
        assert items() == EXPECTED, at
        assert (continuation.status, continuation.result) == ("succeeded", "done"), at
        assert (continuation.crashes, continuation.counted_resumptions) == (0, 0), at
        *others, _ = continuation.execution_records.values_list("outcome", "reason", "error_class")
        assert {reason for _, reason, _ in others} <= {"database"}, at
        if not proxy.cuts:
            break
        met += proxy.cuts
    for kind in COMMITS if threshold else ():
        assert any(is_commit_of(kind, transaction) for transaction in met), kind


@pytest.mark.workers
@pytest.mark.parametrize("kind", COMMITS)
def test_a_worker_whose_connection_is_cut_as_it_commits_goes_on(
    proxy: Proxy, start_worker: Callable[..., Worker], kind: str
) -> None:
    """O2: in a real horse, which would leave without a word if it took itself for a duplicate."""
    proxy.cut(lambda transaction: is_commit_of(kind, transaction), reached=True)
    worker = start_worker("default", worker_class=None, environ={"DATABASE_URL": url_through(proxy)})
    continuation = Commits.enqueue("a")
    eventually(lambda: Continuation.objects.get().status == "succeeded", worker.output)
    assert len(proxy.cuts) == 1
    assert items() == EXPECTED
    continuation.refresh_from_db()
    assert (continuation.crashes, continuation.counted_resumptions) == (0, 0)
    assert "executed elsewhere" not in worker.output()


class LosesItsSession(ContinuableJob):
    """The server ends its session in the middle of a transaction of its own, before it has achieved anything."""

    ended: list[int] = []

    def perform(self) -> None:
        self.step(self.fill, start=0)

    def fill(self, step: Step) -> None:
        while step.cursor < 2:
            with transaction.atomic():
                if not self.ended:
                    self.ended.append(1)
                    with suppress(OperationalError):
                        lose_connection()
                note("a", step.cursor)
                step.advance()


def test_a_session_that_the_server_ends_in_a_transaction_is_no_failure_of_the_job(transactional_db: None) -> None:
    """§6: another one is there at once, so that nothing is away when the error arrives."""
    LosesItsSession.ended.clear()
    continuation = LosesItsSession.enqueue()
    assert execute(continuation.pk, 0, Workplace()).status == "waiting"
    continuation.refresh_from_db()
    assert continuation.reason == "database"
    run_until_finished(continuation)
    assert items() == ["0", "1"]
    assert (continuation.errors, continuation.counted_resumptions) == (0, 0)


def url_through(proxy: Proxy) -> str:
    options = "&".join(f"{name}={value}" for name, value in PLAIN[connection.vendor].items())
    return re.sub(r"@([^/:]+)(:\d+)?/", f"@127.0.0.1:{proxy.port}/", database_url()) + f"?{options}"
