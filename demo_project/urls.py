from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("demo_project.stories.urls")),
    path("imports/", include("demo_project.imports.urls")),
    path("reports/", include("demo_project.reports.urls")),
    path("mails/", include("demo_project.mails.urls")),
    path("approvals/", include("demo_project.approvals.urls")),
    path("accounts/", include("demo_project.accounts.urls")),
    path("cleanup/", include("demo_project.cleanup.urls")),
    path("catalogue/", include("demo_project.catalogue.urls")),
]
