"""Continuations in the admin, to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from .models import Continuation, Execution, StepRecord


class _ReadOnly:
    """Nothing is added or changed here: the verbs of the models are the way."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class _PartOfContinuation(_ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    extra = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may see a continuation may see its parts."""
        return request.user.has_perm("continuations.view_continuation")


class StepInline(_PartOfContinuation):
    """The steps of a continuation."""

    model = StepRecord
    fields = ("position", "name", "status", "cursor_json", "processed", "total", "heartbeat_at", "finished_at")
    readonly_fields = fields


class ExecutionInline(_PartOfContinuation):
    """The executions of a continuation."""

    model = Execution
    fields = (
        "number",
        "worker",
        "pid",
        "started_at",
        "finished_at",
        "outcome",
        "reason",
        "cursor_before_json",
        "cursor_after_json",
    )
    readonly_fields = fields


@admin.register(Continuation)
class ContinuationAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """All continuations, newest first."""

    list_display = ("id", "job_name", "status", "queue_name", "executions", "reason", "created_at", "finished_at")
    list_filter = ("status",)
    ordering = ("-created_at",)
    show_full_result_count = False
    inlines = (StepInline, ExecutionInline)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "job_path",
                    "status",
                    "reason",
                    "queue_name",
                    "arguments_json",
                    "result_json",
                    ("executions", "resumptions", "crashes", "errors"),
                    ("created_at", "started_at", "finished_at", "run_after"),
                    "error_class",
                    "error_message",
                    "error_traceback",
                )
            },
        ),
    )
