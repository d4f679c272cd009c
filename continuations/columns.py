"""Columns of our tables in statements that are written by hand: the text is made once, values are what the ORM passes.

Only for what happens for each job. Everything else asks the ORM, which builds its statements anew each time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.db import connections, transaction
from django.db.models import DateTimeField, Field, ForeignKey, JSONField, Model, UUIDField
from django.db.models.signals import post_save, pre_save

from . import prepared
from .prepared import Prepared

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

M = TypeVar("M", bound=Model)

# Backends that return columns of what they change.
RETURNING = frozenset({"postgresql", "sqlite"})
# A condition that is always true, with which a transaction of PostgreSQL does not wait until it is on the disk. The
# server writes in order: what waits takes with it what came before. If it crashes first, this has not happened yet.
NOT_AWAITED = "set_config('synchronous_commit', 'off', true) = 'off'"
# Fields whose values databases want in different forms. What others would make of a number or a text is the same.
_ADAPTED = (DateTimeField, ForeignKey, JSONField, UUIDField)


class Columns(Generic[M]):
    """The columns of a model on one kind of database."""

    def __init__(self, model: type[M], connection: BaseDatabaseWrapper) -> None:
        self._model = model
        self._fields: dict[str, Field[Any, Any]] = {field.attname: field for field in model._meta.concrete_fields}
        self._adapted = {name: field for name, field in self._fields.items() if isinstance(field, _ADAPTED)}
        self._quote = connection.ops.quote_name
        self._types = {name: field.db_type(connection) for name, field in self._fields.items()}
        self._is_strict = connection.vendor == "postgresql"
        self._converters = list(self._find_converters(connection))
        # Defaults that are numbers, words of ours and truths.
        self._usual = {name: value for name, value in _defaults(model).items() if value is not None}
        # And empty objects, which can be said where the column's type is known.
        self._inserted: dict[str, Any] = self._usual | {
            name: {} for name, field in self._fields.items() if isinstance(field, JSONField) and field.default is dict
        }
        self.table = self._quote(model._meta.db_table)
        self.names = tuple(self._fields)
        self._insert = functools.cache(self._make_insert)

    def __getitem__(self, name: str) -> str:
        """The column of an attribute, quoted."""
        return self._quote(self._fields[name].column or "")

    def listed(self, names: Iterable[str] | None = None) -> str:
        """Columns with commas between them; all of them by default."""
        return ", ".join(self[name] for name in (self.names if names is None else names))

    def assigned(self, names: Iterable[str]) -> str:
        """What an UPDATE sets, with a placeholder for each."""
        return ", ".join(f"{self[name]} = %s" for name in names)

    def typed(self, name: str, place: str = "%s") -> str:
        """A placeholder outside VALUES and SET, where PostgreSQL cannot guess the type."""
        return f"{place}::{self._types[name]}" if self._is_strict else place

    def literal_defaults(self, *, without: Collection[str]) -> dict[str, str]:
        """The defaults of all other columns as SQL. NULL need not be said."""
        return {name: _literal(value) for name, value in self._usual.items() if name not in without}

    def prepared(self, name: str, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """What the driver gets for a value of the column's own type, which is faster to find."""
        return self._fields[name].get_db_prep_value(value, connection, prepared=True)

    def value(self, name: str, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """What the driver gets for an attribute."""
        field = self._adapted.get(name)
        return value if field is None else field.get_db_prep_save(value, connection)

    def values(self, row: M, names: Iterable[str], connection: BaseDatabaseWrapper) -> list[Any]:
        """What the driver gets for attributes of a row."""
        adapted, found = self._adapted, row.__dict__
        return [
            adapted[name].get_db_prep_save(found[name], connection) if name in adapted else found[name]
            for name in names
        ]

    def insert(self, row: M, connection: BaseDatabaseWrapper) -> None:
        """Store a new row: as `save` does, and by it where somebody listens to Django's signals."""
        kind = type(row)
        if pre_save.has_listeners(kind) or post_save.has_listeners(kind):
            row.save(using=connection.alias, force_insert=True)
            return
        with transaction.mark_for_rollback_on_error(using=connection.alias), connection.cursor() as cursor:
            found, usual = row.__dict__, self._inserted
            as_usual = tuple(name for name, value in usual.items() if found[name] == value)
            # What is neither said nor usual is NULL.
            names = tuple(name for name in self.names if found[name] is not None and name not in as_usual)
            prepared.execute(connection, cursor, self._insert(names, as_usual), self.values(row, names, connection))
        mark_stored(row, connection.alias)

    def insert_all(self, rows: Sequence[M], connection: BaseDatabaseWrapper, size: int) -> None:
        """Store new rows, at most `size` in a statement, as `bulk_create` does."""
        if not self._is_strict:
            self._model._base_manager.using(connection.alias).bulk_create(rows, batch_size=size)
            return
        with transaction.atomic(using=connection.alias, savepoint=False), connection.cursor() as cursor:
            for start in range(0, len(rows), size):
                cursor.execute(*self._insert_of(rows[start : start + size], connection))
        for row in rows:
            mark_stored(row, connection.alias)

    def _insert_of(self, rows: Sequence[M], connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        """One INSERT, in which what is the same in all rows is said once, and prepared once."""
        found = {name: [row.__dict__[name] for row in rows] for name in self.names}
        same = [name for name, values in found.items() if all(value == values[0] for value in values)]
        # One has no other row to differ from, and something has to be unnested.
        same = [name for name in same if not self._fields[name].primary_key]
        differing = [name for name in self.names if name not in same]
        arrays = ", ".join(f"%s::{self._types[name]}[]" for name in differing)
        text = (
            f"INSERT INTO {self.table} ({self.listed([*same, *differing])}) "  # noqa: S608
            f"SELECT {', '.join([*map(self.typed, same), 'each.*'])} FROM UNNEST({arrays}) AS each"
        )
        arrays_of_values = [[self.value(name, value, connection) for value in found[name]] for name in differing]
        return text, self.values(rows[0], same, connection) + arrays_of_values

    def read(self, values: Sequence[Any], connection: BaseDatabaseWrapper) -> M:
        """The row behind all columns, in the order of `names`."""
        read = list(values)
        for place, column, converters in self._converters:
            value = read[place]
            for converter in converters:
                value = converter(value, column, connection)
            read[place] = value
        return self._model.from_db(connection.alias, self.names, read)

    def _make_insert(self, names: tuple[str, ...], as_usual: tuple[str, ...]) -> Prepared:
        values = dict.fromkeys(names, "%s") | {name: _literal(self._inserted[name]) for name in as_usual}
        text = f"INSERT INTO {self.table} ({self.listed(values)}) VALUES ({', '.join(values.values())})"  # noqa: S608
        return Prepared("insert", text)

    def _find_converters(self, connection: BaseDatabaseWrapper) -> Iterable[tuple[int, Any, list[Callable[..., Any]]]]:
        # As the ORM's compiler does.
        for place, field in enumerate(self._fields.values()):
            column = field.get_col(self._model._meta.db_table)
            converters = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
            if converters:
                yield place, column, converters


def need_not_wait(connection: BaseDatabaseWrapper) -> bool:
    """Whether a statement can have `NOT_AWAITED`: it is not part of a transaction that is somebody else's."""
    return connection.vendor == "postgresql" and not connection.in_atomic_block


def _literal(value: str | float | dict[str, Any]) -> str:
    return f"'{value}'" if isinstance(value, str | dict) else str(value).upper()


def made(model: type[M], **known: Any) -> M:
    """A new row. `known`, by attribute, holds at least what has a default that is called.

    A model that asks each field for its default takes three times as long.
    """
    return model(*{**_defaults(model), **known}.values())


@functools.cache
def _defaults(model: type[Model]) -> dict[str, Any]:
    """Of all columns, in their order. What is called is not here."""
    fields = model._meta.concrete_fields
    return {field.attname: None if callable(field.default) else field.get_default() for field in fields}


def mark_stored(row: Model, alias: str) -> None:
    """Tell a row that it was written, as the ORM does."""
    row._state.adding, row._state.db = False, alias


@functools.cache
def columns_of(model: type[M], alias: str) -> Columns[M]:
    """The columns of a model on a database, made once. Opens no connection to PostgreSQL or SQLite."""
    return Columns(model, connections[alias])
