"""Parts of pages that change while they are looked at, sent only when they have."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.utils.translation import get_language

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase


def etag(*facts: Any) -> str:
    """An entity tag that changes whenever one of these facts does, or the language."""
    return f'"{hashlib.sha256(repr((get_language(), *facts)).encode()).hexdigest()[:32]}"'


def fragment(request: HttpRequest, template: str, context: dict[str, Any], *, etag: str) -> HttpResponseBase:
    """The answer of a fragment view: `template`, or 304 if what the visitor has is tagged the same.

    The outermost element of the template is the only one; it says what changed in words in `data-live-state`, and
    `data-live-end` once nothing will change any more. What the context costs should be computed when it is rendered.
    """
    unchanged = get_conditional_response(request, etag=etag)
    if unchanged is not None:
        return unchanged
    response = render(request, template, context)
    response.headers["ETag"] = etag
    return response
