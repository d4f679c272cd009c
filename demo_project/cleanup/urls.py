from __future__ import annotations

from django.urls import path

from . import views

app_name = "cleanup"
urlpatterns = [
    path("", views.home, name="home"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/live/", views.live, name="live"),
]
