"""What nobody should read: a job class names it with `sensitive`, and it is masked wherever values are shown."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from .codec import TAG
from .errors import JobClassError
from .loading import load_job_class, registered

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from .job import ContinuableJob
    from .models import Continuation

MASK = "••••••"
# Shorter values would be found in texts that have nothing to do with them.
SHORTEST_SECRET = 4

# Columns of a continuation and of what belongs to it that hold values of the job's, and texts in which they may appear.
VALUES = ("cursor_json", "result_json", "attributes_json", "payload_json", "cursor_before_json", "cursor_after_json")
TEXTS = ("error_message", "error_traceback", "follow_up_error")


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


def name_arguments(stored: Any, job_class: type[ContinuableJob] | None) -> list[tuple[str, Any]] | None:
    """Plain arguments, as stored, with the names that `perform` gives them. None if they are not as they should be."""
    args, kwargs = stored if isinstance(stored, list) and len(stored) == 2 else (None, None)
    if not isinstance(args, list) or not isinstance(kwargs, dict) or TAG in kwargs:
        return None
    names, rest = _parameters(job_class)
    named = [(names[index] if index < len(names) else rest, value) for index, value in enumerate(args)]
    return [*named, *kwargs.items()]


def sensitive_defaults(job_class: type[ContinuableJob], names: Collection[str]) -> set[str]:
    """Texts of what `perform` takes for sensitive arguments that were not given."""
    parameters = inspect.signature(job_class.perform).parameters.values()
    given = [each.default for each in parameters if is_sensitive(each.name, names)]
    return set(texts_of([default for default in given if isinstance(default, str | int | float)]))


def conceal(row: Continuation, *records: Any) -> None:
    """Mask what is sensitive on `row` and on records that belong to it, which are to be shown and never saved."""
    names = names_known(row.job_path)
    if names == frozenset():
        return
    secrets = _conceal_arguments(row, names)
    if names is not None:
        secrets |= sensitive_defaults(load_job_class(row.job_path), names)
    for each in (row, *records):
        for field in VALUES:
            if (text := getattr(each, field, None)) is not None:
                value = _plain(text)
                secrets |= secrets_in(value, names or ())
                setattr(each, field, _text(MASK if names is None else mask(value, names)))
        for field in TEXTS:
            if text := getattr(each, field, ""):
                setattr(each, field, hide(text, secrets))


def _conceal_arguments(row: Continuation, names: frozenset[str] | None) -> set[str]:
    """Mask the arguments. Gives the secrets among them."""
    stored = _plain(row.arguments_json)
    named = None if names is None else name_arguments(stored, registered(row.job_path))
    if names is None or named is None:
        row.arguments_json = _text(MASK)
        return set()
    masked = [_masked(name, value, names) for name, value in named]
    keys = list(stored[1])
    count = len(stored[0])
    row.arguments_json = _text([masked[:count], dict(zip(keys, masked[count:], strict=True))])
    return secrets_in([{name: value} for name, value in named], names)


def _parameters(job_class: type[ContinuableJob] | None) -> tuple[list[str], str]:
    """Names of the positional parameters of `perform`, without `self`, and of the one that takes the rest."""
    if job_class is None or not hasattr(job_class, "perform"):
        return [], "?"
    parameters = list(inspect.signature(job_class.perform).parameters.values())[1:]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    rest = [each.name for each in parameters if each.kind == inspect.Parameter.VAR_POSITIONAL]
    return [each.name for each in parameters if each.kind in kinds], rest[0] if rest else "?"


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _masked(key: Any, item: Any, names: Collection[str]) -> Any:
    return MASK if is_sensitive(key, names) else mask(item, names)
