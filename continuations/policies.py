"""What an error means to a job class: `retry_on` and `discard_on`."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from .errors import JobDefinitionError

if TYPE_CHECKING:
    from .job import ContinuableJob

J = TypeVar("J", bound="ContinuableJob")

Wait = float | timedelta | Callable[[int, Exception], float | timedelta]

# Active Job's default: enough to spread a crowd of retries, too little to notice in one.
JITTER = 0.15


def polynomially_longer(executions: int, error: Exception) -> float:
    """Seconds to wait: `executions ** 4 + 2`, so 3, 18, 83, 258, … Active Job's formula of that name."""
    return float(executions**4 + 2)


@dataclass(frozen=True)
class Policy:
    """One decorator's line. `attempts` is None for `discard_on`."""

    errors: tuple[type[Exception], ...]
    attempts: int | None = None
    wait: Wait = 0
    jitter: float = 0.0

    @property
    def name(self) -> str:
        """Identifies the line in the count of attempts, which is kept for each line by itself."""
        return ",".join(f"{error.__module__}.{error.__qualname__}" for error in self.errors)

    def delay(self, executions: int, error: Exception) -> float:
        """Seconds until the next attempt, jitter included."""
        wait = self.wait(executions, error) if callable(self.wait) else self.wait
        seconds = wait.total_seconds() if isinstance(wait, timedelta) else float(wait)
        return max(0.0, seconds + random.random() * seconds * self.jitter)  # noqa: S311 - not for secrets


def retry_on(
    *errors: type[Exception], wait: Wait = 3, attempts: int = 5, jitter: float = JITTER
) -> Callable[[type[J]], type[J]]:
    """Class decorator: run the job again after one of `errors`, in place, keeping all progress.

    `wait`: seconds, a timedelta, `callable(executions, error)` or `polynomially_longer`. `attempts` counts tries at
    the same place: it starts again when an execution advanced. After the last one the continuation fails.
    `jitter`: up to this share of the wait is added at random.

    Several lines act like `except` clauses: the nearest class first, then from top to bottom.
    """
    _check_errors("retry_on", errors)
    if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
        raise JobDefinitionError(f"retry_on(attempts={attempts!r}): expected a whole number of tries, at least 1")
    return _decorator(Policy(errors, attempts=attempts, wait=wait, jitter=jitter))


def discard_on(*errors: type[Exception]) -> Callable[[type[J]], type[J]]:
    """Class decorator: after one of `errors` the continuation is `discarded`; nobody is told of an error."""
    _check_errors("discard_on", errors)
    return _decorator(Policy(errors))


def policy_for(job_class: type[ContinuableJob], error: Exception) -> Policy | None:
    """The first policy that names a class of `error`."""
    for klass in job_class.__mro__:
        for policy in vars(klass).get("_policies", ()):
            if isinstance(error, policy.errors):
                return policy  # type: ignore[no-any-return]
    return None


def _decorator(policy: Policy) -> Callable[[type[J]], type[J]]:
    def decorate(job_class: type[J]) -> type[J]:
        # Decorators are applied from the bottom up; the top line comes first.
        own = vars(job_class).get("_policies", ())
        job_class._policies = (policy, *own)
        return job_class

    return decorate


def _check_errors(decorator: str, errors: tuple[type[Exception], ...]) -> None:
    if not errors:
        raise JobDefinitionError(f"@{decorator} needs at least one exception class: @{decorator}(ConnectionError)")
    for error in errors:
        if not (isinstance(error, type) and issubclass(error, Exception)):
            raise JobDefinitionError(f"@{decorator}: expected exception classes, got {error!r}")
