"""What every page of the demo may show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template
from django.conf import settings

from ..workers import etag_of, workers

if TYPE_CHECKING:
    from django.template import Context

register = template.Library()


@register.inclusion_tag("stories/_controls.html", takes_context=True)
def controls(context: Context) -> dict[str, Any]:
    """The workers, with buttons that stop them; nothing where the supervisor runs none."""
    found = workers()
    return {
        "workers": found,
        "etag": etag_of(found),
        "csrf_token": context.get("csrf_token"),
        "login": "demo" if settings.DEBUG else "",
    }
