from __future__ import annotations

from django.urls import path

from . import api, views

app_name = "catalogue"
urlpatterns = [
    path("", views.home, name="home"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/live/", views.live, name="live"),
    path("<int:pk>/api/", api.products, name="api"),
]
