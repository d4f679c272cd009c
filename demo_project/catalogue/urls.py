from __future__ import annotations

from django.urls import path

from . import api

app_name = "catalogue"
urlpatterns = [
    path("<int:pk>/api/", api.products, name="api"),
]
