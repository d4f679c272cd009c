"""What the mails left behind, to look at."""

from __future__ import annotations

from django.contrib import admin

from ..imports.admin import ReadOnlyAdmin
from .models import Dispatch, Metric, Newsletter, Person, SignUp


@admin.register(Person)
class PersonAdmin(ReadOnlyAdmin):
    list_display = ["name", "email"]
    search_fields = ["email", "name"]


@admin.register(SignUp)
class SignUpAdmin(ReadOnlyAdmin):
    list_display = ["person", "created_at", "fault", "counted"]
    list_select_related = ["person"]


@admin.register(Metric)
class MetricAdmin(ReadOnlyAdmin):
    list_display = ["name", "value"]


@admin.register(Newsletter)
class NewsletterAdmin(ReadOnlyAdmin):
    list_display = ["subject", "created_at", "in_doubt"]


@admin.register(Dispatch)
class DispatchAdmin(ReadOnlyAdmin):
    list_display = ["newsletter", "person", "begun_at", "sent_at", "tries", "skips"]
    list_select_related = ["newsletter", "person"]
    show_full_result_count = False
