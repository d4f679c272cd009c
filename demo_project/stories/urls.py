from __future__ import annotations

from django.urls import path, register_converter

from . import views
from .workers import Kill


class KillConverter:
    """The value of a `Kill`."""

    regex = "|".join(Kill)

    def to_python(self, value: str) -> Kill:
        return Kill(value)

    def to_url(self, value: str) -> str:
        return value


register_converter(KillConverter, "kill")

app_name = "stories"
urlpatterns = [
    path("", views.home, name="home"),
    path("workers/live/", views.workers_live, name="workers"),
    path("workers/<slug:name>/<kill:kill>/", views.kill, name="kill"),
    path("continuations/<uuid:pk>/retry/", views.retry, name="retry"),
]
