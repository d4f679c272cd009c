"""What every page of the demo may show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template

from continuations.words import number

from ..workers import etag_of, workers

if TYPE_CHECKING:
    from django.template import Context

register = template.Library()


@register.filter
def grouped(count: int) -> str:
    """A count as people of this language write it."""
    return number(count)


@register.inclusion_tag("stories/_controls.html", takes_context=True)
def controls(context: Context) -> dict[str, Any]:
    """The workers, with buttons that stop them; nothing where the supervisor runs none."""
    found = workers()
    return {"workers": found, "etag": etag_of(found), "csrf_token": context.get("csrf_token")}
