"""O5, O6, F2: verbs, events and ends that meet an execution on its way out. Real connections, held at the worst moment.

Each race is run in its orders: one comes before the row is locked; or while the other has it locked, has looked, and
is about to write what it decided. And at two isolation levels: a project may keep its transactions to snapshots.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from continuations import BusyError, ContinuableJob, Step, TransitionError
from continuations.claim import Refusal
from continuations.family import wake_parent
from continuations.models import Continuation
from continuations.testing import interrupt_during, stopping_when
from tests.others import LOCKS, WRITES, AboutToEnd, Other, ending, run
from tests.shapes import Bench
from tests.shop.models import Applied
from tests.test_control import make_old

pytestmark = pytest.mark.django_db(transaction=True)


# As psycopg counts them; MySQL takes the words.
LEVELS = {"read committed": 2, "repeatable read": 3}


@pytest.fixture(autouse=True, params=["the only one"] if connection.vendor == "sqlite" else LEVELS)
def _isolation(request: pytest.FixtureRequest) -> Iterator[None]:
    """The level of `DATABASES`, for all threads."""
    if connection.vendor == "sqlite":
        yield
        return
    options = connection.settings_dict["OPTIONS"]
    before = dict(options)
    options["isolation_level"] = LEVELS[request.param] if connection.vendor == "postgresql" else request.param
    connection.close()
    yield
    options.clear()
    options.update(before)
    connection.close()


class Walk(ContinuableJob):
    checkpoint_interval = 0

    def perform(self) -> str:
        self.step(self.walk)
        return "done"

    def walk(self, step: Step) -> None:
        for _ in step.iterate([1, 2, 3]):
            pass


class Followed(Walk):
    """Ends under the row's lock, which a plain success does not need."""

    def on_success(self) -> None:
        """Does nothing."""


class Approve(ContinuableJob):
    def perform(self, timeout: float | None = None) -> Any:
        return self.wait_for("approval", timeout=timeout)


class Parent(ContinuableJob):
    def perform(self, n: int) -> list[str]:
        self.step("fan_out", lambda: [Child.enqueue() for _ in range(n)] and None, atomic=True)
        return [child.status for child in self.wait_for_children()]


class Child(ContinuableJob):
    def perform(self) -> None:
        pass


def fresh(continuation: Continuation) -> Continuation:
    return Continuation.objects.get(pk=continuation.pk)


def call(verb: str, continuation: Continuation) -> None:
    getattr(fresh(continuation), verb)()


# How a child's end asks for its parent's row, and how it puts the parent back on its queue.
TELLS = "SKIP LOCKED|^BEGIN"
WAKES = WRITES + ".*waiting_for"


def needs_row_locks() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time, and no rows to lock")


# A request and the end


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_success_beats_a_request_made_after_the_last_item(verb: str) -> None:
    """O5"""
    continuation = Walk.enqueue()
    outcome = run(continuation, AboutToEnd(lambda: call(verb, continuation)))
    assert outcome.status == "succeeded"
    assert (fresh(continuation).status, fresh(continuation).result) == ("succeeded", "done")


@pytest.mark.parametrize("kind", [Walk, Followed])
@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_success_beats_a_request_that_is_just_being_written(verb: str, kind: type[Walk]) -> None:
    """O5: the end waits for the row, and is a success all the same."""
    continuation = kind.enqueue()
    person = Other(lambda: call(verb, continuation), until=WRITES)
    with ending(continuation, until=LOCKS, stop=False, first=person.start):
        assert fresh(continuation).status == "running"
        person.join()
    assert fresh(continuation).status == "succeeded"


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_a_request_made_while_a_success_is_written_is_refused(verb: str) -> None:
    """O5: it waits a moment for the row, and finds the end."""
    continuation = Followed.enqueue()
    with (
        ending(continuation, until=WRITES) as execution,
        pytest.raises(TransitionError, match=f"is succeeded: cannot {verb}"),
        Other(lambda: call(verb, continuation), until=LOCKS, stop=False),
    ):
        execution.join()
    assert fresh(continuation).status == "succeeded"


# A request and an interruption

REQUESTS = [("pause", "paused"), ("cancel", "cancelled")]


@pytest.mark.parametrize(("verb", "fact"), REQUESTS)
def test_a_request_made_after_an_interruption_is_heeded(verb: str, fact: str) -> None:
    """O5"""
    continuation = Walk.enqueue()
    with interrupt_during(Walk, "walk", 1):
        outcome = run(continuation, AboutToEnd(lambda: call(verb, continuation)))
    assert (outcome.status, fresh(continuation).status, fresh(continuation).owner) == (fact, fact, None)


@pytest.mark.parametrize(("verb", "fact"), REQUESTS)
def test_a_request_that_is_just_being_written_as_an_interruption_ends_is_heeded(verb: str, fact: str) -> None:
    """O5: decided before the lock, it would have gone back to its queue."""
    continuation = Walk.enqueue()
    person = Other(lambda: call(verb, continuation), until=WRITES)
    with (
        interrupt_during(Walk, "walk", 1),
        ending(continuation, until=LOCKS, stop=False, first=person.start) as execution,
    ):
        assert fresh(continuation).status == "running"
        person.join()
        assert execution.join().status == fact
    assert (fresh(continuation).status, fresh(continuation).owner) == (fact, None)


@pytest.mark.parametrize(("verb", "fact"), REQUESTS)
def test_a_request_made_while_an_interruption_is_written_is_a_fact_at_once(verb: str, fact: str) -> None:
    """O5: nobody runs any more."""
    continuation = Walk.enqueue()
    with (
        interrupt_during(Walk, "walk", 1),
        ending(continuation, until=WRITES) as execution,
        Other(lambda: call(verb, continuation), until=LOCKS, stop=False),
    ):
        assert execution.join().status == "interrupted"
    assert (fresh(continuation).status, fresh(continuation).owner) == (fact, None)


def asks_to_pause(job: Any) -> str | None:
    """Let somebody ask for a pause at the first checkpoint, for which the execution then leaves."""
    call("pause", job.continuation)
    return "paused"


def test_a_request_that_is_taken_back_while_its_execution_leaves_goes_on() -> None:
    """O5: the execution had left for the pause, and finds that nobody wants it any more."""
    continuation = Walk.enqueue()
    with stopping_when(asks_to_pause):
        outcome = run(continuation, AboutToEnd(lambda: call("resume", continuation)))
    # Its own delivery goes on.
    assert (outcome.status, outcome.moved_on, outcome.wait) == ("interrupted", False, 0)
    assert fresh(continuation).status == "interrupted"
    assert run(continuation).status == "succeeded"


def test_a_request_that_is_just_being_taken_back_as_its_execution_leaves_goes_on() -> None:
    """O5"""
    continuation = Walk.enqueue()
    person = Other(lambda: call("resume", continuation), until=WRITES)
    with (
        stopping_when(asks_to_pause),
        ending(continuation, until=LOCKS, stop=False, first=person.start) as execution,
    ):
        assert fresh(continuation).status == "pausing"
        person.join()
        assert (execution.join().status, execution.join().moved_on) == ("interrupted", False)
    assert run(continuation).status == "succeeded"


def test_resuming_while_the_pause_is_written_goes_on_under_the_next_number() -> None:
    """O5, W6: the old delivery lies down."""
    continuation = Walk.enqueue()
    with (
        stopping_when(asks_to_pause),
        ending(continuation, until=WRITES) as execution,
        Other(lambda: call("resume", continuation), until=LOCKS, stop=False),
    ):
        assert execution.join().status == "paused"
    assert (fresh(continuation).status, fresh(continuation).delivery) == ("enqueued", 1)
    assert run(continuation).status == "succeeded"


# A request and a claim


@pytest.mark.parametrize(("verb", "fact"), REQUESTS)
def test_what_is_just_being_stopped_is_not_claimed(verb: str, fact: str) -> None:
    """O1: the claim is conditional."""
    continuation = Walk.enqueue()
    with (
        Other(lambda: call(verb, continuation), until=WRITES) as person,
        Other(lambda: run(continuation), until=rf"{LOCKS}|{WRITES}", stop=False) as worker,
    ):
        person.join()
    assert worker.join().refusal is (Refusal.STALE if verb == "pause" else Refusal.ENDED)
    assert (fresh(continuation).status, fresh(continuation).executions) == (fact, 0)


@pytest.mark.parametrize(("verb", "fact"), REQUESTS)
def test_a_request_made_while_a_claim_is_written_reaches_the_execution(verb: str, fact: str) -> None:
    """O5: it asks whoever has claimed it meanwhile."""
    continuation = Walk.enqueue()
    with stopping_when(lambda job: "stopping"):
        assert run(continuation).status == "interrupted"
    place = Bench()
    place.comes_again = True
    # The row was locked by its update; the execution is written next.
    with Other(lambda: run(continuation, place), until="^INSERT INTO .continuations_execution.") as worker:
        person = Other(lambda: call(verb, continuation), until=LOCKS, stop=False)
        person.start()
        # No further than the end of its claim, before the person has asked.
        with stopping_when(lambda job: person.join()):
            worker.join()
    assert (fresh(continuation).status, fresh(continuation).executions) == (fact, 2)


# Events and parking


def test_an_event_sent_before_a_job_parks_is_not_lost() -> None:
    """F2: it had looked, and looks again under the row's lock."""
    continuation = Approve.enqueue()
    outcome = run(continuation, AboutToEnd(lambda: fresh(continuation).send("approval", 5)))
    # It does not park, and its own delivery goes on.
    assert (outcome.status, outcome.moved_on) == ("interrupted", False)
    assert run(continuation).status == "succeeded"
    assert fresh(continuation).result == 5


def test_an_event_that_is_just_being_sent_as_a_job_parks_is_not_lost() -> None:
    """F2 [tried]: the sender has seen that nobody waits. Looking before locking, nobody would have seen the event."""
    continuation = Approve.enqueue()
    # The event is written, and not committed.
    sender = Other(lambda: send_slowly(continuation), until="shop_applied")
    with ending(continuation, until=LOCKS, stop=False, first=sender.start) as execution:
        sender.join()
        assert execution.join().status == "interrupted"
    assert run(continuation).status == "succeeded"
    assert fresh(continuation).result == 5


def send_slowly(continuation: Continuation) -> None:
    """In a transaction that does something else before it commits, as a view's does."""
    with transaction.atomic():
        fresh(continuation).send("approval", 5)
        Applied.objects.create(item="else")


def test_an_event_sent_while_a_job_parks_wakes_it() -> None:
    """F2 [tried]: the job has looked and found nothing. Looking before locking, the sender would see that it runs."""
    continuation = Approve.enqueue()
    with (
        ending(continuation, until=WRITES) as execution,
        Other(lambda: fresh(continuation).send("approval", 5), until=LOCKS, stop=False),
    ):
        assert execution.join().status == "waiting"
    assert fresh(continuation).status == "enqueued"
    assert run(continuation).status == "succeeded"
    assert fresh(continuation).result == 5


def test_two_senders_at_once_wake_it_once_and_the_first_wins() -> None:
    """F2"""
    continuation = Approve.enqueue()
    run(continuation)
    delivery = fresh(continuation).delivery
    with (
        Other(lambda: fresh(continuation).send("approval", 1), until=WRITES) as first,
        Other(lambda: fresh(continuation).send("approval", 2), until=LOCKS, stop=False) as second,
    ):
        first.join()
    assert first.join() == second.join()
    assert fresh(continuation).delivery == delivery + 1
    run(continuation)
    assert fresh(continuation).result == 1


def test_an_event_that_is_just_being_sent_as_the_time_is_up_counts_or_comes_too_late() -> None:
    """F2: the claim that finds the time up and the sender that finds it waiting: one of them comes first."""
    continuation = Approve.enqueue(60)
    run(continuation)
    delivery = fresh(continuation).delivery
    with (
        Other(lambda: fresh(continuation).send("approval", 5), until=WRITES) as sender,
        Other(lambda: run(continuation), until=rf"{LOCKS}|{WRITES}", stop=False) as worker,
    ):
        sender.join()
    # What was due has been woken under the next number; the old delivery is stale.
    assert worker.join().refusal is Refusal.STALE
    assert fresh(continuation).delivery == delivery + 1
    run(continuation)
    assert fresh(continuation).result == 5


# Children and their parent


def family(n: int) -> tuple[Continuation, list[Continuation]]:
    """A parent that has fanned out and been interrupted, and its children."""
    parent = Parent.enqueue(n)
    with stopping_when(lambda job: isinstance(job, Parent)):
        run(parent)
    assert fresh(parent).status == "interrupted"
    return parent, list(parent.children.order_by("created_at", "pk"))


def test_a_child_that_ends_before_its_parent_parks_does_not_let_it_park() -> None:
    """F2"""
    parent, (child,) = family(1)
    outcome = run(parent, AboutToEnd(lambda: run(child)))
    assert (outcome.status, outcome.moved_on) == ("interrupted", False)
    assert run(parent).status == "succeeded"
    assert fresh(parent).result == ["succeeded"]


def test_a_child_that_ends_while_its_parent_parks_wakes_it() -> None:
    """F2 [tried]: the parent has looked and seen that it runs. Looking before locking, it would see the same of it."""
    needs_row_locks()
    parent, (child,) = family(1)
    with ending(parent, until=WRITES) as execution, ending(child, until=TELLS, stop=False):
        assert execution.join().status == "waiting"
    assert fresh(parent).status == "enqueued"
    assert run(parent).status == "succeeded"
    assert fresh(parent).result == ["succeeded"]


def test_two_children_that_end_at_once_wake_their_parent() -> None:
    """F2: each sees the other run; only once both have committed does one of them see that all have ended."""
    parent, (first, second) = family(2)
    assert run(parent).status == "waiting"
    delivery = fresh(parent).delivery
    with ending(first, until=WRITES) as execution:
        if connection.vendor != "sqlite":
            # There the second cannot end before the first.
            run(second)
            assert fresh(parent).status == "waiting"
        execution.join()
    if connection.vendor == "sqlite":
        run(second)
    assert (fresh(parent).status, fresh(parent).delivery) == ("enqueued", delivery + 1)


def test_two_children_that_tell_their_parent_at_once_wake_it_once() -> None:
    """F2"""
    parent, (first, second) = family(2)
    assert run(parent).status == "waiting"
    delivery = fresh(parent).delivery
    run(first)
    with (
        ending(second, until=WAKES) as execution,
        Other(lambda: wake_parent(Continuation, "default", parent.pk), until=LOCKS, stop=False) as other,
    ):
        execution.join()
    assert not other.join()
    assert (fresh(parent).status, fresh(parent).delivery) == ("enqueued", delivery + 1)
    assert run(parent).status == "succeeded"


def test_a_parent_that_is_cancelled_while_its_child_ends_is_cancelled_and_woken_by_nobody() -> None:
    parent, (child,) = family(1)
    assert run(parent).status == "waiting"
    with ending(child, until=TELLS, stop=True) as execution:
        if connection.vendor != "sqlite":
            call("cancel", parent)
        execution.join()
    if connection.vendor == "sqlite":
        call("cancel", parent)
    assert fresh(parent).status == "cancelled"
    assert fresh(child).status == "succeeded"


# Open blocks


class Holds(ContinuableJob):
    """Work in a transaction in which the cursor has been written already, or has not yet."""

    checkpoint_interval = 0

    def perform(self, kind: str) -> None:
        self.step(self.own if kind == "own" else self.plain, start=0)

    def own(self, step: Step) -> None:
        with step.atomic():
            Applied.objects.create(item="work")
            step.advance()

    def plain(self, step: Step) -> None:
        with transaction.atomic():
            step.advance()
            Applied.objects.create(item="work")
        step.checkpoint()


HELD = "INSERT INTO .shop_applied."


@pytest.mark.parametrize(("verb", "fact"), REQUESTS)
@pytest.mark.parametrize("kind", ["own", "plain"])
def test_verbs_do_not_wait_for_an_open_block(kind: str, verb: str, fact: str) -> None:
    """O6: the block holds the step, not the continuation."""
    needs_row_locks()
    continuation = Holds.enqueue(kind)
    with Other(lambda: run(continuation), until=HELD):
        fresh(continuation).send("approval", 5)
        call(verb, continuation)
        assert fresh(continuation).status in {"pausing", "cancelling"}
        if kind == "plain":
            # It is written in the block, and nobody sees it yet.
            assert continuation.steps.get().cursor == 0
    assert Applied.objects.count() == 1
    assert fresh(continuation).status == fact
    assert continuation.steps.get().cursor == 1


@pytest.mark.parametrize("verb", ["pause", "cancel"])
def test_what_an_open_block_holds_cannot_be_forced(verb: str) -> None:
    """O6: what the block does would commit with a cursor that nobody owns."""
    needs_row_locks()
    continuation = Holds.enqueue("plain")
    with Other(lambda: run(continuation), until=HELD):
        call(verb, continuation)
        make_old(continuation)
        before = Continuation.objects.values().get()
        with pytest.raises(BusyError, match="is in a transaction just now; try again"):
            getattr(fresh(continuation), verb)(force=True)
        assert Continuation.objects.values().get() == before


@pytest.mark.parametrize(("verb", "fact"), REQUESTS)
def test_a_block_that_ends_after_it_was_forced_is_rolled_back(verb: str, fact: str) -> None:
    """O1, C6"""
    needs_row_locks()
    continuation = Holds.enqueue("own")
    with Other(lambda: run(continuation), until=HELD) as execution:
        call(verb, continuation)
        make_old(continuation)
        getattr(fresh(continuation), verb)(force=True)
        assert fresh(continuation).status == fact
        assert execution.join().refusal is Refusal.SUPERSEDED
    assert not Applied.objects.exists()
    assert (fresh(continuation).status, continuation.steps.get().cursor) == (fact, 0)


def test_what_somebody_else_keeps_locked_is_a_named_error_and_nothing_is_changed() -> None:
    """O6: a verb in a transaction that stays open, as a slow view's does."""
    needs_row_locks()
    other, continuation = Walk.enqueue(), Approve.enqueue()
    with (
        Other(lambda: send_slowly(continuation), until=HELD),
        pytest.raises(BusyError, match=f"{continuation.pk} is being changed by somebody else"),
    ):
        call("pause", continuation)
        done = Continuation.objects.all().pause()
        assert done.changed == [other]
        ((row, error),) = done.refused
        assert (row, type(error)) == (continuation, BusyError)
    assert fresh(continuation).status == "enqueued"
    call("pause", continuation)


def test_a_child_waits_a_moment_only_for_a_parent_that_somebody_keeps_locked() -> None:
    """O6: recovery wakes it then."""
    needs_row_locks()
    parent, (child,) = family(1)
    run(parent)
    Continuation.objects.filter(pk=child.pk).update(status="succeeded")
    with Other(lambda: send_slowly(parent), until=HELD):
        assert not wake_parent(Continuation, "default", parent.pk, patience=0.1)
    assert (fresh(parent).status, fresh(parent).check_after is None) == ("waiting", False)
    assert wake_parent(Continuation, "default", parent.pk)
