"""What nobody should read: a job class names it with `sensitive`, and it is masked wherever values are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .codec import TAG
from .errors import JobClassError
from .loading import load_job_class, registered

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from .job import ContinuableJob

MASK = "••••••"
# Shorter values would be found in texts that have nothing to do with them.
SHORTEST_SECRET = 4


def sensitive_names(job_class: type[ContinuableJob]) -> frozenset[str]:
    """What `job_class` and its bases name, folded for comparison."""
    named = (name for klass in job_class.__mro__ for name in vars(klass).get("sensitive", ()))
    return frozenset(name.casefold() for name in named)


def names_for(job_path: str) -> frozenset[str]:
    """What the class behind a stored path names; empty if it is not loaded."""
    job_class = registered(job_path)
    return frozenset() if job_class is None else sensitive_names(job_class)


def names_known(job_path: str) -> frozenset[str] | None:
    """The same, loading the class; None if it cannot be imported, so that nobody knows what is sensitive."""
    try:
        return sensitive_names(load_job_class(job_path))
    except JobClassError:
        return None


def mask(value: Any, names: Collection[str]) -> Any:
    """`value` with what stands under one of `names` in its dicts replaced by `MASK`, however deep.

    `value` is plain JSON as the codec writes it, or made of dicts, lists and tuples.
    """
    if not names:
        return value
    if isinstance(value, dict):
        if value.get(TAG) == "dict" and isinstance(value.get("v"), list):
            return {**value, "v": [[key, _masked(key, item, names)] for key, item in value["v"]]}
        return {key: _masked(key, item, names) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(mask(item, names) for item in value)
    return value


def is_sensitive(name: Any, names: Collection[str]) -> bool:
    """Whether `name` is one of `names`, in whatever case."""
    return isinstance(name, str) and name.casefold() in names


def secrets_in(value: Any, names: Collection[str]) -> set[str]:
    """Texts of what `mask` would replace in plain JSON, to be found again in the text of an error."""
    if isinstance(value, dict):
        pairs = value["v"] if value.get(TAG) == "dict" and isinstance(value.get("v"), list) else value.items()
        found: set[str] = set()
        for key, item in pairs:
            found |= set(texts_of(item)) if is_sensitive(key, names) else secrets_in(item, names)
        return found
    if isinstance(value, list):
        return set().union(*(secrets_in(item, names) for item in value))
    return set()


def texts_of(value: Any) -> Iterator[str]:
    """The texts and numbers in plain JSON that are long enough to be recognised."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from texts_of(item if key != TAG else None)
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)
    elif value is not None and not isinstance(value, bool) and len(str(value)) >= SHORTEST_SECRET:
        yield str(value)


def hide(text: str, secrets: Collection[str]) -> str:
    """`text` without any of `secrets`."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def _masked(key: Any, item: Any, names: Collection[str]) -> Any:
    return MASK if is_sensitive(key, names) else mask(item, names)
