"""What somebody answers who was asked for an approval."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# Characters of a name that are kept.
NAME_LENGTH = 150


@dataclass(frozen=True)
class Answer:
    """Yes or no, and whose."""

    approved: bool
    by: str

    @classmethod
    def of(cls, payload: Any) -> Answer:
        """The answer of an event, which somebody may have typed in the admin: only `"approved": true` is a yes."""
        given = payload if isinstance(payload, dict) else {}
        by = given.get("by")
        return cls(given.get("approved") is True, by[:NAME_LENGTH] if isinstance(by, str) else "")

    @property
    def payload(self) -> dict[str, Any]:
        return asdict(self)
