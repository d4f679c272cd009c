from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("catalogue/", include("demo_project.catalogue.urls")),
    path("", include("demo_project.imports.urls")),
]
