"""Slowness on purpose: what takes milliseconds takes long enough to watch, and to be killed in."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TypeVar, overload

from django.conf import settings

T = TypeVar("T")


def dawdle(share: float = 1) -> None:
    """Wait for `share` times the seconds of the setting `REPORTS_PACE`, which is 0 unless given."""
    time.sleep(share * getattr(settings, "REPORTS_PACE", 0))


class Paced(Sequence[T]):
    """A sequence that waits before it gives an item."""

    def __init__(self, items: Sequence[T], share: float = 1) -> None:
        self._items = items
        self._share = share

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        dawdle(self._share)
        return self._items[index]
