"""For the templates of the admin."""

from __future__ import annotations

from typing import Any

from django import template
from django.forms import Media
from django.template import Context

try:
    from django.utils.csp import nonce_attr
except ImportError:
    # Before Django 6.1 the admin knows nothing of nonces.
    nonce_attr = None  # type: ignore[assignment]

register = template.Library()


@register.simple_tag(takes_context=True)
def continuations_media(context: Context, media: Media) -> Any:
    """Links to scripts and styles, with the nonce of the page if there is one."""
    return media.render() if nonce_attr is None else nonce_attr(context, media)
