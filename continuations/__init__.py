"""Long Django jobs on RQ that survive deploys, time-outs and crashes."""

from . import successor
from .attributes import attribute
from .errors import (
    BusyError,
    CheckpointError,
    ContinuationError,
    ContinuationFailed,
    CrashLimitError,
    DeserializationError,
    Interrupt,
    InvalidStepError,
    JobClassError,
    JobDefinitionError,
    KeyConflictError,
    NoProgressError,
    NotRunningError,
    ResumeLimitError,
    SerializationError,
    TransitionError,
    UnadvanceableCursorError,
    UnknownQueueError,
    WaitTimeout,
)
from .job import ContinuableJob
from .policies import discard_on, polynomially_longer, retry_on
from .step import Step
from .stopping import Stop

__all__ = [
    "BusyError",
    "CheckpointError",
    "ContinuableJob",
    "ContinuationError",
    "ContinuationFailed",
    "CrashLimitError",
    "DeserializationError",
    "Interrupt",
    "InvalidStepError",
    "JobClassError",
    "JobDefinitionError",
    "KeyConflictError",
    "NoProgressError",
    "NotRunningError",
    "ResumeLimitError",
    "SerializationError",
    "Step",
    "Stop",
    "TransitionError",
    "UnadvanceableCursorError",
    "UnknownQueueError",
    "WaitTimeout",
    "attribute",
    "discard_on",
    "polynomially_longer",
    "retry_on",
    "successor",
]
__version__ = "0.1.0"
