"""Any program, disturbed anywhere, in any order: what must be true of a continuation at every moment, and at its end.

A life delivers one continuation again and again. While an execution runs, and inside each of its statements, it
is stopped, fails, dies, loses its answers, is asked to pause or to be cancelled, or forced to, gets company by a
duplicate, or is replaced and goes on as a zombie. In between come stale deliveries, recovery, events, and people.
"""

from __future__ import annotations

import contextlib
import logging
import random
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import Error, OperationalError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuations import ContinuableJob, Step, Stop, TransitionError, attribute, attributes, discard_on, retry_on
from continuations.claim import Refusal
from continuations.delivery import queue_named
from continuations.ends import Outcome
from continuations.execution import execute
from continuations.models import Continuation, Execution
from continuations.patient import Patient
from continuations.servers import Servers
from continuations.sources import batches
from continuations.testing import stopping_when
from continuations.transitions import ARROWS, FINISHED, OWNED, Status
from tests.shapes import Bench, Death, lose_connection
from tests.shop.models import Applied
from tests.test_control import LEADS, make_old

pytestmark = pytest.mark.django_db(transaction=True)

# What each run did outside the database, in order.
did: dict[str, list[str]] = {}

Line = tuple[str, int]


class NotWanted(Exception):
    """What one of the jobs below discards."""


class Runs(ContinuableJob):
    """Does what its program says, one step a line.

    `once`: in a transaction with the cursor, exactly once. `again`: outside of the database, at least once.
    """

    max_crashes = 1000
    checkpoint_interval = 3600
    count = attribute(default=0)
    seen = attribute(default=list)

    def perform(self, run: str, program: list[Line]) -> list[Any]:
        self.run_name = run
        return [self.line(f"{index} {kind}", kind, size) for index, (kind, size) in enumerate(program)]

    def on_success(self, run: str, program: list[Line]) -> None:
        Follow.enqueue("success")
        Applied.objects.create(run=f"success {run}")

    def on_failure(self, error: Exception, run: str, program: list[Line]) -> None:
        Follow.enqueue("failure")
        Applied.objects.create(run=f"failure {run}")

    def line(self, name: str, kind: str, size: int) -> Any:
        if kind in RESTS:
            return RESTS[kind](self, name)
        body = KINDS[kind]
        if kind in {"atomic", "plain"}:
            return self.step(name, lambda: body(self, size), atomic=kind == "atomic")
        start = {"sets": 0, "transactions": 0, "collects": []}.get(kind)
        return self.step(name, lambda step: body(self, step, size), start=start, isolated=kind == "isolated")

    def once(self, item: object) -> None:
        Applied.objects.create(run=self.run_name, item=f"{self.current_step}: {item}")
        self.count += 1

    def again(self, item: object) -> None:
        did[self.run_name].append(f"{self.current_step}: {item}")

    def plain(self, size: int) -> int:
        self.again("only")
        return size

    def atomic(self, size: int) -> int:
        self.once("only")
        return self.count

    def blocks(self, step: Step, size: int) -> int:
        for item in step.iterate(range(size)):
            with step.atomic():
                self.once(item)
                self.seen.append(item)
        return size

    def lists(self, step: Step, size: int) -> int:
        for items in step.iterate(batches(range(2 * size), 2)):
            with step.atomic():
                for item in items:
                    self.once(item)
        return size

    def walks(self, step: Step, size: int) -> int:
        for item in step.iterate(list(range(size))):
            self.again(item)
        return size

    def sets(self, step: Step, size: int) -> Any:
        while step.cursor < size:
            self.again(step.cursor)
            step.set(step.cursor + 1)
        return step.cursor

    def collects(self, step: Step, size: int) -> Any:
        while len(step.cursor) < size:
            self.again(len(step.cursor))
            step.cursor.append(len(step.cursor))
            step.checkpoint()
        return step.cursor

    def transactions(self, step: Step, size: int) -> Any:
        while step.cursor < size:
            with transaction.atomic():
                self.once(step.cursor)
                step.advance()
            step.checkpoint()
        return step.cursor


KINDS: dict[str, Callable[..., Any]] = {
    "plain": Runs.plain,
    "atomic": Runs.atomic,
    "blocks": Runs.blocks,
    "lists": Runs.lists,
    "walks": Runs.walks,
    "isolated": Runs.blocks,
    "sets": Runs.sets,
    "collects": Runs.collects,
    "transactions": Runs.transactions,
}
# Those that wait: for an event, for one or for an hour, for an hour.
RESTS: dict[str, Callable[[Runs, str], Any]] = {
    "waits": lambda job, name: job.wait_for(name),
    "expects": lambda job, name: job.wait_for(name, timeout=3600, default="nothing"),
    "naps": lambda job, name: job.sleep(name, 3600),
}
# Those whose effects are in the database.
ONCE = {"atomic", "blocks", "lists", "isolated", "transactions"}


class Follow(ContinuableJob):
    def perform(self, what: str) -> None: ...


class WritesOften(Runs):
    checkpoint_interval = 0


@discard_on(NotWanted)
@retry_on(ConnectionError, wait=1, attempts=2)
class HasPolicies(WritesOften):
    pass


class Rests(WritesOften):
    resume_wait = 1
    resume_queue_name = "slow"
    on_limit = "pause"
    max_resumptions = 3


def effects_of(program: list[Line]) -> tuple[list[str], list[str]]:
    """What an undisturbed run does in the database, and outside."""
    once: list[str] = []
    again: list[str] = []
    for index, (kind, size) in enumerate(program):
        if kind in RESTS:
            continue
        number = {"lists": 2 * size, "atomic": 1, "plain": 1}.get(kind, size)
        items = ["only"] if kind in {"atomic", "plain"} else list(range(number))
        (once if kind in ONCE else again).extend(f"{index} {kind}: {item}" for item in items)
    return once, again


def results_of(program: list[Line]) -> list[list[Any]]:
    """What each line may give."""
    results: list[list[Any]] = []
    count = 0
    for index, (kind, size) in enumerate(program):
        if kind in ONCE:
            count += {"lists": 2 * size, "atomic": 1}.get(kind, size)
        event = f"first {index} {kind}"
        results.append(
            {
                "atomic": [count],
                "collects": [list(range(size))],
                "waits": [event],
                "expects": [event, "nothing"],
                "naps": [None],
            }.get(kind, [size])
        )
    return results


# What may come at a checkpoint, and what may happen in a statement of ours.
INTERRUPTIONS = {
    "stopping": "stopping",
    "timeout": "timeout",
    "own reason": "tea",
    "rest": Stop("throttled", wait=30),
}
ASKED = ("pause", "cancel", "take back", "force", "send")
AT_CHECKPOINTS = (*INTERRUPTIONS, "error", "unwanted", "death", *ASKED, "duplicate", "zombie")
IN_STATEMENTS = ("death", "no answer", "lost connection", "zombie")
MOMENTS = ("before", "after", "commit")

# How many to let pass before each.
AtCheckpoint = tuple[int, str]
InStatement = tuple[int, str, str]
Plan = tuple[list[AtCheckpoint], list[InStatement]]
NOTHING: Plan = ([], [])


# Drawn evenly: hypothesis by itself prefers what is small and what it has tried before. A seed replays a life.


def program_by(draw: random.Random) -> list[Line]:
    return [(draw.choice(sorted({**KINDS, **RESTS})), draw.randint(0, 3)) for _ in range(draw.randint(2, 6))]


def plan_by(draw: random.Random) -> Plan:
    checkpoints = [(draw.randint(0, 3), draw.choice(AT_CHECKPOINTS)) for _ in range(draw.randint(0, 4))]
    statements = [
        (draw.randint(0, 15), draw.choice(MOMENTS), draw.choice(IN_STATEMENTS)) for _ in range(draw.randint(0, 3))
    ]
    return checkpoints, statements


def events_by(draw: random.Random) -> list[Any]:
    """A plan is an execution; a number is a delivery that many numbers too old; the rest are words."""
    words = ["recover"] * 4 + ["go on"] * 4 + ["send"] * 4 + ["pause", "cancel", "take back", "force", 1, 2]
    return [plan_by(draw) if draw.random() < 0.7 else draw.choice(words) for _ in range(draw.randint(3, 15))]


class Disturbance:
    """One execution's share of trouble: what comes at its checkpoints, and in its statements, both counted."""

    def __init__(self, life: Life, bench: Bench, plan: Plan) -> None:
        self.life = life
        self.bench = bench
        self.checkpoints, self.statements = iter(plan[0]), iter(plan[1])
        self.at, self.kind = next(self.checkpoints, (-1, ""))
        self.gap, self.moment, self.fault = next(self.statements, (-1, "", ""))
        self.dead = False
        # While somebody else runs in our place.
        self.aside = False

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        with stopping_when(self.at_checkpoint), connection.execute_wrapper(self.in_statement):
            yield

    def at_checkpoint(self, job: Any) -> Any:
        if self.aside:
            return None
        kind, due = self.kind, self.at == 0
        self.at -= 1
        if not due:
            return None
        self.at, self.kind = next(self.checkpoints, (-1, ""))
        self.life.happened(f"{kind} at a checkpoint")
        if kind in INTERRUPTIONS:
            return INTERRUPTIONS[kind]
        if kind == "error":
            raise ConnectionError
        if kind == "unwanted":
            raise NotWanted
        if kind == "death":
            self.die()
        with self.stood_aside(), no_error_of_the_job():
            if kind in ASKED:
                self.life.ask(kind)
            elif kind == "duplicate":
                self.life.duplicate(self.bench)
            else:
                self.life.execute(({}, {}))
        return None

    def in_statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.aside:
            return execute(sql, params, many, context)
        if self.dead and not sql.startswith(("SAVEPOINT", "ROLLBACK", "RELEASE")):
            # The dead do not write.
            raise Death
        if "continuations_" not in sql:
            return execute(sql, params, many, context)
        moment, kind = (self.moment, self.fault) if self.gap == 0 else ("", "")
        self.gap -= 1
        if kind:
            self.gap, self.moment, self.fault = next(self.statements, (-1, "", ""))
        if kind == "zombie" and not connection.in_atomic_block:
            self.life.happened(f"zombie before {sql[:50]}")
            with self.stood_aside():
                self.life.execute(({}, {}))
        elif kind and kind != "zombie" and moment == "before":
            self.fail(kind, moment, sql)
        answer = execute(sql, params, many, context)
        if connection.in_atomic_block:
            transaction.on_commit(self.observe)
        else:
            self.observe()
        if kind and kind != "zombie" and moment != "before":
            if moment == "commit" and connection.in_atomic_block:
                transaction.on_commit(lambda: self.fail(kind, moment, sql))
            else:
                self.fail(kind, moment, sql)
        return answer

    def fail(self, kind: str, moment: str, sql: str) -> None:
        if not connection.in_atomic_block:
            self.observe()
        self.life.happened(f"{kind} {moment} {sql[:50]}")
        if kind == "death":
            self.die()
        if kind == "lost connection" and connection.vendor != "sqlite":
            lose_connection()
        raise OperationalError(kind)

    def die(self) -> None:
        self.dead = True
        raise Death

    def observe(self) -> None:
        with self.stood_aside():
            self.life.observe()

    @contextlib.contextmanager
    def stood_aside(self) -> Iterator[None]:
        aside, self.aside = self.aside, True
        try:
            yield
        finally:
            self.aside = aside


@contextlib.contextmanager
def no_error_of_the_job() -> Iterator[None]:
    """What fails in here fails the test: as an error it would be the job's, and be resumed."""
    try:
        yield
    except Exception:
        pytest.fail(traceback.format_exc())


class Life:
    """One continuation, and all that can happen to it."""

    def __init__(self, job: type[Runs], program: list[Line]) -> None:
        self.job, self.program = job, program
        self.run_name = uuid.uuid4().hex
        did[self.run_name] = []
        self.history: list[Status] = [Status.ENQUEUED]
        self.by_retry: set[int] = set()
        self.trouble: list[str] = []
        self.sequences: dict[Any, int] = {}
        self.completed: dict[Any, tuple[Any, ...]] = {}
        self.counts = (0, 0, 0)
        self.end: tuple[Any, ...] | None = None
        self.sent: set[str] = set()
        self.row = job.enqueue(self.run_name, program)

    def happen(self, event: Any) -> None:
        """One of `events_by`."""
        status = self.row.status
        if isinstance(event, tuple):
            self.execute(event)
        elif isinstance(event, int):
            self.deliver_a_stale_one(event)
        elif event == "recover" and status in OWNED:
            self.recover()
        elif event == "go on" and status in {Status.PAUSED, Status.FAILED}:
            self.go_on()
        elif event in ASKED:
            self.ask(event)

    def deliver_a_stale_one(self, back: int) -> None:
        before = self.snapshot()
        outcome = execute(self.row.pk, self.row.delivery - back, Bench())
        assert outcome.refusal in {Refusal.STALE, Refusal.ENDED}
        assert self.snapshot() == before

    def recover(self) -> None:
        owner = Execution.objects.get(pk=self.row.owner)
        assert Patient(self.row, queue_named("default"), {owner.pk: owner}, Servers(), 10.0)._take_over(
            owner, "it died", dry_run=False
        )
        self.observe()

    def execute(self, plan: Plan) -> Outcome | None:
        """One delivery of the current number, by a worker to whom all others are dead."""
        bench = Bench(in_place=len(self.history) % 2 == 0)
        disturbance = Disturbance(self, bench, plan)
        row = Continuation.objects.get(pk=self.row.pk)
        outcome = None
        try:
            with disturbance.installed():
                outcome = execute(row.pk, row.delivery, bench)
        except Death:
            pass
        except Error:
            # As the runner does: the delivery comes again once the database answers.
            connection.close()
        self.observe()
        return outcome

    def duplicate(self, bench: Bench) -> None:
        """The same delivery once more, to a worker that sees that the first is alive."""
        before = self.snapshot()
        second = Bench()
        second.worker = bench.worker
        assert execute(self.row.pk, before[0]["delivery"], second).refusal is Refusal.OWNED
        assert self.snapshot() == before

    def ask(self, kind: str) -> None:
        """A person calls a verb, which does what the table says or is refused."""
        row = Continuation.objects.get(pk=self.row.pk)
        if kind == "send":
            self.send(row)
        elif kind == "force":
            self.force(row)
        else:
            if kind == "take back" and row.status == Status.RUNNING:
                self.call("pause", row)
            self.call("resume" if kind == "take back" else kind, row)
        self.observe()

    def call(self, verb: str, row: Continuation) -> None:
        before = Status(row.status)
        try:
            getattr(row, verb)()
        except TransitionError:
            assert before not in LEADS[verb]
        else:
            assert row.status == LEADS[verb][before]
        self.observe()

    def send(self, row: Continuation) -> None:
        """An event that a line will wait for, the last ones first, and another of its name, which comes too late."""
        lines = [f"{index} {kind}" for index, (kind, _) in enumerate(self.program) if kind in {"waits", "expects"}]
        name = next((name for name in reversed(lines) if name not in self.sent), None)
        if name is None or row.status in FINISHED - {Status.FAILED}:
            return
        self.sent.add(name)
        row.send(name, f"first {name}")
        row.send(name, f"second {name}")

    def force(self, row: Continuation) -> None:
        """Take it from an execution that has not heeded a request, now or for long."""
        if row.status == Status.RUNNING:
            self.call("pause" if len(self.history) % 2 else "cancel", row)
        verb = {Status.PAUSING: "pause", Status.CANCELLING: "cancel"}.get(Status(row.status))
        if verb is not None:
            make_old(row)
            getattr(row, verb)(force=True)

    def go_on(self) -> None:
        if self.row.status == Status.FAILED:
            self.end = None
            self.row.retry()
        else:
            self.row.resume()
        self.observe()

    def happened(self, what: str) -> None:
        self.trouble.append(what)

    def observe(self) -> None:
        """Note the committed status."""
        self.row = Continuation.objects.get(pk=self.row.pk)
        if self.row.status != self.history[-1]:
            self.history.append(Status(self.row.status))

    def snapshot(self) -> tuple[Any, ...]:
        """All there is of it in the database."""
        return (
            Continuation.objects.filter(pk=self.row.pk).values().get(),
            list(self.row.steps.order_by("position").values()),
            list(self.row.execution_records.order_by("number").values()),
        )

    def ledger(self) -> list[str]:
        return list(Applied.objects.filter(run=self.run_name).order_by("pk").values_list("item", flat=True))

    # What must be true of it

    def statuses_move_along_the_table(self) -> None:
        """O5"""
        for arrow in zip(self.history, self.history[1:], strict=False):
            assert arrow in ARROWS, (arrow, self.trouble)
        assert self.history.count(Status.SUCCEEDED) <= 1

    def an_owned_row_has_one_owner_and_no_other_has(self) -> None:
        """O1"""
        unfinished = list(self.row.execution_records.filter(finished_at=None).values_list("pk", flat=True))
        assert unfinished == ([self.row.owner] if self.row.status in OWNED else []), self.trouble

    def steps_complete_in_order(self) -> None:
        """S1, S2"""
        steps = list(self.row.steps.order_by("position"))
        assert [step.position for step in steps] == list(range(len(steps)))
        names = [f"{index} {kind}" for index, (kind, _) in enumerate(self.program)]
        assert [step.name for step in steps] == names[: len(steps)]
        assert all(step.status != "running" for step in steps[:-1]), self.trouble

    def numbers_only_grow_and_completed_steps_stay_as_they_are(self) -> None:
        """O1, C5"""
        for step in self.row.steps.all():
            assert step.sequence >= self.sequences.get(step.pk, 0)
            self.sequences[step.pk] = step.sequence
            if step.status != "running":
                facts = (step.cursor_json, step.result_json, step.attributes_json, step.processed, step.finished_at)
                assert self.completed.setdefault(step.pk, facts) == facts
        counts = (self.row.executions, self.row.resumptions, self.row.delivery)
        assert all(new >= old for new, old in zip(counts, self.counts, strict=True))
        assert counts[0] == self.row.execution_records.count()
        self.counts = counts

    def what_has_ended_is_never_changed(self) -> None:
        """O5"""
        if self.row.status in FINISHED:
            self.end = self.end or self.snapshot()
            assert self.snapshot() == self.end, self.trouble

    def effects_with_the_cursor_happen_once_and_in_order(self) -> None:
        """C6"""
        expected, _ = effects_of(self.program)
        ledger = self.ledger()
        assert ledger == expected[: len(ledger)], self.trouble

    def attributes_agree_with_the_ledger(self) -> None:
        """C5"""
        last = self.row.steps.order_by("position").last()
        if last is not None:
            stored = Runs.__new__(Runs)
            attributes.load(stored, last.attributes_json)
            assert stored.count == len(self.ledger()), self.trouble

    def check(self) -> None:
        """All of the above."""
        self.statuses_move_along_the_table()
        self.an_owned_row_has_one_owner_and_no_other_has()
        self.steps_complete_in_order()
        self.numbers_only_grow_and_completed_steps_stay_as_they_are()
        self.what_has_ended_is_never_changed()
        self.effects_with_the_cursor_happen_once_and_in_order()
        self.attributes_agree_with_the_ledger()

    def come_to_its_end(self) -> None:
        """Left alone at last."""
        for _ in range(60):
            if self.row.status in {Status.PAUSED, Status.FAILED}:
                self.go_on()
            if self.row.status in FINISHED:
                return
            if self.row.is_told_only:
                self.row.send(self.row.waiting_for, f"first {self.row.waiting_for}")
            self.execute(NOTHING)
            self.check()
        raise AssertionError(self.row.status, self.trouble)

    def check_the_end(self) -> None:
        """All has been done, and what is outside of the database no more often than it has to be."""
        once, again = effects_of(self.program)
        times = Counter(did.pop(self.run_name))
        assert set(times) <= set(again)
        for word, status in (("success", Status.SUCCEEDED), ("failure", Status.FAILED)):
            # F1: once for each end, in its transaction.
            number = self.history.count(status)
            assert Applied.objects.filter(run=f"{word} {self.run_name}").count() == number, self.trouble
            assert self.row.children.filter(arguments_json__contains=word).count() == number, self.trouble
        assert self.row.follow_up_failed_at is None
        if self.row.status != Status.SUCCEEDED:
            return
        for result, possible in zip(self.row.result, results_of(self.program), strict=True):
            assert result in possible, self.trouble
        assert self.ledger() == once
        assert set(times) == set(again), self.trouble
        if self.job.checkpoint_interval == 0:
            # A zombie may do one more before it finds out.
            assert times.total() - len(again) <= 2 * sum(may_repeat(what) for what in self.trouble), self.trouble


def may_repeat(what: str) -> bool:
    """A crash, a zombie or a lost answer may cost the item in hand. An interruption may not."""
    return what.split(" ")[0] not in {*INTERRUPTIONS, "own", "pause", "cancel", "take", "send", "duplicate"}


@given(st.randoms(use_true_random=True))
@settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_happens_nothing_is_lost_and_nothing_in_a_block_is_done_twice(
    caplog: pytest.LogCaptureFixture, draw: random.Random
) -> None:
    """C5, C6, F1, F2, O1, O2, O5, S1, S2"""
    caplog.set_level(logging.CRITICAL, logger="continuations")
    life = Life(draw.choice([Runs, WritesOften, HasPolicies, Rests]), program_by(draw))
    for event in events_by(draw):
        life.happen(event)
        life.check()
    life.come_to_its_end()
    life.check_the_end()
