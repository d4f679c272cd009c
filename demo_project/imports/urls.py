from __future__ import annotations

from django.urls import path

from . import views

app_name = "imports"
urlpatterns = [
    path("", views.home, name="home"),
    path("imports/<int:pk>/", views.detail, name="detail"),
    path("imports/<int:pk>/live/", views.live, name="live"),
]
