"""A queryset in parts of like size, for jobs that share the work."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, TypeVar, overload

from django.db.models import Model, QuerySet
from django.db.models.manager import BaseManager

RowT = TypeVar("RowT")
ModelT = TypeVar("ModelT", bound=Model)


@overload
def shards(queryset: QuerySet[Any, Any], n: int) -> list[tuple[Any, Any]]: ...
@overload
def shards(queryset: BaseManager[Any], n: int) -> list[tuple[Any, Any]]: ...
def shards(queryset: Any, n: int) -> list[tuple[Any, Any]]:
    """Split a queryset into at most `n` shards of as many rows each, give or take one, for `enqueue_many`.

        Export.enqueue_many(shards(Order.objects.all(), 8))

        class Export(ContinuableJob):
            def perform(self, start: int | None, stop: int | None) -> None:
                self.orders = shard(Order.objects.all(), start, stop)

    A shard is a tuple `(start, stop)` of primary keys, of whatever type they are: it holds the rows from `start` on and
    before `stop`. None, at both ends of the whole, is no bound. So each row belongs to exactly one shard, also one
    that is inserted later. There are fewer than `n` shards if there are fewer rows, and none if there is no row.

    Costs a count and `n - 1` queries for bounds, each of which passes the rows of one shard in the index.

    Raises `TypeError` for what is no queryset, or one that is sliced or combined, and for an `n` that is no int;
    `ValueError` for one below 1.
    """
    rows = _checked(queryset, "shards", "8")
    if type(n) is not int:
        raise TypeError(f"The number of shards must be an int, got {n!r}. Write {_call(rows, 'shards', '8')}.")
    if n < 1:
        raise ValueError(f"The number of shards must be 1 or more, got {n}. Write {_call(rows, 'shards', '8')}.")
    keys = rows.order_by("pk").values_list("pk", flat=True)
    if len(keys.query.alias_map) > 1:
        # A join may give a row several times.
        keys = keys.distinct()
    if not (count := keys.count()):
        return []
    bounds = [None, *_bounds(keys, count, min(n, count)), None]
    return list(pairwise(bounds))


@overload
def shard(queryset: QuerySet[ModelT, RowT], start: Any, stop: Any) -> QuerySet[ModelT, RowT]: ...
@overload
def shard(queryset: BaseManager[ModelT], start: Any, stop: Any) -> QuerySet[ModelT, ModelT]: ...
def shard(queryset: Any, start: Any, stop: Any) -> QuerySet[Any, Any]:
    """The rows of a queryset with a primary key from `start` on and before `stop`; None is no bound. See `shards`."""
    rows = _checked(queryset, "shard", "start, stop")
    if start is not None:
        rows = rows.filter(pk__gte=start)
    return rows if stop is None else rows.filter(pk__lt=stop)


def _bounds(keys: QuerySet[Any, Any], count: int, n: int) -> list[Any]:
    """The first key of every shard but the first one."""
    size, larger = divmod(count, n)
    bounds: list[Any] = []
    for index in range(n - 1):
        offset = size + (index < larger)
        key = (keys.filter(pk__gte=bounds[-1]) if bounds else keys)[offset : offset + 1].first()
        if key is None:
            # Rows were deleted meanwhile.
            break
        bounds.append(key)
    return bounds


def _checked(given: Any, function: str, arguments: str) -> QuerySet[Any, Any]:
    queryset = given.all() if isinstance(given, BaseManager) else given
    if not isinstance(queryset, QuerySet):
        raise TypeError(
            f"{function}() expected a queryset, got {queryset!r:.100}. "
            f"Write {function}(Order.objects.all(), {arguments})."
        )
    if queryset.query.is_sliced:
        problem, call = "sliced, and what was cut off has no key of its own", ".filter(…)"
    elif queryset.query.combinator:
        problem, call = f"a {queryset.query.combinator} of querysets", ".filter(Q(…) | Q(…))"
    else:
        return queryset
    call = _call(queryset, function, arguments, call)
    raise TypeError(f"{function}() cannot split a queryset that is {problem}. Write {call}.")


def _call(queryset: QuerySet[Any, Any], function: str, arguments: str, suffix: str = ".all()") -> str:
    return f"{function}({queryset.model.__name__}.objects{suffix}, {arguments})"
