"""OpenTelemetry: one trace for each continuation, from its `enqueue` to its end, and metrics. Needs the extra `[otel]`.

One line in the `ready()` of an `AppConfig` of yours turns it on::

    continuations.contrib.opentelemetry.instrument()

Where spans and metrics go is what the OpenTelemetry SDK is told, before or after that line.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry import context, metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode

import continuations

from .. import log, signals
from ..errors import text_of

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable
    from contextvars import Token

    from django.dispatch import Signal
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from ..models import Continuation, Execution

NAME = "continuations"
# Key in `Continuation.context`, under which the headers of the trace are.
CARRIER = "opentelemetry"
# Milliseconds that a horse waits at its end for what it has not exported yet; exporters may take longer all the same.
FLUSH_TIMEOUT = 5_000
# What a cursor may add to a span, in characters.
CURSOR_LENGTH = 200

_listening: Listener | None = None


def instrument(*, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None) -> None:
    """Listen, with the global providers unless others are given. A second call replaces the first."""
    global _listening
    uninstrument()
    _listening = Listener(tracer_provider, meter_provider)
    _listening.connect()


def uninstrument() -> None:
    """Listen no more."""
    global _listening
    if _listening is not None:
        _listening.disconnect()
    _listening = None


@dataclass
class _Open:
    """The spans of an execution that runs in this process."""

    span: Span
    token: Token[Context]
    started_at: float = field(default_factory=time.perf_counter)
    step: Span | None = None
    step_token: Token[Context] | None = None
    error: BaseException | None = None

    def end_step(self) -> None:
        if self.step is not None and self.step_token is not None:
            self.step.end()
            context.detach(self.step_token)
        self.step = self.step_token = None


class Listener:
    """Receivers of the signals. Spans live in this process only: one that is killed loses those of its execution."""

    def __init__(self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None) -> None:
        self._tracer_provider, self._meter_provider = tracer_provider, meter_provider
        self._tracer = trace.get_tracer(NAME, continuations.__version__, tracer_provider)
        meter = metrics.get_meter(NAME, continuations.__version__, meter_provider)
        self._enqueued = meter.create_counter("continuations.enqueued", "{continuation}", "Enqueued continuations")
        self._executions = meter.create_counter("continuations.executions", "{execution}", "Executions started")
        self._interruptions = meter.create_counter(
            "continuations.interruptions",
            "{interruption}",
            "Executions that ended before their continuation, by reason",
        )
        self._finished = meter.create_counter(
            "continuations.finished", "{continuation}", "Continuations that ended, by outcome"
        )
        self._recoveries = meter.create_counter(
            "continuations.recoveries", "{recovery}", "What recovery did, by action"
        )
        self._lifetime = meter.create_histogram(
            "continuations.duration", "s", "From enqueueing to the end of a continuation, waiting included"
        )
        self._processing = meter.create_histogram("messaging.process.duration", "s", "Duration of an execution")
        self._open: dict[uuid.UUID, _Open] = {}
        self._receivers: dict[Signal, Callable[..., None]] = {
            signals.enqueueing: self._note_enqueueing,
            signals.enqueued: self._note_enqueued,
            signals.execution_started: self._start,
            signals.step_started: self._start_step,
            signals.step_completed: self._complete_step,
            signals.step_skipped: self._skip_step,
            signals.interrupted: self._interrupt,
            signals.succeeded: self._succeed,
            signals.failed: self._fail,
            signals.discarded: self._discard,
            signals.cancelled: self._cancel,
            signals.execution_ended: self._end,
            signals.recovered: self._recover,
        }

    def connect(self) -> None:
        """Start listening."""
        for signal, receiver in self._receivers.items():
            signal.connect(receiver)

    def disconnect(self) -> None:
        """Stop listening."""
        for signal, receiver in self._receivers.items():
            signal.disconnect(receiver)

    # Enqueueing

    def _note_enqueueing(self, continuation: Continuation, **_: Any) -> None:
        # Ended at once: when the transaction commits, and if it does, is nothing to wait for.
        span = self._tracer.start_span(
            f"enqueue {continuation.job_name}",
            kind=SpanKind.PRODUCER,
            attributes=_attributes(continuation, "enqueue", "send"),
        )
        span.end()
        carrier: dict[str, str] = {}
        propagate.inject(carrier, trace.set_span_in_context(span))
        if carrier:
            continuation.context[CARRIER] = carrier

    def _note_enqueued(self, continuation: Continuation, **_: Any) -> None:
        self._enqueued.add(1, _dimensions(continuation))

    # An execution

    def _start(self, continuation: Continuation, execution: Execution, **_: Any) -> None:
        parent = propagate.extract(continuation.context.get(CARRIER, {}), Context())
        span = self._tracer.start_span(
            f"perform {continuation.job_name}",
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes={
                **_attributes(continuation, "perform", "process"),
                **({"messaging.client.id": execution.worker} if execution.worker else {}),
                "continuations.execution": execution.number,
                "continuations.resumptions": continuation.resumptions,
            },
        )
        token = context.attach(trace.set_span_in_context(span, parent))
        self._open[execution.pk] = _Open(span, token)
        self._executions.add(1, _dimensions(continuation))

    def _start_step(self, continuation: Continuation, step: str, cursor: Any, resumed: bool, **_: Any) -> None:
        if (running := self._running(continuation)) is None:
            return
        running.end_step()
        attributes: dict[str, Any] = {"continuations.step": step, "continuations.step.resumed": resumed}
        attributes |= _cursor("continuations.cursor.start", continuation, cursor)
        running.step = self._tracer.start_span(f"step {step}", attributes=attributes)
        running.step_token = context.attach(trace.set_span_in_context(running.step))

    def _complete_step(self, continuation: Continuation, cursor: Any, **_: Any) -> None:
        if (running := self._running(continuation)) is None or running.step is None:
            return
        running.step.set_attributes(_cursor("continuations.cursor.end", continuation, cursor))
        running.end_step()

    def _skip_step(self, continuation: Continuation, step: str, **_: Any) -> None:
        if (running := self._running(continuation)) is not None:
            running.span.add_event("step skipped", {"continuations.step": step})

    def _interrupt(self, continuation: Continuation, execution: Execution, reason: str, cursor: Any, **_: Any) -> None:
        self._interruptions.add(1, _dimensions(continuation) | {"continuations.reason": reason})
        if (running := self._open.get(execution.pk)) is not None:
            facts = {"continuations.outcome": "interrupted", "continuations.reason": reason}
            running.span.set_attributes(facts)
            if running.step is not None:
                running.step.set_attributes(facts | _cursor("continuations.cursor.end", continuation, cursor))

    def _succeed(self, continuation: Continuation, execution: Execution, **_: Any) -> None:
        self._finish(continuation, execution, "succeeded")

    def _fail(self, continuation: Continuation, execution: Execution, error: BaseException, **_: Any) -> None:
        self._finish(continuation, execution, "failed")
        running = self._open.get(execution.pk)
        for span in () if running is None else (running.step, running.span):
            if span is not None:
                span.record_exception(error)
                span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {text_of(error)}")
                span.set_attribute("error.type", _name(error))
        if running is not None:
            running.error = error

    def _discard(self, continuation: Continuation, execution: Execution, **_: Any) -> None:
        self._finish(continuation, execution, "discarded")

    def _cancel(self, continuation: Continuation, execution: Execution | None = None, **_: Any) -> None:
        self._finish(continuation, execution, "cancelled")

    def _finish(self, continuation: Continuation, execution: Execution | None, outcome: str) -> None:
        dimensions = _dimensions(continuation) | {"continuations.outcome": outcome}
        self._finished.add(1, dimensions)
        if continuation.finished_at is not None:
            lifetime = continuation.finished_at - continuation.created_at
            self._lifetime.record(lifetime.total_seconds(), dimensions)
        if execution is not None and (running := self._open.get(execution.pk)) is not None:
            running.span.set_attribute("continuations.outcome", outcome)

    def _end(self, continuation: Continuation, execution: Execution, **_: Any) -> None:
        running = self._open.pop(execution.pk, None)
        if running is None:
            return
        running.end_step()
        running.span.end()
        context.detach(running.token)
        error_type = {} if running.error is None else {"error.type": _name(running.error)}
        self._processing.record(
            time.perf_counter() - running.started_at,
            _dimensions(continuation) | _operation("perform", "process") | error_type,
        )
        if "RQ_JOB_ID" in os.environ:
            # A horse, which RQ ends by os._exit.
            self._flush()

    def _running(self, continuation: Continuation) -> _Open | None:
        return None if continuation.owner is None else self._open.get(continuation.owner)

    def _flush(self) -> None:
        for provider in (
            self._tracer_provider or trace.get_tracer_provider(),
            self._meter_provider or metrics.get_meter_provider(),
        ):
            flush = getattr(provider, "force_flush", None)
            if flush is not None:
                flush(FLUSH_TIMEOUT)

    # Recovery

    def _recover(self, continuation: Continuation, action: str, **_: Any) -> None:
        self._recoveries.add(1, _dimensions(continuation) | {"continuations.action": action})


def _attributes(continuation: Continuation, name: str, kind: str) -> dict[str, Any]:
    """What a span of a message says. The names are OpenTelemetry's where it has some."""
    message = {"messaging.message.id": str(continuation.pk), "code.function.name": f"{continuation.job_path}.perform"}
    return _operation(name, kind) | _dimensions(continuation) | message


def _operation(name: str, kind: str) -> dict[str, Any]:
    return {"messaging.system": "rq", "messaging.operation.name": name, "messaging.operation.type": kind}


def _dimensions(continuation: Continuation) -> dict[str, Any]:
    """By what metrics can be told apart: as many series as there are job classes and queues."""
    return {"continuations.job": continuation.job_path, "messaging.destination.name": continuation.queue_name}


def _cursor(name: str, continuation: Continuation, cursor: Any) -> dict[str, str]:
    """The cursor as the log shows it."""
    shown = log.fields(continuation, None, cursor, None)["cursor"]
    return {} if shown is None else {name: repr(shown)[:CURSOR_LENGTH]}


def _name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
