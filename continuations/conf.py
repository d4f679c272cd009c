"""The settings of this package: one dict, `CONTINUATIONS = {...}`, every key optional."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from .errors import ContinuationError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The values in force. `CONTINUATIONS["CHECKPOINT_INTERVAL"]` is `checkpoint_interval` here, and so on."""

    # Alias of the database that holds the continuations; None asks the router once, at first use.
    database: str | None = None
    # Dotted path of the class that hands continuations to workers.
    delivery: str = "continuations.delivery.RQDelivery"
    # Seconds between two writes of progress at checkpoints; 0 writes at each.
    checkpoint_interval: float = 1.0

    @classmethod
    def load(cls) -> Settings:
        """Read Django's settings. Raises `ImproperlyConfigured` for an unknown key, with the near one."""
        given = getattr(django_settings, "CONTINUATIONS", {})
        if not isinstance(given, dict):
            raise ImproperlyConfigured(f"CONTINUATIONS must be a dict, got {type(given).__name__}.")
        known = {field.name.upper(): field.name for field in fields(cls)}
        values: dict[str, Any] = {}
        for key, value in given.items():
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else f" Known keys: {', '.join(known)}."
                raise ImproperlyConfigured(f"CONTINUATIONS has no key {key!r}.{hint}")
            values[known[key]] = value
        return cls(**values)


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
    if setting == "CONTINUATIONS":
        _loaded = None


setting_changed.connect(_reset, dispatch_uid="continuations.conf")
