"""Attributes of a job that survive every interruption, because they are saved with the cursor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from . import codec
from .errors import JobDefinitionError

T = TypeVar("T")


class Attribute:
    """The descriptor behind `attribute(...)`. Values live in the job's `_attributes`, by name."""

    def __init__(self, default: Any) -> None:
        if isinstance(default, (list, dict, set)):
            raise JobDefinitionError(
                f"attribute(default={default!r}) would be shared by all jobs: "
                f"pass a callable, attribute(default={type(default).__name__})"
            )
        if not callable(default):
            codec.check(default, what="the default of an attribute()")
        self.default = default
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, job: Any, owner: type | None = None) -> Any:
        if job is None:
            return self
        values: dict[str, Any] = job._attributes
        if self.name not in values:
            values[self.name] = self.default() if callable(self.default) else self.default
        return values[self.name]

    def __set__(self, job: Any, value: Any) -> None:
        codec.check(value, what=f"{type(job).__name__}.{self.name}")
        job._attributes[self.name] = value


@overload
def attribute(*, default: Callable[[], T]) -> T: ...
@overload
def attribute(*, default: T) -> T: ...
def attribute(*, default: Any) -> Any:
    """Declare an attribute of a job that survives interruptions, crashes and retries.

    It is written together with the cursor, in the same statement, so the two never disagree. Change it inside steps:
    code outside steps runs on every execution. A callable default is called once for each job. The value must be
    one that the codec stores (see `SerializationError`); a mutable one may be changed in place.
    """
    return Attribute(default)


def names(job_class: type) -> set[str]:
    """Names of the attributes that `job_class` and its bases declare."""
    return {name for klass in job_class.__mro__ for name, value in vars(klass).items() if isinstance(value, Attribute)}


def dump(job: Any) -> str | None:
    """JSON text of all attributes that have a value, or None if there are none."""
    values = job._attributes
    return codec.encode(values, what=f"attributes of {type(job).__name__}") if values else None


def load(job: Any, text: str | None) -> None:
    """Replace the job's attributes by the stored ones. Names the class no longer declares are dropped."""
    if text is None:
        job._attributes = {}
        return
    stored = codec.decode(text, what=f"attributes of {type(job).__name__}") or {}
    declared = names(type(job))
    job._attributes = {name: value for name, value in stored.items() if name in declared}
