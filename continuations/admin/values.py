"""The stored values of one continuation as its page shows them: in words, and with what is sensitive masked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext

from .. import masking
from ..errors import JobClassError
from ..loading import load_job_class
from . import plain

if TYPE_CHECKING:
    from ..job import ContinuableJob
    from ..models import Continuation


@dataclass(frozen=True)
class Value:
    """A name and what it stands for."""

    name: str
    text: str


class Values:
    """What is stored with `row` and its steps; `attributes_json`: the attributes as they were saved last."""

    def __init__(self, row: Continuation, attributes_json: str | None) -> None:
        self._row = row
        self._attributes = plain.parse(attributes_json)

    @cached_property
    def job_class(self) -> type[ContinuableJob] | None:
        """None if it cannot be imported: then nobody knows what is sensitive, and all values are masked."""
        try:
            return load_job_class(self._row.job_path)
        except JobClassError:
            return None

    @cached_property
    def arguments(self) -> list[Value]:
        """The arguments of `perform` by name."""
        return [self._value(name, value) for name, value in self._named_arguments()]

    @cached_property
    def attributes(self) -> list[Value]:
        """The attributes as they were saved last."""
        values = self._attributes
        return [self._value(name, value) for name, value in values.items()] if isinstance(values, dict) else []

    @cached_property
    def context(self) -> list[Value]:
        """What receivers of `enqueueing` have put there."""
        values = self._row.context
        return [self._value(name, value) for name, value in values.items()] if isinstance(values, dict) else []

    def shown(self, text: str | None) -> str:
        """A stored value for people. Empty for None."""
        if self.job_class is None:
            return masking.MASK if text is not None else ""
        return plain.readable(text, self._names)

    def is_masked(self, text: str | None) -> bool:
        """Whether something of this stored value is not shown."""
        value = plain.parse(text)
        return text is not None and (self.job_class is None or masking.mask(value, self._names) != value)

    def hidden(self, text: str) -> str:
        """`text`, as of an error, without the values that are sensitive."""
        return masking.hide(text, self._secrets)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset() if self.job_class is None else masking.sensitive_names(self.job_class)

    @cached_property
    def _secrets(self) -> set[str]:
        if self.job_class is None or not self._names:
            return set()
        named = [{name: value} for name, value in self._named_arguments()]
        given = masking.secrets_in([*named, self._attributes], self._names)
        return given | masking.sensitive_defaults(self.job_class, self._names)

    def _value(self, name: str, value: Any) -> Value:
        if self.job_class is None or masking.is_sensitive(name, self._names):
            return Value(name, masking.MASK)
        return Value(name, plain.readable(json.dumps(value, ensure_ascii=False), self._names))

    def _named_arguments(self) -> list[tuple[str, Any]]:
        stored = plain.parse(self._row.arguments_json)
        named = masking.name_arguments(stored, self.job_class)
        return [(gettext("arguments"), stored)] if named is None else named
