"""Signals: every boundary, after its commit, and no receiver can disturb a job."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import Any

import django_rq
import pytest
from django.db import connection, transaction
from django.dispatch import Signal
from django.utils import timezone

from continuations import ContinuableJob, Step, discard_on, retry_on, signals
from continuations.execution import execute
from continuations.models import Continuation
from continuations.testing import interrupt_during, run_enqueued, run_until_finished, stopping_when
from tests.reference.signals import documented_signals
from tests.shapes import Bench

pytestmark = pytest.mark.django_db

NAMES = [name for name, value in vars(signals).items() if isinstance(value, Signal)]
DOCUMENTED = {name: set(arguments) for name, (_, arguments) in documented_signals().items()}


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What was sent meanwhile: name of the signal, and its arguments."""
    heard: list[tuple[str, dict[str, Any]]] = []
    receivers, wrong = [], list[str]()
    for name in NAMES:

        def note(name: str = name, **facts: Any) -> None:
            assert facts.pop("signal") is getattr(signals, name)
            assert facts.pop("sender") is Continuation
            # What docs/signals.md says, in every test of this file.
            wrong.extend([name] if set(facts) != DOCUMENTED[name] | {"continuation"} else [])
            heard.append((name, facts))

        getattr(signals, name).connect(note)
        receivers.append((name, note))
    yield heard
    for name, note in receivers:
        getattr(signals, name).disconnect(note)
    assert wrong == []


class Import(ContinuableJob):
    def perform(self) -> None:
        self.step("validate", lambda: None)
        self.step("load", self.load)

    def load(self, step: Step) -> None:
        for _ in step.iterate(["a", "c"]):
            pass


@discard_on(KeyError)
@retry_on(ConnectionError, wait=7, jitter=0, attempts=2)
class Raises(ContinuableJob):
    def perform(self, error: str) -> None:
        raise {"key": KeyError, "value": ValueError, "connection": ConnectionError}[error](error)


def names(heard: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [name for name, _ in heard]


def test_a_life_in_signals(heard: list[Any], django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        continuation = Import.enqueue()
    with interrupt_during(Import, "load", cursor=1):
        run_enqueued()
    run_until_finished(continuation)
    assert names(heard) == [
        *("enqueueing", "enqueued", "execution_started", "step_started", "step_completed", "step_started"),
        *("interrupted", "execution_ended"),
        *("execution_started", "step_skipped", "step_started", "step_completed", "succeeded", "execution_ended"),
    ]
    assert all(facts["continuation"].pk == continuation.pk for _, facts in heard)
    interrupted = heard[6][1]
    assert (interrupted["step"], interrupted["cursor"], interrupted["reason"]) == ("load", 1, "stopping")
    assert (interrupted["error"], interrupted["wait"], interrupted["execution"].number) == (None, 0, 1)
    assert heard[10][1]["resumed"] is True
    assert heard[10][1]["cursor"] == 1
    assert [facts["execution"].number for name, facts in heard if name == "execution_ended"] == [1, 2]


def test_an_execution_that_was_superseded_has_ended_too(heard: list[Any]) -> None:
    continuation = Import.enqueue()

    def take_away(job: Import) -> None:
        Continuation.objects.filter(pk=continuation.pk).update(owner=None)

    with stopping_when(take_away):
        run_enqueued()
    assert names(heard)[-1] == "execution_ended"
    assert not {"interrupted", "succeeded", "failed"} & set(names(heard))


@pytest.mark.parametrize(("error", "expected"), [("key", "discarded"), ("value", "failed")])
def test_an_end_by_an_error_says_which(heard: list[Any], error: str, expected: str) -> None:
    Raises.enqueue(error)
    with contextlib.suppress(ValueError):
        run_enqueued()
    name, facts = heard[-2]
    assert name == expected
    assert str(facts["error"]).strip("'") == error


def test_an_error_that_is_retried_is_an_interruption_with_an_error(heard: list[Any]) -> None:
    Raises.enqueue("connection")
    run_enqueued()
    name, facts = heard[-2]
    assert name == "interrupted"
    assert isinstance(facts["error"], ConnectionError)
    assert (facts["reason"], facts["wait"]) == ("error", 7)


def test_verbs_are_told_on_commit(heard: list[Any], django_capture_on_commit_callbacks: Any) -> None:
    continuation = Import.enqueue()
    heard.clear()
    with django_capture_on_commit_callbacks(execute=True):
        continuation.pause(by="ada")
        assert heard == []
        continuation.resume()
        continuation.send("hello", 1)
        continuation.send("hello", 2)
        continuation.cancel()
    assert names(heard) == ["paused", "resumed", "event_sent", "cancelled"]
    assert heard[2][1]["event"].name == "hello"


def test_a_receiver_that_raises_disturbs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def raises(**_: Any) -> None:
        raise RuntimeError("receiver")

    for name in NAMES:
        getattr(signals, name).connect(raises)
    try:
        continuation = Import.enqueue()
        assert run_until_finished(continuation).status == "succeeded"
    finally:
        for name in NAMES:
            getattr(signals, name).disconnect(raises)
    assert any(record.name == "django.dispatch" for record in caplog.records)


def test_context_travels_with_the_row() -> None:
    def carry(continuation: Continuation, **_: Any) -> None:
        continuation.context["trace"] = "abc"

    signals.enqueueing.connect(carry)
    try:
        continuation = Import.enqueue()
    finally:
        signals.enqueueing.disconnect(carry)
    assert Continuation.objects.get(pk=continuation.pk).context == {"trace": "abc"}


@pytest.mark.django_db(transaction=True)
def test_an_end_is_told_outside_its_transaction() -> None:
    depths = []

    def note(**_: Any) -> None:
        depths.append(connection.in_atomic_block)

    signals.succeeded.connect(note)
    signals.step_completed.connect(note)
    try:
        run_until_finished(Import.enqueue())
    finally:
        signals.succeeded.disconnect(note)
        signals.step_completed.disconnect(note)
    assert depths == [False] * 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("running", [False, True])
def test_every_signal_comes_with_its_arguments_and_after_its_commit(
    heard: list[Any], running: bool, redis_url: str
) -> None:
    """Whoever looks from another connection, such as a worker or a browser, sees what the signal tells of."""
    early = set()

    def look(signal: Signal, **_: Any) -> None:
        if connection.in_atomic_block:
            early.update(name for name in NAMES if getattr(signals, name) is signal)

    for name in NAMES:
        getattr(signals, name).connect(look)
    try:
        _live_every_life(running=running)
    finally:
        for name in NAMES:
            getattr(signals, name).disconnect(look)
    assert set(names(heard)) == set(NAMES)
    assert early == {"enqueueing"}


def _live_every_life(*, running: bool) -> None:
    """`running`: pausing and cancelling are asked of an execution, which heeds them; else nothing runs."""

    def ask(continuation: Continuation, verb: str) -> None:
        if not running:
            getattr(continuation, verb)()
            return

        def somebody(_: ContinuableJob) -> None:
            found = Continuation.objects.get(pk=continuation.pk)
            if found.status == "running":
                getattr(found, verb)()

        with stopping_when(somebody):
            run(continuation)
        continuation.refresh_from_db()

    with transaction.atomic():
        paused = Import.enqueue()
    ask(paused, "pause")
    paused.resume()
    run(paused)
    paused.rerun_from("load")
    paused.send("hello")
    run(paused)
    ask(Import.enqueue(), "cancel")
    for error in ("key", "value", "connection"):
        run(Raises.enqueue(error))
    lost = Import.enqueue()
    Continuation.objects.filter(pk=lost.pk).update(check_after=timezone.now() - dt.timedelta(hours=1))
    django_rq.get_connection("default").flushall()
    assert [each.action for each in Continuation.objects.recover()] == ["delivered again"]


def run(continuation: Continuation) -> None:
    """One execution, here."""
    continuation.refresh_from_db()
    execute(continuation.pk, continuation.delivery, Bench())


@pytest.mark.django_db(transaction=True)
def test_a_rollback_of_the_caller_tells_nobody(heard: list[Any]) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Import.enqueue()
        1 / 0
    assert names(heard) == ["enqueueing"]
