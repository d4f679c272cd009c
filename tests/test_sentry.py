"""Sentry, with a transport that keeps what would be sent."""

from __future__ import annotations

import contextlib
import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport

from continuations import ContinuableJob, Step, discard_on, retry_on
from continuations.contrib.sentry import ContinuationsIntegration
from continuations.models import Continuation
from continuations.testing import interrupt_during, run_enqueued, run_until_finished
from tests.processes import Worker, eventually
from tests.shop.jobs import Count, Fails
from tests.shop.models import Applied
from tests.watched.files import lines

pytestmark = pytest.mark.django_db


class Memory(Transport):
    """Keeps events."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event is not None:
            self.events.append(event)


@pytest.fixture
def events() -> Iterator[list[Any]]:
    transport = Memory()
    # Without those that patch Django and RQ for the rest of this process; workers have them.
    sentry_sdk.init(
        dsn="http://key@127.0.0.1/1",
        transport=transport,
        default_integrations=False,
        integrations=[ContinuationsIntegration(), DedupeIntegration(), LoggingIntegration()],
    )
    yield transport.events
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


@discard_on(KeyError)
@retry_on(ConnectionError, wait=0, attempts=2)
class Breaks(ContinuableJob):
    queue_name = "imports"

    def perform(self, error: str) -> None:
        self.step("prepare", lambda: sentry_sdk.capture_message("prepared"))
        self.step("load", lambda step: self.load(step, error))
        sentry_sdk.capture_message("between steps")

    def load(self, step: Step, error: str) -> None:
        for item in step.iterate(["a", "b", "c"]):
            if item == "b":
                raise {"key": KeyError, "value": ValueError, "connection": ConnectionError}[error]("broken")


class FailsAtOnce(ContinuableJob):
    def perform(self) -> None:
        raise ValueError("broken")


class Passes(ContinuableJob):
    def perform(self) -> None:
        self.step("load", lambda step: [sentry_sdk.capture_message(item) for item in step.iterate(["a", "b", "c"])])
        sentry_sdk.capture_message("after")


def errors(events: list[Any]) -> list[str]:
    return [event["exception"]["values"][-1]["type"] for event in events if "exception" in event]


class Unresumed(Breaks):
    resume_errors_after_advancing = False


def test_a_failure_carries_job_step_cursor_and_id(events: list[Any]) -> None:
    continuation = Unresumed.enqueue("value")
    with contextlib.suppress(ValueError):
        run_enqueued()
    assert errors(events) == ["ValueError"]
    event = events[-1]
    path = "tests.test_sentry.Unresumed"
    assert event["tags"] == {
        "continuation.id": str(continuation.pk),
        "continuation.job": path,
        "continuation.step": "load",
    }
    assert event["contexts"]["continuation"] == {
        "id": str(continuation.pk),
        "job": path,
        "queue": "imports",
        "step": "load",
        "cursor": 1,
        "execution": 1,
        "resumptions": 0,
        "crashes": 0,
    }
    assert event["transaction"] == path
    assert event["exception"]["values"][-1]["mechanism"] == {"type": "continuations", "handled": False}


def test_other_errors_in_our_log_are_reported(events: list[Any]) -> None:
    logging.getLogger("continuations").error("stored but not delivered")
    assert [event["logger"] for event in events] == ["continuations"]


def test_what_a_job_reports_itself_is_tagged_too(events: list[Any]) -> None:
    continuation = Passes.enqueue()
    run_until_finished(continuation)
    assert [(event["message"], event["tags"].get("continuation.step")) for event in events] == [
        *(("a", "load"), ("b", "load"), ("c", "load")),
        ("after", None),
    ]
    assert {event["tags"]["continuation.id"] for event in events} == {str(continuation.pk)}


def test_an_interruption_is_not_reported(events: list[Any]) -> None:
    Passes.enqueue()
    with interrupt_during(Passes, "load", cursor=2):
        run_enqueued()
    assert [event["message"] for event in events] == ["a", "b"]


@pytest.mark.parametrize("error", ["key", "connection"])
def test_an_error_that_is_discarded_or_retried_is_not_reported(events: list[Any], error: str) -> None:
    Breaks.enqueue(error)
    run_enqueued()
    assert errors(events) == []


def test_a_caller_that_gets_the_error_does_not_report_it_again(events: list[Any]) -> None:
    with pytest.raises(ValueError) as caught:
        FailsAtOnce.perform_now()
    sentry_sdk.capture_exception(caught.value)
    assert errors(events) == ["ValueError"]
    sentry_sdk.capture_exception(ValueError("another"))
    assert errors(events) == ["ValueError", "ValueError"]


def test_tags_do_not_outlive_the_execution(events: list[Any]) -> None:
    FailsAtOnce.enqueue()
    with contextlib.suppress(ValueError):
        run_enqueued()
    sentry_sdk.capture_message("later")
    assert "tags" not in events[-1]
    assert "continuation" not in events[-1]["contexts"]


def test_a_job_inside_a_job_leaves_the_outer_one_its_tags(events: list[Any]) -> None:
    class Outer(ContinuableJob):
        __qualname__ = "Outer"

        def perform(self) -> None:
            self.step("nest", self.nest)

        def nest(self) -> None:
            Passes.perform_now()
            sentry_sdk.capture_message("outer")

    run_until_finished(Outer.enqueue())
    assert events[-1]["tags"]["continuation.step"] == "nest"
    assert events[-1]["tags"]["continuation.job"].endswith("Outer")


def test_without_the_integration_nothing_is_reported_or_dropped() -> None:
    transport = Memory()
    sentry_sdk.init(dsn="http://key@127.0.0.1/1", transport=transport, default_integrations=False)
    try:
        with pytest.raises(ValueError) as caught:
            FailsAtOnce.perform_now()
        assert transport.events == []
        sentry_sdk.capture_exception(caught.value)
        assert errors(transport.events) == ["ValueError"]
    finally:
        sentry_sdk.get_client().close()
        sentry_sdk.get_global_scope().set_client(None)


# Workers, with all integrations that Sentry finds by itself: RQ, Django, logging


@pytest.fixture
def watched(tmp_path: Path) -> dict[str, str]:
    return {"DJANGO_SETTINGS_MODULE": "tests.watched.settings", "WATCHED": str(tmp_path)}


@pytest.mark.workers
@pytest.mark.parametrize("worker_class", ["rq.Worker", "rq.SimpleWorker"])
def test_rq_reports_a_failure_no_second_time(
    start_worker: Any, watched: dict[str, str], tmp_path: Path, worker_class: str
) -> None:
    continuation = Fails.enqueue("run")
    start_worker("default", "--burst", worker_class=worker_class, environ=watched).wait()
    assert Continuation.objects.get().status == "failed"
    (event,) = lines(tmp_path / "events")
    assert errors([event]) == ["ValueError"]
    assert event["tags"]["continuation.step"] == "second"
    assert event["exception"]["values"][-1]["mechanism"]["type"] == "continuations"
    assert event["contexts"]["continuation"]["step"] == "second"
    # It fails again in another delivery, of which the anchor tells RQ too.
    Continuation.objects.get().retry()
    start_worker("default", "--burst", worker_class=worker_class, environ=watched).wait()
    assert Continuation.objects.get(pk=continuation.pk, executions=3, anchor_open=False).status == "failed"
    assert errors(lines(tmp_path / "events")) == ["ValueError", "ValueError"]


@pytest.mark.workers
def test_rq_reports_neither_an_interruption_nor_a_cancellation(
    start_worker: Any, watched: dict[str, str], tmp_path: Path
) -> None:
    continuation = Count.enqueue("run", 400)
    worker: Worker = start_worker("default", environ=watched)
    eventually(lambda: Applied.objects.filter(run="run", item="3").exists(), worker.output)
    worker.signal(signal.SIGTERM)
    worker.wait()
    assert Continuation.objects.get().status == "interrupted"
    Continuation.objects.get(pk=continuation.pk).cancel()
    start_worker("default", "--burst", environ=watched).wait()
    assert not Continuation.objects.get().anchor_open
    assert lines(tmp_path / "events") == []
