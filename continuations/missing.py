"""What stands for nothing where None is a value."""

from __future__ import annotations

from enum import Enum


class Missing(Enum):
    """No event has come yet, or no default was given."""

    MISSING = "missing"


MISSING = Missing.MISSING
