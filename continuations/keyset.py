"""Keyset pagination: walks a queryset page by page, each page starting after the last key of the one before."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from django.core.exceptions import ValidationError
from django.db.models import Field, Model, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.manager import BaseManager
from django.db.models.query import FlatValuesListIterable, NamedValuesListIterable, ValuesIterable, ValuesListIterable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from django.db.models.options import Options

RowT = TypeVar("RowT")
ModelT = TypeVar("ModelT", bound=Model)

# Rows per query: enough that the query is not what takes the time, few enough to hold in memory.
PAGE_SIZE = 1000


@overload
def keyset(queryset: QuerySet[Any, RowT], *fields: str, page_size: int = ...) -> Keyset[RowT]: ...
@overload
def keyset(queryset: BaseManager[ModelT], *fields: str, page_size: int = ...) -> Keyset[ModelT]: ...
def keyset(queryset: Any, *fields: str, page_size: int = PAGE_SIZE) -> Keyset[Any]:
    """The rows of a queryset in the order of a key, read in pages of `page_size` rows.

        for order in step.iterate(keyset(Order.objects.filter(paid=True), "-created", "pk")):
            order.remind()

    `fields` name the key: columns of the model itself, none nullable, "-" for descending, "pk" if none is given.
    Together they must be unique, so that no tie is cut in two by a page: end with "pk".

    The cursor is the key of the row: its value, or a tuple of values if the key has several fields. It is a place in
    the order, not a row, so the row there may be gone. A page is an ordinary query `key > cursor LIMIT page_size`: no
    OFFSET, no server-side cursor, no transaction between pages. Rows inserted or deleted meanwhile make no other row
    skipped or repeated. A row inserted beyond the page in hand is visited, one before its end is not, and a page that
    is not full is the last. Choose a key that the job does not change.

    Items are what the queryset gives: instances, `values()` dicts or named `values_list()` rows, which must contain
    the key. Each key is visited once, also where a join repeats its row. `Meta.ordering` is replaced by the key.
    On SQLite, decimals in a key must be stored as their field rounds them.

    Raises `TypeError` for a queryset that is sliced, distinct, combined, locked or explicitly ordered, and for fields
    that make no key; the message shows a correct call.
    """
    if isinstance(queryset, BaseManager):
        queryset = queryset.all()
    if not isinstance(queryset, QuerySet):
        raise TypeError(f'keyset() expected a queryset, got {queryset!r}. Write keyset(Order.objects.all(), "pk").')
    if type(page_size) is not int:
        raise TypeError(f"page_size must be an int, got {page_size!r}. Write keyset(queryset, page_size=1000).")
    if page_size < 1:
        raise ValueError(f"page_size must be 1 or more, got {page_size!r}. Write keyset(queryset, page_size=1000).")
    return Keyset(queryset, fields or ("pk",), page_size)


@dataclass(frozen=True, slots=True)
class Key:
    """One column of the order, and the direction it is walked in."""

    field: Field[Any, Any]
    descending: bool

    @property
    def column(self) -> str:
        # A foreign key's own name would order by the related model's Meta.ordering.
        return self.field.attname

    @property
    def order(self) -> str:
        return f"-{self.column}" if self.descending else self.column

    def at(self, value: object) -> Q:
        return Q((self.column, value))

    def after(self, value: object) -> Q:
        return Q((f"{self.column}__{'lt' if self.descending else 'gt'}", value))

    def from_(self, value: object) -> Q:
        return Q((f"{self.column}__{'lte' if self.descending else 'gte'}", value))

    def accepts(self, value: object) -> bool:
        try:
            converted = self.field.to_python(value)
        except (ValidationError, TypeError, ValueError):
            return False
        return value is not None and (isinstance(converted, type(value)) or isinstance(value, type(converted)))


class Keyset(Generic[RowT]):
    """What `keyset()` returns."""

    def __init__(self, queryset: QuerySet[Any, RowT], fields: Sequence[str], page_size: int) -> None:
        _refuse_unpageable(queryset, fields)
        self._fields = fields
        self._keys = _keys(queryset, fields)
        self._key_of = _key_getter(queryset, self._keys)
        self._queryset = _with_keys_loaded(queryset, self._keys).order_by(*(key.order for key in self._keys))
        self._page_size = page_size

    def after(self, cursor: Any, /) -> Iterator[tuple[RowT, Any]]:
        if cursor is not None:
            self._check(cursor)
        return chain.from_iterable(self._pages(cursor))

    def total(self) -> int:
        return self._queryset.count()

    def _pages(self, cursor: Any) -> Iterator[Iterable[tuple[RowT, Any]]]:
        """Rows with their keys, a page at a time: what is done for each row is done in C."""
        while True:
            page = self._page(cursor)
            keys = list(map(self._key_of, page))
            before = [cursor, *keys]
            if any(map(operator.eq, keys, before)):  # a join gives one row for each match
                yield [(row, key) for row, key, last in zip(page, keys, before, strict=False) if key != last]
            else:
                yield zip(page, keys, strict=True)
            if len(page) < self._page_size:
                return
            if keys[-1] == cursor:
                call = _call(self._queryset, self._fields)
                raise RuntimeError(
                    f"{call} found the key {cursor!r} again after itself: its value changes when stored and read back."
                )
            cursor = keys[-1]

    def _page(self, cursor: Any) -> list[RowT]:
        queryset = self._queryset
        if cursor is not None:
            queryset = queryset.filter(self._beyond(cursor if len(self._keys) > 1 else (cursor,)))
        return list(queryset[: self._page_size])

    def _beyond(self, values: tuple[Any, ...]) -> Q:
        beyond, tied = Q(), Q()
        for key, value in zip(self._keys, values, strict=True):
            beyond |= tied & key.after(value)
            tied &= key.at(value)
        # Implied by the rest, but an index can start from it and cannot from an OR.
        return self._keys[0].from_(values[0]) & beyond if len(values) > 1 else beyond

    def _check(self, cursor: Any) -> None:
        keys = self._keys
        expected = ", ".join(f"{key.column}: {key.field.get_internal_type()}" for key in keys)
        if len(keys) == 1:
            fits, shape = keys[0].accepts(cursor), f"one value, {expected}"
        else:
            fits = isinstance(cursor, tuple) and len(cursor) == len(keys)
            fits = fits and all(key.accepts(value) for key, value in zip(keys, cursor, strict=True))
            shape = f"a tuple ({expected})"
        if not fits:
            call = _call(self._queryset, self._fields)
            raise TypeError(f"Cursor {cursor!r} is no place in {call}: expected {shape}, or None for the start.")


def _call(queryset: QuerySet[Any, Any], fields: Sequence[object], suffix: str = ".all()") -> str:
    arguments = "".join(f', "{field}"' for field in fields)
    return f"keyset({queryset.model.__name__}.objects{suffix}{arguments})"


def _refuse_unpageable(queryset: QuerySet[Any, Any], fields: Sequence[str]) -> None:
    query = queryset.query
    ordering = [field for field in query.order_by if isinstance(field, str) and field != "?"]
    if query.is_sliced:
        problem, call = "is sliced, and pages are slices too", _call(queryset, fields, ".filter(…)")
    elif query.distinct:
        problem, call = "is distinct, and each key is visited once anyway", _call(queryset, fields)
    elif query.combinator:
        problem, call = f"is a {query.combinator} of querysets", _call(queryset, fields, ".filter(Q(…) | Q(…))")
    elif query.select_for_update:
        problem, call = "locks its rows, and no transaction spans a page", _call(queryset, fields)
    elif query.order_by or query.extra_order_by or not query.standard_ordering:
        key = list(dict.fromkeys([*ordering, "pk"]))
        problem, call = "is already ordered, and the key is the order", _call(queryset, key, ".order_by()")
    else:
        return
    raise TypeError(f"Cannot walk this queryset of {queryset.model.__name__} by key: it {problem}. Write {call}.")


def _keys(queryset: QuerySet[Any, Any], names: Sequence[str]) -> list[Key]:
    keys = [Key(field, name.startswith("-")) for name in names for field in _named(queryset, name)]
    columns = [key.column for key in keys]
    model = queryset.model.__name__
    if repeated := next((column for column in columns if columns.count(column) > 1), None):
        call = _call(queryset, list(dict.fromkeys(columns)))
        raise TypeError(f'The key names "{repeated}" of {model} twice. Write {call}.')
    if nullable := next((key.column for key in keys if key.field.null), None):
        call = _call(queryset, [key.order for key in keys if not key.field.null] or ["pk"])
        raise TypeError(f'Field "{nullable}" of {model} is nullable, and NULL has no place in an order. Write {call}.')
    if not _is_unique(queryset.query.get_meta(), [key.field for key in keys]):
        call = _call(queryset, [*names, "pk"])
        raise TypeError(f'The key {", ".join(names)} of {model} is not unique: end it with "pk". Write {call}.')
    return keys


def _named(queryset: QuerySet[Any, Any], name: object) -> Sequence[Field[Any, Any]]:
    meta = queryset.query.get_meta()
    example = _call(queryset, ["pk"])
    if not isinstance(name, str):
        raise TypeError(f"keyset() takes names of fields, got {name!r}. Write {example}.")
    name = name.removeprefix("-")
    if name == "pk":
        return meta.pk_fields
    fields = {known: field for field in meta.concrete_fields for known in (field.name, field.attname)}
    if name in fields:
        return (fields[name],)
    if LOOKUP_SEP in name:
        own = fields.get(name.split(LOOKUP_SEP)[0])
        example = _call(queryset, [own.attname, "pk"]) if own else example
        raise TypeError(f'A key is made of own fields of {meta.object_name}, "{name}" leads on. Write {example}.')
    if near := get_close_matches(name, [*fields, "pk"], n=1):
        example = _call(queryset, [*near, "pk"] if near != ["pk"] else near)
    choices = ", ".join(sorted({field.name for field in meta.concrete_fields}))
    raise TypeError(f'{meta.object_name} has no field "{name}"; it has {choices}. Write {example}.')


def _is_unique(meta: Options[Any], fields: Sequence[Field[Any, Any]]) -> bool:
    if any(field.unique for field in fields):
        return True
    metas = [meta, *(parent._meta for parent in meta.all_parents)]
    groups = [[field.name for field in meta.pk_fields]]
    groups += [list(constraint.fields) for meta in metas for constraint in meta.total_unique_constraints]
    groups += [list(names) for meta in metas for names in meta.unique_together]
    return any({field.name for field in fields}.issuperset(group) for group in groups)


def _key_getter(queryset: QuerySet[Any, Any], keys: Sequence[Key]) -> Callable[[Any], Any]:
    shape = queryset._iterable_class
    if not issubclass(shape, ValuesIterable | ValuesListIterable | FlatValuesListIterable):
        return operator.attrgetter(*(key.column for key in keys))
    if issubclass(shape, ValuesIterable | NamedValuesListIterable):
        chosen = [_selected(queryset, key) for key in keys]
        names = [name for name in chosen if name is not None]
        if len(names) == len(keys):
            return operator.itemgetter(*names) if issubclass(shape, ValuesIterable) else operator.attrgetter(*names)
    columns = ", ".join(f'"{key.column}"' for key in keys)
    call = _call(queryset, [key.order for key in keys], f".values({columns}, …)")
    got = queryset.query.values_select
    raise TypeError(
        f"The rows must name the fields of the key, got {', '.join(got)} in {shape.__name__}. Write {call}."
    )


def _selected(queryset: QuerySet[Any, Any], key: Key) -> str | None:
    names = [key.column, key.field.name]
    if key.field.primary_key:
        names.append("pk")
    return next((name for name in names if name in queryset.query.values_select), None)


def _with_keys_loaded(queryset: QuerySet[Any, RowT], keys: Sequence[Key]) -> QuerySet[Any, RowT]:
    # A deferred key would be one more query for each row, and perhaps a newer value than the page was ordered by.
    names, deferred = queryset.query.deferred_loading
    if not names:
        return queryset
    if not deferred:
        return queryset.only(*names, *(key.column for key in keys))
    kept = set(names).difference(*({key.column, key.field.name} for key in keys))
    queryset = queryset.defer(None)
    return queryset.defer(*kept) if kept else queryset
