"""What everything may cost, exactly: statements in the database, commands in Redis. None depends on the machine.

Two figures of each, where one could grow: with few completed steps and with many, early and after many executions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django_rq import get_queue
from rq import SimpleWorker

from continuations import ContinuableJob, Step
from continuations.columns import RETURNING
from continuations.ends import Outcome
from continuations.execution import execute
from continuations.models import Continuation, Event, Execution, StepRecord
from continuations.statements import BEAT
from continuations.testing import interrupt_during
from continuations.transitions import Status
from continuations.worker import ContinuableSimpleWorker
from continuations.workplace import Workplace
from tests.shop.models import Applied

# What is prepared is counted in tests/test_prepared.py.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("unprepared")]

# Statements that begin and end transactions are no work, and each database has its own.
FRAMES = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK", "START TRANSACTION")

# Where an UPDATE returns nothing, a second statement asks for the continuation's status.
ASKS = 0 if connection.vendor in RETURNING else 1
# PostgreSQL changes the row and the execution in one statement, SQLite in two; MySQL has to read the row first.
AT_ONCE = {"postgresql": 1, "sqlite": 2}


class Ledger:
    """Statements by phase, in the order in which they were made."""

    def __init__(self) -> None:
        self._context = CaptureQueriesContext(connection)
        self._marks: list[tuple[str, int]] = []

    def __enter__(self) -> Self:
        self._context.__enter__()
        self.phase("before")
        return self

    def __exit__(self, *error: object) -> None:
        self.phase("after")
        self._context.__exit__(*error)

    def phase(self, name: str) -> None:
        """What is made from here on belongs to `name`."""
        self._marks.append((name, len(self._context)))

    def __getitem__(self, name: str) -> list[str]:
        queries = self._context.captured_queries
        ends = [start for _, start in self._marks[1:]] + [len(queries)]
        found = []
        for (phase, start), end in zip(self._marks, ends, strict=True):
            if phase == name:
                found += [query["sql"] for query in queries[start:end]]
        return [sql for sql in found if not sql.upper().startswith(FRAMES)]


ledger: Ledger


class Job(ContinuableJob):
    """`steps` trivial steps, then one that moves its cursor `moves` times, durable at each."""

    checkpoint_interval = 0
    stop_after = -1

    def perform(self, steps: int, moves: int) -> None:
        self.moves = moves
        ledger.phase("steps")
        for i in range(steps):
            self.step(f"step {i}", lambda: None)
        ledger.phase("begin")
        self.step("moves", self.move, start=0)
        ledger.phase("finish")

    def move(self, step: Step) -> None:
        ledger.phase("beats")
        while step.cursor < self.moves:
            step.advance()
        ledger.phase("complete")

    def should_stop(self) -> bool:
        return self.stop_after == len(self.completed_steps)


class Follows(Job):
    def on_success(self, steps: int, moves: int) -> None:
        """Does nothing."""


class Blocks(ContinuableJob):
    def perform(self, n: int) -> None:
        self.n = n
        self.step(self.work)

    def work(self, step: Step) -> None:
        ledger.phase("blocks")
        for i in step.iterate(range(self.n)):
            with step.atomic():
                Applied.objects.create(item=str(i))
        ledger.phase("complete")


class Empty(ContinuableJob):
    def perform(self) -> None:
        pass


def run(continuation: Continuation, *, comes_again: bool | None = None) -> Outcome:
    global ledger
    place = Workplace()
    continuation.refresh_from_db()
    place.comes_again = continuation.executions > 0 if comes_again is None else comes_again
    with Ledger() as ledger:
        return execute(continuation.pk, continuation.delivery, place)


def interrupted_after(steps: int, moves: int = 1) -> Continuation:
    """One that has completed so many steps."""
    continuation = Job.enqueue(steps, moves)
    Job.stop_after = steps
    try:
        assert run(continuation).status == Status.INTERRUPTED
    finally:
        Job.stop_after = -1
    return continuation


def test_enqueue_is_one_statement() -> None:
    with CaptureQueriesContext(connection) as queries:
        Job.enqueue(1, 1)
    assert len(queries) == 1


@pytest.mark.parametrize("model", [Continuation, StepRecord, Execution, Event])
def test_a_table_has_the_indexes_that_its_model_names_and_no_others(model: type[models.Model]) -> None:
    """Each is one more entry for a row that is written. For `unique=True` PostgreSQL gets a second one, for LIKE."""
    meta = model._meta
    named = {index.name for index in meta.indexes} | {constraint.name for constraint in meta.constraints}
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, meta.db_table)
    indexes = {name for name, index in found.items() if index["index"] or index["unique"]}
    assert {name for name in indexes if not found[name]["primary_key"]} == named


def test_a_first_claim_takes_the_row_and_writes_the_execution() -> None:
    """O1"""
    assert run(Job.enqueue(1, 1)).status == Status.SUCCEEDED
    assert len(ledger["before"]) == AT_ONCE.get(connection.vendor, 3)


def test_a_first_claim_of_what_is_not_new_is_one_statement_more() -> None:
    """Where nobody could know: RQ says only of what it has put back itself that it comes again."""
    assert run(interrupted_after(3), comes_again=False).status == Status.SUCCEEDED
    assert len(ledger["before"]) == 5 + 1 + (connection.vendor in AT_ONCE)


@pytest.mark.parametrize("steps", [5, 200])
def test_a_later_claim_is_five_statements_and_one_that_loads_all_steps(steps: int) -> None:
    """O1: the last step is locked, and what was achieved is counted; then, after the commit, all steps are loaded."""
    assert run(interrupted_after(steps)).status == Status.SUCCEEDED
    assert len(ledger["before"]) == 5 + 1
    assert ledger["steps"] == []


@pytest.mark.parametrize("executions", [2, 20])
def test_a_claim_does_not_grow_with_past_executions(executions: int) -> None:
    continuation = interrupted_after(3)
    past = Execution.objects.get(continuation=continuation)
    for number in range(2, executions):
        past.pk, past.number = None, number
        past.pk = Execution._meta.pk.get_default()
        past.save(force_insert=True)
    Continuation.objects.filter(pk=continuation.pk).update(executions=executions - 1)
    assert run(continuation).status == Status.SUCCEEDED
    assert len(ledger["before"]) == 5 + 1
    assert len(ledger["finish"]) == AT_ONCE.get(connection.vendor, 3)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="how others choose an index does not depend on this")
def test_a_claim_finds_its_row_by_primary_key_however_many_wait() -> None:
    """A planner that thinks that no row has the status would read all that have it."""
    Job.enqueue_many([(1, 1)] * 300)
    continuation, plans = Job.enqueue(3, 3), list[str]()

    def explain(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if 'UPDATE "continuations_continuation"' in sql and '"executions" = ' in sql:
            with context["cursor"].db.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {sql}", params)
                plans.append("\n".join(line for (line,) in cursor.fetchall()))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        with interrupt_during(Job, "moves", 2):
            assert run(continuation).status == Status.INTERRUPTED
        assert run(continuation).status == Status.SUCCEEDED
    assert len(plans) == 2
    assert all("continuations_continuation_pkey" in plan and "continuation_status" not in plan for plan in plans)


@pytest.mark.parametrize("steps", [5, 200])
def test_a_step_is_two_statements(steps: int) -> None:
    """It is stored when it begins and when it ends; between two, the status that the end has read is good enough."""
    run(Job.enqueue(steps, 0))
    assert len(ledger["steps"]) == steps * (2 + ASKS)
    first, second = ledger["steps"][:2]
    assert first.startswith("INSERT INTO")
    assert second.startswith("UPDATE")


@pytest.mark.parametrize("steps", [5, 200])
def test_a_beat_is_one_statement(steps: int) -> None:
    """§4, C3"""
    run(Job.enqueue(steps, 30))
    assert len(ledger["beats"]) == 30 * (1 + ASKS)
    updates = [sql for sql in ledger["beats"] if sql.startswith("UPDATE")]
    assert len(updates) == 30
    assert all(StepRecord._meta.db_table in sql for sql in updates)


def test_no_statement_is_made_between_two_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """C2"""
    monkeypatch.setattr(Job, "checkpoint_interval", 3600)
    run(Job.enqueue(1, 1000))
    # The first movement after a claim is stored at once.
    assert len(ledger["beats"]) == 1 + ASKS


class Asked(Workplace):
    """Counts how often it is asked for what only a round trip tells."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def ask(self) -> str | None:
        self.times += 1
        return None


@pytest.mark.parametrize(("pause", "times"), [(3600.0, 0), (0.0, 30)])
def test_redis_is_asked_no_more_often_than_every_so_often(
    monkeypatch: pytest.MonkeyPatch, pause: float, times: int
) -> None:
    """C2: however closely beats follow each other, and not at all by a job that has ended before."""
    monkeypatch.setattr("continuations.stopping.ASK_PAUSE", pause)
    place = Asked()
    global ledger
    with Ledger() as ledger:
        execute(Job.enqueue(0, 30).pk, 0, place)
    assert place.times == times


def test_a_block_costs_one_statement_beside_what_is_done_in_it() -> None:
    """C5"""
    run(Blocks.enqueue(20))
    mine = [sql for sql in ledger["blocks"] if Applied._meta.db_table in sql]
    assert len(mine) == 20
    # And the first movement of the execution is followed by a look at what is asked of it.
    assert len(ledger["blocks"]) == 20 + 20 + 1 + ASKS
    # Only that look asks for the status: nothing is decided inside a block.
    assert sum(Continuation._meta.db_table in sql for sql in ledger["blocks"]) == 1


@pytest.mark.parametrize("steps", [5, 200])
def test_success_writes_the_row_and_the_execution(steps: int) -> None:
    """O5: fenced by the owner; where an UPDATE returns nothing, the row is locked first."""
    run(Job.enqueue(steps, 0))
    assert len(ledger["finish"]) == AT_ONCE.get(connection.vendor, 3)


def test_success_with_a_hook_is_three_statements_and_what_the_hook_does() -> None:
    """In one transaction, under the row's lock."""
    run(Follows.enqueue(1, 0))
    assert len(ledger["finish"]) == 3


@pytest.mark.parametrize("steps", [5, 200])
def test_an_interruption_in_a_step_is_four_statements(steps: int) -> None:
    """The step is written, too."""
    continuation = Job.enqueue(steps, 3)
    with interrupt_during(Job, "moves", 2):
        assert run(continuation).status == Status.INTERRUPTED
    # Two beats came before it.
    assert len(ledger["beats"]) == 2 * (1 + ASKS) + 4


def test_no_column_that_a_beat_writes_is_indexed() -> None:
    """§4: PostgreSQL then updates in place."""
    indexed = {name for index in StepRecord._meta.indexes for name in index.fields}
    for constraint in StepRecord._meta.constraints:
        assert isinstance(constraint, models.UniqueConstraint)
        indexed |= set(constraint.fields)
    indexed |= {field.name for field in StepRecord._meta.fields if field.db_index or field.unique}
    assert indexed & {*BEAT, "sequence"} == set()


# Redis


def one_query(run: str) -> bool:
    return Applied.objects.filter(run=run).exists()


class OneStep(ContinuableJob):
    def perform(self, run: str) -> None:
        self.step("ask", lambda: Applied.objects.filter(run=run).exists())


def commands_of(valkey: Any, do: Callable[[], object]) -> list[str]:
    """What Redis is told while `do` runs, but for what is told it now and then by recovery."""
    import redis

    with redis.Redis(port=valkey.port) as client, client.monitor() as monitor:
        do()
        client.echo("the end")
        found = []
        for entry in monitor.listen():
            if entry["command"].startswith("ECHO"):
                break
            if entry["client_type"] != "lua" and "continuations:recovery" not in entry["command"]:
                found.append(entry["command"])
        return [command for command in found if not command.startswith(("HELLO", "CLIENT", "SCRIPT LOAD"))]


def commands_of_a_job(valkey: Any, kind: type[SimpleWorker], enqueue: Callable[[], object]) -> list[str]:
    """From taking a job to taking the next: the second of three, since with the first come things of the worker."""
    queue = get_queue("default", commit_mode="auto")
    queue.connection.flushall()
    for _ in range(3):
        enqueue()
    worker = kind([queue], connection=queue.connection)
    found = commands_of(valkey, lambda: worker.work(burst=True, logging_level="ERROR"))
    _, second, third, _ = [place for place, command in enumerate(found) if command.startswith("LMOVE")]
    return found[second:third]


@pytest.mark.usefixtures("redis_url")
def test_a_delivery_is_fewer_commands_than_a_job_of_plain_rq(valkey: Any) -> None:
    queue = get_queue("default", commit_mode="auto")
    # The first asks whether anybody listens, which is asked once a minute.
    OneStep.enqueue("a")
    queue.enqueue(one_query, "a")
    ours = commands_of(valkey, lambda: OneStep.enqueue("a"))
    plain = commands_of(valkey, lambda: queue.enqueue(one_query, "a"))
    assert (len(ours), len(plain)) == (6, 8)


@pytest.mark.usefixtures("redis_url", "own_signals")
@pytest.mark.parametrize(
    ("worker", "moment", "extra"),
    [
        # Which of the worker's executions this is, whether it has a lease, and that no duplicate has left the job
        # scheduled.
        (SimpleWorker, 0.0, 3),
        # The lease, which is two, and the last of those: the worker says the others itself.
        (ContinuableSimpleWorker, 0.0, 3),
        # And what it has just said of itself, it does not say again: three signs of life, and that it is idle.
        (ContinuableSimpleWorker, 60.0, 3 - 9 - 1),
    ],
)
def test_a_job_is_a_few_commands_more_or_less_than_one_of_plain_rq(
    valkey: Any, monkeypatch: pytest.MonkeyPatch, worker: type[SimpleWorker], moment: float, extra: int
) -> None:
    monkeypatch.setattr("continuations.worker.MOMENT", moment)
    queue = get_queue("default", commit_mode="auto")
    plain = commands_of_a_job(valkey, SimpleWorker, lambda: queue.enqueue(one_query, "a"))
    ours = commands_of_a_job(valkey, worker, lambda: OneStep.enqueue("a"))
    assert len(ours) - len(plain) == extra
    assert Continuation.objects.exclude(status=Status.SUCCEEDED).count() == 0
