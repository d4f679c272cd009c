"""The settings of this package: one dict, `CONTINUATIONS = {...}`, every key optional."""

from __future__ import annotations

import datetime as dt
import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from .errors import ContinuationError
from .transitions import FINISHED


def _setting(default: Any, is_right: Callable[[Any], bool], expected: str, text: str) -> Any:
    """A field with its check and its paragraph in docs/settings.md, which is made from here."""
    return field(default=default, metadata={"is_right": is_right, "expected": expected, "text": text})


def _is_alias(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value in django_settings.DATABASES)


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and "." in value and all(part.isidentifier() for part in value.split("."))


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _is_period(value: Any) -> bool:
    return isinstance(value, dt.timedelta) and value > dt.timedelta(0)


def _is_retention(value: Any) -> bool:
    if isinstance(value, Mapping):
        return set(value) <= FINISHED and all(map(_is_period, value.values()))
    return value is None or _is_period(value)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The values in force. `CONTINUATIONS["CHECKPOINT_INTERVAL"]` is `checkpoint_interval` here, and so on."""

    database: str | None = _setting(
        None,
        _is_alias,
        "an alias of DATABASES, or None",
        "The database that holds the continuations. `None` asks the router for the one that `Continuation` is written "
        "to. What commits together with the progress of a job is what is on this database. `Continuation.objects` asks "
        "it, too.",
    )
    delivery: str = _setting(
        "continuations.delivery.RQDelivery",
        _is_path,
        "the dotted path of a class",
        'How continuations reach workers. `"continuations.testing.MemoryDelivery"` is for tests: nothing touches '
        "Redis, and the test says when a job runs.",
    )
    checkpoint_interval: float = _setting(
        1.0,
        _is_seconds,
        "seconds from 0 on",
        "Seconds between two writes of progress, and so how much of it a process that is killed can lose. `0` writes "
        "at each checkpoint. The class option `checkpoint_interval` wins.",
    )
    retention: dt.timedelta | Mapping[str, dt.timedelta] | None = _setting(  # noqa: RUF009 - it gives a field
        None,
        _is_retention,
        "a timedelta above 0, a dict of those by ended status, or None",
        "How long ended continuations are kept; `ContinuableWorker` deletes older ones, a hundred at a time. "
        "`None` keeps them all. A timedelta is for succeeded, discarded and cancelled ones; what needs attention is "
        'kept. A dict says it for each status, and is the only way to have failed ones deleted: `{"succeeded": '
        'timedelta(days=30), "failed": timedelta(days=365)}`. See [retention](retention.md).',
    )

    @classmethod
    def load(cls) -> Settings:
        """Read Django's settings. Raises `ImproperlyConfigured` for the first thing that is wrong with them."""
        given = getattr(django_settings, "CONTINUATIONS", {})
        for problem in (*unknown_keys(given), *wrong_values(given)):
            raise ImproperlyConfigured(problem)
        return cls(**{key.lower(): value for key, value in given.items()})


def unknown_keys(given: Any) -> Iterator[str]:
    """What is wrong with the keys of `CONTINUATIONS`, each with the near one."""
    if not isinstance(given, dict):
        yield f"CONTINUATIONS must be a dict, got {type(given).__name__}."
        return
    known = [each.name.upper() for each in fields(Settings)]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key).upper(), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known keys: {', '.join(known)}."
            yield f"CONTINUATIONS has no key {key!r}.{hint}"


def wrong_values(given: Any) -> Iterator[str]:
    """What is wrong with the values of `CONTINUATIONS`."""
    for each in fields(Settings) if isinstance(given, dict) else ():
        key = each.name.upper()
        if key in given and not each.metadata["is_right"](given[key]):
            yield f"CONTINUATIONS[{key!r}] is {given[key]!r:.100}; expected {each.metadata['expected']}."


_loaded: Settings | None = None


def settings() -> Settings:
    """The settings in force, read once and again after `setting_changed` (tests)."""
    global _loaded
    if _loaded is None:
        _loaded = Settings.load()
    return _loaded


def database() -> str:
    """Alias of the database that holds the continuations."""
    configured = settings().database
    if configured is not None:
        return configured
    from django.db import router

    from .models import Continuation

    return router.db_for_write(Continuation)


def require_autocommit(alias: str) -> None:
    """Raise `ContinuationError` if nobody would know when something is committed on `alias`."""
    from django.db import connections

    connection = connections[alias]
    if not connection.in_atomic_block and not connection.get_autocommit():
        raise ContinuationError(
            f"autocommit is off on database {alias!r}, so nobody would know when a continuation is committed: "
            "leave it on, or enqueue inside transaction.atomic()"
        )


def _reset(*, setting: str, **_: Any) -> None:
    global _loaded
    if setting in {"CONTINUATIONS", "DATABASES"}:
        _loaded = None


setting_changed.connect(_reset, dispatch_uid="continuations.conf")
