"""Work done slowly, so that a visitor has time to stop it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from continuations.sources import Batches

T = TypeVar("T")


@dataclass(frozen=True)
class Paced(Generic[T]):
    """The source `batches`, with a rest of so many seconds before each batch. No transaction is open meanwhile."""

    batches: Batches[T]
    rest: float

    def after(self, cursor: Any, /) -> Iterator[tuple[list[T], Any]]:
        for batch in self.batches.after(cursor):
            time.sleep(self.rest)
            yield batch

    def size(self, items: list[T]) -> int:
        return self.batches.size(items)

    def total(self) -> int | None:
        return self.batches.total()

    def key(self, cursor: Any) -> Any:
        return self.batches.key(cursor)
