"""OpenTelemetry: one trace for each continuation, and metrics, in memory and from real workers."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from continuations import ContinuableJob, Step, discard_on, retry_on
from continuations.contrib.opentelemetry import CARRIER, instrument, uninstrument
from continuations.models import Continuation
from continuations.testing import crash_during, interrupt_during, run_enqueued, run_until_finished, stopping_when
from tests.processes import Worker, eventually
from tests.shop.jobs import Count
from tests.shop.models import Applied
from tests.watched.files import lines

pytestmark = pytest.mark.django_db


class Telemetry:
    """What was exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._reader])
        self.tracer = self.tracer_provider.get_tracer("the project")

    @property
    def spans(self) -> list[ReadableSpan]:
        """In the order in which they began."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def span(self, name: str) -> Any:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def metric(self, name: str) -> list[Any]:
        """Data points of a metric."""
        data = self._reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        (found,) = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return list(found.data.data_points)

    def counts(self, name: str, *attributes: str) -> dict[Any, int]:
        """Counts of a metric by these attributes, without their prefix."""
        return {
            tuple(point.attributes[f"continuations.{each}"] for each in attributes): point.value
            for point in self.metric(name)
        }


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    instrument(tracer_provider=telemetry.tracer_provider, meter_provider=telemetry.meter_provider)
    yield telemetry
    uninstrument()
    assert trace.get_current_span() is trace.INVALID_SPAN, "a context was left attached"


class Import(ContinuableJob):
    queue_name = "imports"

    def perform(self) -> None:
        self.step("validate", lambda: None)
        self.step("load", self.load)

    def load(self, step: Step) -> None:
        for _ in step.iterate(["a", "b", "c"]):
            pass


class Parent(ContinuableJob):
    def perform(self) -> None:
        self.step("start", Import.enqueue)

    def on_success(self) -> None:
        Import.enqueue()


@discard_on(KeyError)
@retry_on(ConnectionError, wait=0, attempts=2)
class Raises(ContinuableJob):
    def perform(self, error: str) -> None:
        self.step("work", lambda: self.work(error))

    def work(self, error: str) -> None:
        raise {"key": KeyError, "value": ValueError, "connection": ConnectionError}[error]("secret")


def context_of(span: ReadableSpan) -> Any:
    assert span.context is not None
    return span.context


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


# Traces


def test_a_continuation_is_one_trace_across_interruptions(telemetry: Telemetry) -> None:
    continuation = Import.enqueue()
    with interrupt_during(Import, "load", cursor=1):
        run_enqueued()
    run_until_finished(continuation)
    assert telemetry.names == [
        "enqueue Import",
        *("perform Import", "step validate", "step load"),
        *("perform Import", "step load"),
    ]
    assert len({context_of(span).trace_id for span in telemetry.spans}) == 1
    enqueue, first, validate, load, second, rest = telemetry.spans
    assert parent_of(enqueue) is None
    assert parent_of(first) == parent_of(second) == context_of(enqueue).span_id
    assert parent_of(validate) == parent_of(load) == context_of(first).span_id
    assert parent_of(rest) == context_of(second).span_id


def test_attributes_have_the_semantic_names(telemetry: Telemetry) -> None:
    continuation = Import.enqueue()
    run_until_finished(continuation)
    common = {
        "messaging.system": "rq",
        "messaging.destination.name": "imports",
        "messaging.message.id": str(continuation.pk),
        "continuations.job": "tests.test_opentelemetry.Import",
        "code.function.name": "tests.test_opentelemetry.Import.perform",
    }
    enqueue, perform = telemetry.span("enqueue Import"), telemetry.span("perform Import")
    assert enqueue.kind is SpanKind.PRODUCER
    assert dict(enqueue.attributes) == {
        **common,
        "messaging.operation.name": "enqueue",
        "messaging.operation.type": "send",
    }
    assert perform.kind is SpanKind.CONSUMER
    assert dict(perform.attributes) == {
        **common,
        "messaging.operation.name": "perform",
        "messaging.operation.type": "process",
        "continuations.execution": 1,
        "continuations.resumptions": 0,
        "continuations.outcome": "succeeded",
    }


def test_an_interruption_is_no_error_and_says_why_and_where(telemetry: Telemetry) -> None:
    Import.enqueue()
    with interrupt_during(Import, "load", cursor=2, reason="throttled"):
        run_enqueued()
    perform, load = telemetry.span("perform Import"), telemetry.span("step load")
    for span in (perform, load):
        assert span.status.status_code is StatusCode.UNSET
        assert span.events == ()
        assert span.attributes["continuations.outcome"] == "interrupted"
        assert span.attributes["continuations.reason"] == "throttled"
    assert load.attributes["continuations.cursor.end"] == "2"


def test_a_resumed_execution_says_what_it_skips_and_where_it_goes_on(telemetry: Telemetry) -> None:
    continuation = Import.enqueue()
    with interrupt_during(Import, "load", cursor=1):
        run_enqueued()
    run_until_finished(continuation)
    second, load = telemetry.spans[-2:]
    assert [(event.name, dict(event.attributes or {})) for event in second.events] == [
        ("step skipped", {"continuations.step": "validate"})
    ]
    attributes = dict(load.attributes or {})
    assert attributes["continuations.step.resumed"] is True
    assert attributes["continuations.cursor.start"] == "1"
    assert attributes["continuations.cursor.end"] == "3"


def test_a_failure_is_an_error_of_its_step_and_its_execution(telemetry: Telemetry) -> None:
    Raises.enqueue("value")
    with contextlib.suppress(ValueError):
        run_enqueued()
    for span in (telemetry.span("perform Raises"), telemetry.span("step work")):
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description == "ValueError: secret"
        assert [event.name for event in span.events] == ["exception"]
        assert span.attributes["error.type"] == "ValueError"


@pytest.mark.parametrize(("error", "outcome"), [("key", "discarded"), ("connection", "interrupted")])
def test_errors_that_are_discarded_or_retried_are_no_errors_of_a_span(
    telemetry: Telemetry, error: str, outcome: str
) -> None:
    Raises.enqueue(error)
    run_enqueued()
    for span in telemetry.spans:
        assert span.status.status_code is StatusCode.UNSET
        assert span.events == ()
    assert telemetry.span("perform Raises").attributes["continuations.outcome"] == outcome


def test_children_continue_the_trace_of_their_parent(telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("request"):
        Parent.enqueue()
    while run_enqueued():
        pass
    assert len({context_of(span).trace_id for span in telemetry.spans}) == 1
    request, parent, start = map(telemetry.span, ("request", "perform Parent", "step start"))
    assert parent_of(telemetry.span("enqueue Parent")) == request.context.span_id
    in_a_step, in_the_hook = [span for span in telemetry.spans if span.name == "enqueue Import"]
    assert parent_of(in_a_step) == start.context.span_id
    assert parent_of(in_the_hook) == parent.context.span_id


def test_two_continuations_are_two_traces(telemetry: Telemetry) -> None:
    Import.enqueue()
    Import.enqueue()
    run_enqueued()
    assert len({context_of(span).trace_id for span in telemetry.spans}) == 2


def test_the_trace_of_whoever_runs_it_is_another_matter(telemetry: Telemetry) -> None:
    Import.enqueue()
    with telemetry.tracer.start_as_current_span("worker"):
        run_enqueued()
    worker = telemetry.span("worker")
    assert not [span for span in telemetry.spans if parent_of(span) == worker.context.span_id]


def test_spans_of_the_project_nest_under_the_step(telemetry: Telemetry) -> None:
    class Traced(ContinuableJob):
        __qualname__ = "Traced"

        def perform(self) -> None:
            with telemetry.tracer.start_as_current_span("outside"):
                pass
            self.step("plain", self.plain)
            self.step("asynchronous", self.asynchronous)

        def plain(self) -> None:
            with telemetry.tracer.start_as_current_span("inside"):
                pass

        async def asynchronous(self) -> None:
            with telemetry.tracer.start_as_current_span("inside async"):
                pass

    run_until_finished(Traced.enqueue())
    nesting = {
        child: context_of(telemetry.span(parent)).span_id
        for child, parent in (
            ("outside", "perform Traced"),
            ("inside", "step plain"),
            ("inside async", "step asynchronous"),
        )
    }
    assert nesting == {child: parent_of(telemetry.span(child)) for child in nesting}


def test_a_trace_that_is_not_sampled_stays_so(telemetry: Telemetry) -> None:
    unsampled = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(0))
    with trace.use_span(trace.NonRecordingSpan(unsampled)):
        continuation = Import.enqueue()
    run_until_finished(continuation)
    assert telemetry.spans == []
    assert continuation.context[CARRIER]["traceparent"].startswith(f"00-{1:032x}-")


def test_an_execution_that_was_superseded_ends_its_spans_without_an_outcome(telemetry: Telemetry) -> None:
    continuation = Import.enqueue()

    def take_away(job: ContinuableJob) -> None:
        Continuation.objects.filter(pk=continuation.pk).update(owner=None)

    with stopping_when(take_away):
        run_enqueued()
    assert "continuations.outcome" not in telemetry.span("perform Import").attributes


def test_what_was_enqueued_before_anybody_listened_gets_a_trace_of_its_own(telemetry: Telemetry) -> None:
    continuation = Import.enqueue()
    Continuation.objects.filter(pk=continuation.pk).update(context={})
    run_until_finished(continuation)
    assert parent_of(telemetry.span("perform Import")) is None


def test_without_an_sdk_nothing_is_carried_and_everything_runs() -> None:
    instrument()
    try:
        continuation = run_until_finished(Import.enqueue())
    finally:
        uninstrument()
    assert continuation.status == "succeeded"
    assert continuation.context == {}


def test_a_second_call_replaces_the_first(telemetry: Telemetry) -> None:
    other = Telemetry()
    instrument(tracer_provider=other.tracer_provider, meter_provider=other.meter_provider)
    run_until_finished(Import.enqueue())
    assert telemetry.spans == []
    assert other.names.count("perform Import") == 1


# Metrics


def test_executions_interruptions_and_outcomes_are_counted(
    telemetry: Telemetry, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        continuation = Import.enqueue()
        Raises.enqueue("key")
    with interrupt_during(Import, "load", cursor=1):
        run_enqueued()
    with crash_during(Import, "load", cursor=2):
        run_enqueued()
    run_until_finished(continuation)
    Raises.enqueue("value")
    with contextlib.suppress(ValueError):
        run_enqueued()
    imports, raises = (f"tests.test_opentelemetry.{name}" for name in ("Import", "Raises"))
    assert telemetry.counts("continuations.enqueued", "job") == {(imports,): 1, (raises,): 1}
    assert telemetry.counts("continuations.executions", "job") == {(imports,): 3, (raises,): 2}
    assert telemetry.counts("continuations.interruptions", "job", "reason") == {(imports, "stopping"): 1}
    assert telemetry.counts("continuations.finished", "job", "outcome") == {
        (imports, "succeeded"): 1,
        (raises, "discarded"): 1,
        (raises, "failed"): 1,
    }


def test_durations_are_measured_in_seconds(telemetry: Telemetry) -> None:
    run_until_finished(Import.enqueue())
    Raises.enqueue("value")
    with contextlib.suppress(ValueError):
        run_enqueued()
    processing = {
        (point.attributes["messaging.destination.name"], point.attributes.get("error.type")): point.count
        for point in telemetry.metric("messaging.process.duration")
    }
    assert processing == {("imports", None): 1, ("default", "ValueError"): 1}
    lifetimes = telemetry.metric("continuations.duration")
    assert {point.attributes["continuations.outcome"] for point in lifetimes} == {"succeeded", "failed"}
    assert all(0 <= point.sum < 600 for point in lifetimes)


def test_somebodys_cancel_is_counted(telemetry: Telemetry, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        Import.enqueue().cancel()
    (point,) = telemetry.metric("continuations.finished")
    assert point.attributes["continuations.outcome"] == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_recoveries_are_counted_by_action(telemetry: Telemetry, redis_url: str) -> None:
    continuation = Count.enqueue("run", 1)
    import redis

    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    Continuation.objects.filter(pk=continuation.pk).update(check_after=continuation.created_at)
    assert len(Continuation.objects.recover()) == 1
    assert telemetry.counts("continuations.recoveries", "action") == {("delivered again",): 1}


# Workers


@pytest.fixture
def watched(tmp_path: Path) -> dict[str, str]:
    return {"DJANGO_SETTINGS_MODULE": "tests.watched.settings", "WATCHED": str(tmp_path)}


@pytest.mark.workers
def test_a_horse_exports_its_spans_before_it_ends(start_worker: Any, watched: dict[str, str], tmp_path: Path) -> None:
    continuation = Count.enqueue("run", 400)
    first: Worker = start_worker("default", environ=watched)
    eventually(lambda: Applied.objects.filter(run="run", item="3").exists(), first.output)
    first.signal(signal.SIGTERM)
    first.wait()
    start_worker("default", "--burst", environ=watched).wait()
    continuation.refresh_from_db()
    assert continuation.status == "succeeded"
    spans = lines(tmp_path / "spans")
    performed = [span["attributes"] for span in spans if span["name"] == "perform Count"]
    assert [span["continuations.outcome"] for span in performed] == ["interrupted", "succeeded"]
    assert performed[0]["continuations.reason"] == "stopping"
    assert performed[0]["messaging.client.id"]
    assert [span["name"] for span in spans].count("step count") == 2


@pytest.mark.workers
def test_a_killed_horse_loses_the_spans_of_its_execution_only(
    start_worker: Any, watched: dict[str, str], tmp_path: Path
) -> None:
    instrument(tracer_provider=(provider := TracerProvider()))
    try:
        continuation = Count.enqueue("run", 300)
    finally:
        uninstrument()
        provider.shutdown()
    worker: Worker = start_worker("default", environ=watched)
    eventually(lambda: Applied.objects.filter(run="run", item="3").exists(), worker.output)
    for horse in {applied.pid for applied in Applied.objects.all()}:
        worker.signal_pid(horse, signal.SIGKILL)
    eventually(lambda: Continuation.objects.get().status == "succeeded", worker.output)
    spans = eventually(lambda: lines(tmp_path / "spans"), worker.output)
    (performed,) = [span for span in spans if span["name"] == "perform Count"]
    assert performed["attributes"]["continuations.execution"] == 2
    carried = continuation.context[CARRIER]["traceparent"].split("-")
    assert performed["context"]["trace_id"] == f"0x{carried[1]}"
    assert performed["parent_id"] == f"0x{carried[2]}"
