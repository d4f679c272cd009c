"""Every error this package raises. Each says what happened, to which job, step and value, and what was expected."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .rests import Rest


class ContinuationError(Exception):
    """Base of all errors of this package. Never resumed automatically: the same code would raise it again."""


class JobDefinitionError(ContinuationError, TypeError):
    """A job class is written wrongly: a misspelt option, a reserved name, a class that a worker cannot import."""


class JobClassError(ContinuationError):
    """The stored path leads to no `ContinuableJob`. Put it back, or name the path in the `aliases` of its successor."""


class UnknownQueueError(ContinuationError):
    """The job's queue is not a key of `RQ_QUEUES`. Add it there, or correct the job's `queue_name`."""


class InvalidStepError(ContinuationError):
    """A step was met that cannot run here: bad name, met twice, nested, or not the one the stored progress expects.

    The last one is code that has changed under a job. The message says which of three things helps: putting the step
    back, `renamed_steps`, or `rerun_from`.
    """


class CheckpointError(ContinuationError):
    """A checkpoint, step or block was opened inside a transaction that would make it untrue."""


class UnadvanceableCursorError(ContinuationError):
    """`advance()` found a cursor without a successor. Give `start=` or `from_=`, or register the type."""


class SerializationError(ContinuationError, TypeError):
    """A value cannot be stored. Raised by the call that received it, before anything is written."""


class DeserializationError(ContinuationError):
    """A stored value cannot be read back, for example because its model instance was deleted."""


class NoProgressError(ContinuationError):
    """The job was told to end (time-out, shutdown) before it had advanced; running it again would not help."""


class ResumeLimitError(ContinuationError):
    """The continuation was resumed more often than its `max_resumptions` allows. Its progress is kept."""


class CrashLimitError(ContinuationError):
    """The process died `max_crashes` times in a row without any progress. Its progress is kept."""


class KeyConflictError(ContinuationError):
    """An unfinished continuation has the key, and cannot be returned.

    At `enqueue`, inside a transaction that keeps to a snapshot older than that continuation: run the transaction
    again. At `retry`: wait until that continuation has ended, or cancel it.
    """


class TransitionError(ContinuationError):
    """A verb was called in a status that does not allow it; the message names both."""


class BusyError(ContinuationError):
    """A verb found the continuation locked by somebody else for too long. Nothing was changed; try again."""


class WaitTimeout(ContinuationError, TimeoutError):  # noqa: N818 - as Python's own of that kind
    """`wait_for` came to the end of its timeout without the event. Without `default=`, catch it or fail."""


class NotRunningError(ContinuationError):
    """A job's steps were called outside an execution. Use `perform_now(...)` or `enqueue(...)`."""


class ContinuationFailed(ContinuationError):  # noqa: N818 - reads as the fact it reports
    """What RQ is told when a delivery finds that its continuation has failed or was cancelled."""


class Interrupt(BaseException):
    """Leaves the current execution at a checkpoint. Not an `Exception`, so that `except Exception` lets it pass.

    Raised in one place (`Stopping.leave`) and caught in one place (the execution). Do not catch it.
    """

    def __init__(self, reason: str, *, wait: float | None = None, rest: Rest | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        # Seconds to rest before going on; None goes back to the queue at once.
        self.wait = wait
        # What is waited for, if it is.
        self.rest = rest


def storable(text: str) -> str:
    """`text` as every database takes it: without NUL and lone surrogates, which errors about file names may have."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def text_of(error: BaseException) -> str:
    """The error's message, whatever its class does when asked for it."""
    try:
        return storable(str(error))
    except Exception:  # noqa: BLE001 - an outcome must be written all the same
        return f"<{type(error).__name__} without a text>"


def class_of(error: BaseException) -> str:
    """The path of the error's class; its bare name for one of Python's own."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def fields_of(error: BaseException | None) -> dict[str, str]:
    """The error's class and message, as columns hold them; empty for none."""
    if error is None:
        return {"error_class": "", "error_message": ""}
    return {"error_class": class_of(error)[:255], "error_message": text_of(error)}


def traceback_of(error: BaseException) -> str:
    """The error's traceback as text, with those of its causes; the message alone if that cannot be had."""
    try:
        return storable("".join(traceback.format_exception(error)))
    except Exception:  # noqa: BLE001 - as for the message
        return text_of(error)


def as_exception(error: BaseException) -> Exception:
    """What stands for an error that is no `Exception`."""
    return error if isinstance(error, Exception) else RuntimeError(str(error))
