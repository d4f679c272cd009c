"""Every shape of job, disturbed at every checkpoint, at every pair of them, and in every statement of the engine."""

from __future__ import annotations

import itertools
import logging
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import Error, connection

from continuations.execution import execute
from continuations.models import Continuation, StepRecord
from continuations.testing import stopping_when
from continuations.transitions import FINISHED
from tests import shapes
from tests.shapes import (
    RESTING,
    SHAPES,
    AtomicSteps,
    Bench,
    Blocks,
    CoroutineBlocks,
    CoroutineSets,
    CoroutineTransactions,
    Death,
    Fails,
    FansOut,
    FollowsUp,
    Insists,
    IsolatedLast,
    Sets,
    Shape,
    Statements,
    Steps,
    Transactions,
    Waits,
    die,
    lose_connection,
    run_children,
    send_all,
    tend,
    time_out,
)
from tests.shop.models import Applied, Product

# Runs are compared statement by statement.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("unprepared")]

# Seconds between beats: each checkpoint is one, or none is.
INTERVALS = (0, 3600)

# A worker that shuts down; a process that dies before anything is written there, or after.
KINDS = ("interrupt", "crash before", "crash after")


@pytest.fixture(autouse=True)
def _rows_to_walk() -> None:
    for name in shapes.ROWS:
        Product.objects.create(name=name, note="shapes")


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="continuations")


@pytest.fixture(params=INTERVALS)
def interval(request: pytest.FixtureRequest, settings: Any) -> float:
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "CHECKPOINT_INTERVAL": request.param}
    return request.param


class Checkpoints:
    """Disturbs a run at its checkpoints, counted from 0 over all its executions.

    It is the memory a worker would share with its horse, which each checkpoint looks at first, and the question that
    each asks last.
    """

    def __init__(self, plan: dict[int, str]) -> None:
        self.plan = dict(plan)
        self.passed = 0
        self.fired: list[str] = []

    def __getitem__(self, index: int) -> int:
        if self.plan.get(self.passed) == "crash before":
            self._fire()
            raise Death
        return 0

    def __call__(self, job: Any) -> Any:
        if not isinstance(job, Shape):
            # A child's.
            return None
        kind = self.plan.get(self.passed)
        self.passed += 1
        if kind is None:
            return None
        del self.plan[self.passed - 1]
        self.fired.append(kind)
        if kind == "interrupt":
            return "stopping"
        raise Death

    def _fire(self) -> None:
        self.fired.append(self.plan.pop(self.passed))


@dataclass
class Account:
    """What a run has done, and what there is to be seen of it."""

    status: str
    result: Any
    steps: list[tuple[Any, ...]]
    once: list[str]
    # Without repeats.
    did: list[str]
    children: int = 0


@dataclass
class Run:
    """A run until its end, with what is needed to judge it."""

    shape: type[Shape]
    account: Account
    continuation: Continuation
    # How often each thing outside the database was done.
    times: Counter[str]
    # How the executions ended.
    reasons: Counter[str]
    expected_starts: list[tuple[int, int, int]]
    starts: list[tuple[int, int, int]]
    # Steps in progress when the process died.
    died_in: set[str] = field(default_factory=set)
    retries: int = 0


def stored_progress(continuation: Continuation) -> tuple[int, str | None]:
    """Steps completed, and the cursor of the step in progress once it has left its start."""
    steps = list(StepRecord.objects.filter(continuation=continuation))
    running = [step.cursor_json for step in steps if step.status == "running" and step.advanced]
    return sum(step.status != "running" for step in steps), running[0] if running else None


def drive(
    shape: type[Shape],
    flag: Any = b"\0",
    around: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Run:
    """Executions, one after the other, until the continuation ends; a person retries what an error failed."""
    name = uuid.uuid4().hex
    continuation = shape.enqueue(name)
    retries = resumptions = crashes = 0
    expected_starts, died_in = [], set()
    for _ in range(50):
        tend(continuation)
        continuation.refresh_from_db()
        before, executions = stored_progress(continuation), continuation.executions
        dead = True
        try:
            with around():
                execute(continuation.pk, continuation.delivery, Bench(stop_flag=flag))
            dead = False
        except Death:
            pass
        except Error:
            # As the runner does: the delivery comes again once the database answers.
            connection.close()
        continuation.refresh_from_db()
        if continuation.executions > executions:
            resumptions += before != (0, None)
            expected_starts.append((continuation.executions, resumptions, crashes))
            moved = stored_progress(continuation) != before
            crashes = 0 if moved or continuation.owner is None else crashes + 1
        if dead:
            died_in |= set(continuation.steps.filter(status="running").values_list("name", flat=True))
        if continuation.status == "failed" and shape.may_fail:
            continuation.retry()
            crashes, retries = 0, retries + 1
        elif continuation.is_finished:
            break
    else:
        raise AssertionError(f"it has not ended; it is {continuation.status}")
    steps = continuation.steps.order_by("position")
    # The moment until which one rests is another in every run.
    steps.exclude(kind="step").update(cursor_json=None)
    fields = ("name", "position", "status", "cursor_json", "result_json", "attributes_json", "processed", "total")
    done = shapes.did.pop(name, [])
    return Run(
        shape,
        Account(
            continuation.status,
            continuation.result,
            list(steps.values_list(*fields)),
            list(Applied.objects.filter(run=name).order_by("pk").values_list("item", flat=True)),
            list(dict.fromkeys(done)),
            continuation.children.count(),
        ),
        continuation,
        Counter(done),
        Counter(continuation.execution_records.values_list("reason", flat=True)),
        expected_starts,
        shapes.starts.pop(name),
        died_in,
        retries,
    )


def disturbed(shape: type[Shape], plan: dict[int, str]) -> tuple[Run, list[str]]:
    """A run that is disturbed where `plan` says, and which of it happened."""
    checkpoints = Checkpoints(plan)
    with stopping_when(checkpoints):
        return drive(shape, checkpoints), checkpoints.fired


def left_alone(shape: type[Shape]) -> tuple[Run, int]:
    """A run that nothing disturbs, and how many checkpoints it has."""
    checkpoints = Checkpoints({})
    with stopping_when(checkpoints):
        run = drive(shape, checkpoints)
    assert run.account.status == "succeeded"
    assert run.account.steps
    return run, checkpoints.passed


def check(run: Run, alone: Run, fired: list[str], interval: float) -> None:
    assert run.account == alone.account
    deaths = sum(kind.startswith("crash") for kind in fired)
    repeated = run.times - alone.times
    assert not alone.times - run.times
    if interval == 0:
        assert repeated.total() <= deaths
    else:
        assert {item.partition(":")[0] for item in repeated} <= run.died_in
    expected_reasons = alone.reasons + Counter(stopping=fired.count("interrupt"), crash=deaths)
    # Whoever was interrupted before an isolated step has its next execution for that step alone.
    del expected_reasons["isolating"]
    assert run.reasons["isolating"] <= alone.reasons["isolating"]
    assert run.reasons - Counter(isolating=run.reasons["isolating"]) == expected_reasons
    assert run.continuation.executions == run.reasons.total() == len(run.starts)
    assert run.starts == run.expected_starts
    assert (run.continuation.crashes, run.continuation.errors) == (0, 0)
    assert run.continuation.resumptions == run.starts[-1][1]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_disturbance_at_any_checkpoint_changes_nothing(shape: type[Shape], interval: float) -> None:
    """C3, C4, C6, E5, E7"""
    alone, number = left_alone(shape)
    for index, kind in itertools.product(range(number), KINDS):
        run, fired = disturbed(shape, {index: kind})
        assert fired == [kind]
        check(run, alone, fired, interval)


@pytest.mark.parametrize("shape", SHAPES)
def test_two_disturbances_at_any_checkpoints_change_nothing(shape: type[Shape], interval: float) -> None:
    """C3, C4, C6, E5, E7"""
    alone, number = left_alone(shape)
    # One more: what is repeated after a crash has its checkpoints again.
    for first, second in itertools.combinations(range(number + 1), 2):
        # The two kinds of crash take turns.
        crash = KINDS[1 + (first + second) % 2]
        combinations = list(itertools.product(("interrupt", crash), repeat=2))
        # With a long interval only a mixture has more to tell than one of them.
        for kinds in combinations if interval == 0 else combinations[1:3]:
            run, fired = disturbed(shape, dict(zip((first, second), kinds, strict=True)))
            assert fired == list(kinds)[: len(fired)]
            check(run, alone, fired, interval)


def finish_instead(statements: Statements) -> None:
    """Others, to whom the one that runs is dead, carry its continuation to the end."""
    with statements.set_aside():
        (continuation,) = Continuation.objects.exclude(status__in=FINISHED).exclude(job_path__endswith="Child")
        for _ in range(50):
            tend(continuation)
            continuation.refresh_from_db()
            execute(continuation.pk, continuation.delivery, Bench())
            continuation.refresh_from_db()
            if continuation.status == "failed":
                continuation.retry()
            elif continuation.is_finished:
                return
    raise AssertionError(f"it has not ended; it is {continuation.status}")


def moments_of(shape: type[Shape]) -> tuple[Run, list[tuple[int, str]]]:
    """A run that nothing disturbs, and all that can happen to its statements."""
    statements = Statements()
    return drive(shape, around=statements.installed), statements.moments


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("interval", [0], indirect=True)
def test_a_death_in_any_statement_changes_nothing(shape: type[Shape], interval: float) -> None:
    """C6, E7: in claim, beat, block, completion and outcome, and right after their commits."""
    alone, moments = moments_of(shape)
    for index, moment in moments:
        # After one is before the next.
        if moment == "after":
            continue
        statements = Statements(index, moment, die)
        run = drive(shape, around=statements.installed)
        assert statements.fired
        assert run.account == alone.account, statements.fired
        assert not alone.times - run.times
        assert (run.times - alone.times).total() <= 1
        # Some do not come as far as `perform`.
        assert set(run.starts) <= set(run.expected_starts), statements.fired


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("interval", [0], indirect=True)
def test_who_is_replaced_at_any_statement_does_nothing_more(shape: type[Shape], interval: float) -> None:
    """O1, C6: a process that was stopped, and wakes up when its successor has finished."""
    alone, moments = moments_of(shape)
    for index, moment in moments:
        if moment != "after":
            continue
        statements = Statements(index, "before")
        statements.fail = lambda statements=statements: finish_instead(statements)
        run = drive(shape, around=statements.installed)
        assert statements.fired
        assert run.account == alone.account, statements.fired
        assert not alone.times - run.times
        assert (run.times - alone.times).total() <= 2, statements.fired
        assert run.reasons["crash"] <= 1


@pytest.mark.parametrize(("shape", "do"), [(Waits, send_all), (FansOut, run_children)])
@pytest.mark.parametrize("interval", [0], indirect=True)
def test_what_is_waited_for_may_come_before_any_statement(
    shape: type[Shape], do: Callable[[Continuation], None], interval: float
) -> None:
    """F2: in blocks, and while others have the row locked, see test_races.py."""
    alone, moments = moments_of(shape)
    in_time: set[int] = set()
    for index, moment in moments:
        # Those that no block holds.
        if moment != "after":
            continue
        statements = Statements(index, "before")
        statements.fail = lambda statements=statements: come(statements, do)
        run = drive(shape, around=statements.installed)
        assert statements.fired
        assert (run.account.result, run.account.children) == (alone.account.result, alone.account.children)
        assert run.account.steps == alone.account.steps
        assert sorted(run.account.once) == sorted(alone.account.once)
        assert run.times == alone.times
        assert set(run.reasons) <= {"waiting", ""}
        in_time.add(run.reasons["waiting"])
    # From one rest for each, to none at all; or, for one, once again after it was woken.
    assert in_time >= {0, alone.reasons["waiting"]}


def come(statements: Statements, do: Callable[[Continuation], None]) -> None:
    with statements.set_aside():
        do(Continuation.objects.exclude(job_path__endswith="Child").exclude(status__in=FINISHED).get())


@pytest.mark.parametrize("fail", [time_out, lose_connection])
@pytest.mark.parametrize(
    "shape",
    [
        *(Steps, Sets, Transactions, Blocks, Insists, AtomicSteps, IsolatedLast, Fails),
        *(CoroutineSets, CoroutineBlocks, CoroutineTransactions),
        *(*RESTING, FollowsUp),
    ],
)
@pytest.mark.parametrize("interval", [0], indirect=True)
def test_a_statement_without_an_answer_changes_nothing(
    shape: type[Shape], fail: Callable[[], None], interval: float
) -> None:
    """O2: whether it was done or not; what was is recognised, by claim, beat, block, completion and outcome."""
    if fail is lose_connection and connection.vendor == "sqlite":
        pytest.skip("SQLite has no connection to lose")
    alone, moments = moments_of(shape)
    for index, moment in moments:
        statements = Statements(index, moment, fail)
        run = drive(shape, around=statements.installed)
        assert statements.fired
        assert run.account == alone.account, statements.fired
        assert not alone.times - run.times
        assert (run.times - alone.times).total() <= 1
        # No process died, and it is nobody's failure.
        assert run.reasons["crash"] == 0, statements.fired
        assert run.retries <= shape.may_fail, statements.fired
