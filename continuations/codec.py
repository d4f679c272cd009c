"""One codec for arguments, cursors, results, attributes and payloads: JSON with type tags, never pickle.

Plain JSON values stand for themselves. Anything else is `{"$": tag, "v": ...}`; a dict that could be mistaken for
that, or whose keys are not strings, is written as a tagged list of pairs. Every type here comes back as it went.
"""

from __future__ import annotations

import base64
import datetime as dt
import enum
import json
import sys
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.apps import apps
from django.db.models import Model, QuerySet
from django.utils.functional import Promise
from django.utils.safestring import SafeString

from .errors import DeserializationError, SerializationError

TAG = "$"

_decoder = json.JSONDecoder()

# Immutable and always serialisable: nothing to check when a cursor of these types is set.
ATOMS: frozenset[type] = frozenset(
    {int, str, float, bool, type(None), dt.date, dt.timedelta, Decimal, uuid.UUID, bytes}
)


def encode(value: Any, *, what: str = "value") -> str | None:
    """JSON text for `value`, or None for None. Raises `SerializationError` that names `what` and the part at fault."""
    if value is None:
        return None
    kind = type(value)
    try:
        if kind is int:
            return str(value)
        plain = value if kind is str else _to_json(value)
        text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
        if not text.isascii() and not _is_unicode(text):
            text = json.dumps(plain, separators=(",", ":"))
        return text
    except SerializationError as error:
        raise SerializationError(f"{what}: {error}") from None
    except RecursionError:
        raise SerializationError(f"{what}: it is nested too deeply, or contains itself") from None
    except ValueError as error:
        # An int too long for Python to print.
        raise SerializationError(f"{what}: {error}") from None


def decode(text: str | None, *, what: str = "value", of: str | None = None) -> Any:
    """The value behind `encode`'s text. Raises `DeserializationError` when it cannot be rebuilt.

    `what` and, if it has one, the name `of` what it belongs to stand in the message.
    """
    if text is None:
        return None
    try:
        plain = _parsed(text)
        return _from_json(plain) if type(plain) in (list, dict) else plain
    except DeserializationError as error:
        raise DeserializationError(f"{_subject(what, of)}: {error}") from error.__cause__
    except (ValueError, LookupError, TypeError, ArithmeticError, AttributeError) as error:
        problem = f"{text[:200]!r} is not what this codec writes ({error})"
        raise DeserializationError(f"{_subject(what, of)}: {problem}") from error


def check(value: Any, *, what: str) -> None:
    """Raise `SerializationError` unless `value` can be stored. Costs nothing for the usual cursors."""
    if type(value) not in ATOMS:
        encode(value, what=what)


def _subject(what: str, of: str | None) -> str:
    return what if of is None else f"{what} {of!r}"


def _parsed(text: str) -> Any:
    """What `json.loads` gives, in a fifth of its time where no space is around the value: what is written has none."""
    try:
        plain, end = _decoder.raw_decode(text)
    except ValueError:
        return json.loads(text)
    return plain if end == len(text) else json.loads(text)


def _is_unicode(text: str) -> bool:
    # Lone surrogates, as in undecodable file names, are no text for a database; escaped they are.
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _to_json(value: Any) -> Any:
    kind = type(value)
    if kind in (int, str, float, bool, type(None)):
        return value
    if kind is list:
        return [_to_json(item) for item in value]
    if kind is dict:
        if TAG not in value and all(type(key) is str for key in value):
            return {key: _to_json(item) for key, item in value.items()}
        return {TAG: "dict", "v": [[_to_json(key), _to_json(item)] for key, item in value.items()]}
    if (writer := _WRITERS.get(kind)) is not None:
        tag, write = writer
        return {TAG: tag, "v": write(value)}
    if isinstance(value, enum.Enum):
        return _write_enum(value)
    if isinstance(value, Model):
        return {TAG: "model", "v": _model_reference(value)}
    raise SerializationError(_explain(value))


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if isinstance(value, dict):
        if TAG not in value:
            return {key: _from_json(item) for key, item in value.items()}
        return _READERS[value[TAG]](value["v"])
    return value


def _explain(value: Any) -> str:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, QuerySet):
        return f"a QuerySet cannot be stored ({kind}): store its pk, or the values it was filtered by"
    if isinstance(value, Promise):
        return "a lazy translation cannot be stored: pass str(...) of it"
    if callable(value):
        return f"a function or class cannot be stored ({value!r}): store a name or a pk"
    return (
        f"a {kind} cannot be stored ({value!r:.100}): expected None, bool, int, float, str, bytes, list, tuple, set, "
        "dict, date, datetime, time, timedelta, Decimal, UUID, Enum member or model instance"
    )


def _model_reference(instance: Model) -> list[Any]:
    if instance.pk is None or instance._state.adding:
        raise SerializationError(f"{instance._meta.label} instance is not saved, so there is no pk to store")
    return [instance._meta.label_lower, _to_json(instance.pk), instance._state.db]


def _read_model(value: list[Any]) -> Model:
    label, pk, alias = value[0], _from_json(value[1]), value[2]
    try:
        model = apps.get_model(label)
    except LookupError as error:
        raise DeserializationError(f"there is no model {label!r} any more (pk {pk!r})") from error
    manager = model._base_manager
    try:
        instance: Model = (manager.using(alias) if alias else manager).get(pk=pk)
    except model.DoesNotExist as error:
        raise DeserializationError(f"{model._meta.label} with pk {pk!r} does not exist any more") from error
    return instance


def _write_enum(member: enum.Enum) -> dict[str, Any]:
    module, qualname = type(member).__module__, type(member).__qualname__
    if module == "__main__" or "<locals>" in qualname:
        where = "in __main__" if module == "__main__" else "inside a function"
        raise SerializationError(
            f"enum {module}.{qualname} is defined {where}, where a worker cannot find it: move it to a module"
        )
    if isinstance(member, enum.Flag) and member.name not in type(member).__members__:
        # A combination has no name of its own.
        return {TAG: "flag", "v": [module, qualname, member.value]}
    return {TAG: "enum", "v": [module, qualname, member.name]}


def _read_enum(value: list[str]) -> enum.Enum:
    found, name = _enum_class(value[0], value[1]), value[2]
    try:
        return found[name]
    except KeyError as error:
        raise DeserializationError(
            f"enum {found.__module__}.{found.__qualname__} has no member {name!r} any more"
        ) from error


def _read_flag(value: list[Any]) -> enum.Enum:
    return _enum_class(value[0], value[1])(value[2])


def _enum_class(module: str, qualname: str) -> type[enum.Enum]:
    # Looked up among what is imported, never imported: stored text must not choose what code runs.
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, enum.Enum)):
        raise DeserializationError(
            f"enum {module}.{qualname} is not loaded: import it in the module of the job class that stored it"
        )
    return found


def _write_datetime(value: dt.datetime) -> list[Any]:
    zone = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None
    local = value.replace(tzinfo=None) if zone else value
    return [local.isoformat(), zone, value.fold]


def _read_datetime(value: list[Any]) -> dt.datetime:
    text, zone, fold = value
    moment = dt.datetime.fromisoformat(text).replace(fold=fold)
    return moment.replace(tzinfo=ZoneInfo(zone)) if zone else moment


def _write_time(value: dt.time) -> list[Any]:
    if isinstance(value.tzinfo, ZoneInfo):
        return [value.replace(tzinfo=None).isoformat(), value.fold, value.tzinfo.key]
    return [value.isoformat(), value.fold]


def _read_time(value: list[Any]) -> dt.time:
    text, fold, *zone = value
    moment = dt.time.fromisoformat(text).replace(fold=fold)
    return moment.replace(tzinfo=ZoneInfo(zone[0])) if zone else moment


def _write_members(value: set[Any] | frozenset[Any]) -> list[Any]:
    # Sorted by text: equal sets must have equal texts, since cursors are compared by theirs.
    return sorted((_to_json(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))


_WRITERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    tuple: ("tuple", lambda value: [_to_json(item) for item in value]),
    set: ("set", _write_members),
    frozenset: ("frozenset", _write_members),
    dt.datetime: ("datetime", _write_datetime),
    dt.date: ("date", dt.date.isoformat),
    dt.time: ("time", _write_time),
    dt.timedelta: ("timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    Decimal: ("decimal", str),
    uuid.UUID: ("uuid", str),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode("ascii")),
    SafeString: ("safe", str.__str__),
}

_READERS: dict[str, Callable[[Any], Any]] = {
    "dict": lambda value: {_from_json(key): _from_json(item) for key, item in value},
    "tuple": lambda value: tuple(_from_json(item) for item in value),
    "set": lambda value: {_from_json(item) for item in value},
    "frozenset": lambda value: frozenset(_from_json(item) for item in value),
    "datetime": _read_datetime,
    "date": dt.date.fromisoformat,
    "time": _read_time,
    "timedelta": lambda value: dt.timedelta(*value),
    "decimal": Decimal,
    "uuid": uuid.UUID,
    "bytes": lambda value: base64.b64decode(value, validate=True),
    "safe": SafeString,
    "enum": _read_enum,
    "flag": _read_flag,
    "model": _read_model,
}
