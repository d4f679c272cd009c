"""Stored values as people read them, with what is sensitive masked. Nothing is rebuilt: no class, no row is loaded."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from ..codec import TAG
from ..masking import mask

# Characters of a value that a page shows at most; a cursor of a megabyte helps nobody.
LIMIT = 10_000


def parse(text: str | None) -> Any:
    """The plain JSON behind stored text; text that is no JSON stands for itself."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def readable(text: str | None, names: Collection[str] = ()) -> str:
    """A stored value for people: `(3, 2026-01-31)` for a tuple of a number and a date. Empty for None."""
    if text is None:
        return ""
    try:
        return cut(show(mask(parse(text), names)))
    except RecursionError:
        return "…"


def show(value: Any) -> str:
    """Plain JSON for people."""
    if isinstance(value, list):
        return f"[{_joined(value)}]"
    if isinstance(value, dict):
        if TAG in value:
            return _show_tagged(str(value[TAG]), value.get("v"))
        return "{" + ", ".join(f"{_text(key)}: {show(item)}" for key, item in value.items()) + "}"
    return _text(value)


def pretty(text: str | None) -> str:
    """A stored value as JSON to edit, types and all."""
    return json.dumps(parse(text), ensure_ascii=False, indent=2)


def kind(value: Any) -> str:
    """The type of a stored value: the codec's tag, or what JSON calls it."""
    match value:
        case {"$": tag}:
            return str(tag)
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case dict():
            return "dict"
    return "null"


def cut(text: str) -> str:
    """`text`, if it is not longer than a page bears."""
    return text if len(text) <= LIMIT else f"{text[:LIMIT]}…"


def _show_tagged(tag: str, value: Any) -> str:
    match tag, value:
        case "tuple", list():
            return f"({_joined(value)})"
        case (("set" | "frozenset"), list()):
            return "{" + _joined(value) + "}"
        case "dict", list():
            pairs = [pair for pair in value if isinstance(pair, list) and len(pair) == 2]
            return "{" + ", ".join(f"{show(key)}: {show(item)}" for key, item in pairs) + "}"
        case "datetime", [str(moment), zone, *_]:
            return f"{moment} {zone}" if zone else moment
        case "time", [str(moment), *_]:
            return moment
        case "timedelta", [days, seconds, microseconds]:
            return f"{days} d {seconds} s" + (f" {microseconds} µs" if microseconds else "")
        case (("date" | "decimal" | "uuid"), str()):
            return value
        case "bytes", str():
            return f"bytes {value}"
        case "safe", str():
            return _text(value)
        case (("enum" | "flag"), [_, name, member]):
            return f"{name}.{member}"
        case "model", [label, key, *_]:
            return f"{label} {show(key)}"
    return _text({TAG: tag, "v": value})


def _joined(values: list[Any]) -> str:
    return ", ".join(map(show, values))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
