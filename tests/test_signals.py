"""Signals: every boundary, after its commit, and no receiver can disturb a job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.dispatch import Signal

from continuations import ContinuableJob, Step, discard_on, retry_on, signals
from continuations.models import Continuation
from continuations.testing import interrupt_during, run_enqueued, run_until_finished, stopping_when

pytestmark = pytest.mark.django_db

NAMES = [name for name, value in vars(signals).items() if isinstance(value, Signal)]


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What was sent meanwhile: name of the signal, and its arguments."""
    heard: list[tuple[str, dict[str, Any]]] = []
    receivers = []
    for name in NAMES:

        def note(name: str = name, **facts: Any) -> None:
            assert facts.pop("signal") is getattr(signals, name)
            assert facts.pop("sender") is Continuation
            heard.append((name, facts))

        getattr(signals, name).connect(note)
        receivers.append((name, note))
    yield heard
    for name, note in receivers:
        getattr(signals, name).disconnect(note)


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
def test_a_rollback_of_the_caller_tells_nobody(heard: list[Any]) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Import.enqueue()
        1 / 0
    assert names(heard) == ["enqueueing"]
