"""Names that steps had before: `renamed_steps` of a job class."""

from __future__ import annotations

from collections.abc import Mapping


def current_name(name: str, renamed: Mapping[str, str]) -> str:
    """What a step that was stored as `name` is called now, however often it was renamed."""
    for _ in renamed:
        name = renamed.get(name, name)
    return name


def is_circular(renamed: Mapping[str, str]) -> bool:
    """Whether some name leads back to itself."""
    return any(current_name(name, renamed) in renamed for name in renamed)
