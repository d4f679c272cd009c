"""What the pages poll: the changing part of one continuation, and the cells of a list."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from .rows import Row, shown
from .views import ViewsMixin

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase
    from django.urls import URLPattern

# Continuations of a list that are followed; a page does not show more that run.
FOLLOWED = 100


class LiveMixin(ViewsMixin):
    """Two more views, for scripts."""

    def get_urls(self) -> list[URLPattern]:
        """Before Django's, whose last one takes everything."""
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("live/", self.admin_site.admin_view(require_safe(self.live_list_view)), name=f"{name}_live_list"),
            path(
                "<path:object_id>/live/",
                self.admin_site.admin_view(require_safe(self.live_view)),
                name=f"{name}_live",
            ),
            *super().get_urls(),
        ]

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """The changing part of the page; 304 while it has not changed."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        watched_row = self.watched_row(request, object_id)
        if watched_row is None:
            raise Http404
        if not self.has_view_permission(request, watched_row):
            raise PermissionDenied
        tag = self.etag_of(request, watched_row)
        unchanged = get_conditional_response(request, etag=tag)
        if unchanged is not None:
            return unchanged
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        request.current_app = self.admin_site.name
        context = {"opts": self.opts, "original": row, **self.page_context(request, row)}
        response = TemplateResponse(request, "admin/continuations/continuation/_live.html", context)
        response.headers["ETag"] = tag
        return response

    def live_list_view(self, request: HttpRequest) -> HttpResponseBase:
        """The cells of `?ids=`, as HTML by name by id; 304 while none has changed."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows: Any = self.get_queryset(request)
        followed: Any = shown(rows.filter(pk__in=_ids(request.GET.get("ids", ""))))
        found = {str(row.pk): {"ended": row.is_finished, "cells": Row(row).cells()} for row in followed}
        body = json.dumps({"rows": found}).encode()
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        response = HttpResponse(body, content_type="application/json", headers={"ETag": tag})
        return get_conditional_response(request, etag=tag, response=response) or response


def _ids(text: str) -> list[uuid.UUID]:
    """The ids of a query string. What is none is left out."""
    found: list[Any] = []
    for part in text.split(",")[:FOLLOWED]:
        try:
            found.append(uuid.UUID(part))
        except ValueError:
            continue
    return found
