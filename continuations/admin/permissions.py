"""Who may do what. Asked by every view, for every request: a hidden button protects nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied

if TYPE_CHECKING:
    from django.http import HttpRequest

    from ..models import Continuation
    from .verbs import Verb

    Base = admin.ModelAdmin[Continuation]
else:
    Base = object


class PermissionsMixin(Base):
    """Nothing is added or changed by hand. Override a method to decide otherwise, for a request or an object."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Jobs are enqueued by code."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The verbs change a continuation, not a form of its columns."""
        return False

    def has_control_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Pause, resume, cancel, send an event."""
        return self._has(request, "control")

    def has_retry_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Retry, run again from a step, follow up."""
        return self._has(request, "retry")

    def has_edit_cursor_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Edit the cursor of a step."""
        return self._has(request, "edit_cursor")

    def may(self, request: HttpRequest, verb: Verb, obj: Any = None) -> bool:
        """Whether the user may see `obj`, and call `verb`."""
        allowed: bool = getattr(self, f"has_{verb.permission}_permission")(request, obj)
        return allowed and self.has_view_permission(request, obj)

    def require(self, request: HttpRequest, verb: Verb, obj: Any = None) -> None:
        """Raise `PermissionDenied` unless the user may."""
        if not self.may(request, verb, obj):
            raise PermissionDenied

    def _has(self, request: HttpRequest, action: str) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.{get_permission_codename(action, self.opts)}")
