"""The job that runs here: what is enqueued meanwhile is its child."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .job import ContinuableJob

_job: ContextVar[ContinuableJob | None] = ContextVar("continuations.job", default=None)


@contextlib.contextmanager
def running(job: ContinuableJob) -> Iterator[None]:
    """What is enqueued inside is a child of this job's continuation; also in coroutines and their threads."""
    token = _job.set(job)
    try:
        yield
    finally:
        _job.reset(token)


def go_back_to(job: ContinuableJob | None) -> None:
    """Leave whatever was not left: a signal may raise as `running` begins or ends."""
    _job.set(job)


def current_job() -> ContinuableJob | None:
    """The job whose code runs here."""
    return _job.get()
