"""Sentry: a failure is reported once, with what a person needs to find it; an interruption is none. Extra `[sentry]`.

Add the integration where the project starts Sentry; RQ's own may stay, and finds nothing left to report::

    sentry_sdk.init(dsn=..., integrations=[ContinuationsIntegration()])
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import sentry_sdk
from sentry_sdk.integrations import Integration
from sentry_sdk.scope import add_global_event_processor
from sentry_sdk.utils import event_from_exception

from .. import log, signals
from ..errors import ContinuationFailed

if TYPE_CHECKING:
    import uuid

    from sentry_sdk.types import Event, Hint

    from ..models import Continuation, Execution

TAG = "continuation"
# Seconds that a horse waits at its end for a report to be sent.
FLUSH_TIMEOUT = 2.0

# The failure that was reported last: RQ, a view that called `perform_now` and others come across it once more.
_reported: ContextVar[BaseException | None] = ContextVar("continuations.reported", default=None)
# What is set for an execution, to be taken back at its end.
_scopes: dict[uuid.UUID, ExitStack] = {}


class ContinuationsIntegration(Integration):
    """Tags all that is reported while a job runs, and reports its failure."""

    identifier = "continuations"

    @staticmethod
    def setup_once() -> None:
        """Called by Sentry, once in a process."""
        for signal, receiver in (
            (signals.execution_started, _start),
            (signals.step_started, _start_step),
            (signals.step_completed, _complete_step),
            (signals.failed, _fail),
            (signals.execution_ended, _end),
        ):
            signal.connect(receiver, dispatch_uid=f"{__name__}.{receiver.__name__}")
        add_global_event_processor(_drop_repeats)


def _is_on() -> bool:
    return sentry_sdk.get_client().get_integration(ContinuationsIntegration) is not None


def _start(continuation: Continuation, execution: Execution, **_: Any) -> None:
    if not _is_on():
        return
    _reported.set(None)
    scopes = _scopes[execution.pk] = ExitStack()
    scope = scopes.enter_context(sentry_sdk.isolation_scope())
    scope.set_tag(f"{TAG}.id", str(continuation.pk))
    scope.set_tag(f"{TAG}.job", continuation.job_path)
    scope.set_context(TAG, _facts(continuation, None, None))
    # Otherwise all jobs were called continuations.runner.run.
    sentry_sdk.get_current_scope().set_transaction_name(continuation.job_path, source="task")


def _start_step(step: str, **_: Any) -> None:
    if _scopes:
        sentry_sdk.get_isolation_scope().set_tag(f"{TAG}.step", step)


def _complete_step(**_: Any) -> None:
    if _scopes:
        sentry_sdk.get_isolation_scope().remove_tag(f"{TAG}.step")


def _fail(continuation: Continuation, step: str | None, cursor: Any, error: BaseException, **_: Any) -> None:
    if not _is_on():
        return
    with sentry_sdk.new_scope() as scope:
        scope.set_context(TAG, _facts(continuation, step, cursor))
        client = sentry_sdk.get_client()
        mechanism = {"type": ContinuationsIntegration.identifier, "handled": False}
        event, hint = event_from_exception(error, client_options=client.options, mechanism=mechanism)
        sentry_sdk.capture_event(event, hint=hint)
    _reported.set(error)
    if "RQ_JOB_ID" in os.environ:
        # A horse, which RQ ends by os._exit.
        client.flush(FLUSH_TIMEOUT)


def _end(execution: Execution, **_: Any) -> None:
    if (scopes := _scopes.pop(execution.pk, None)) is not None:
        scopes.close()


def _facts(continuation: Continuation, step: str | None, cursor: Any) -> dict[str, Any]:
    """As the log tells them."""
    facts = log.fields(continuation, step, cursor, None)
    return {
        "id": facts["continuation_id"],
        "job": facts["job"],
        "queue": continuation.queue_name,
        "step": facts["step"],
        "cursor": facts["cursor"],
        "execution": facts["execution"],
        "resumptions": continuation.resumptions,
        "crashes": continuation.crashes,
    }


def _drop_repeats(event: Event, hint: Hint) -> Event | None:
    """A failure comes by again: as our line in the log, as the exception of RQ's job, and from the anchor, later."""
    if not _is_on():
        return event
    record = hint.get("log_record")
    if record is not None and record.name == log.logger.name and record.exc_info and _tells_of_an_error(record):
        return None
    _, error, _ = hint.get("exc_info") or (None, None, None)
    repeats = error is not None and (isinstance(error, ContinuationFailed) or error is _reported.get())
    return None if repeats else event


def _tells_of_an_error(record: Any) -> bool:
    return getattr(record, "reason", None) == "error"
