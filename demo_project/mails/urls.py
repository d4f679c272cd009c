from __future__ import annotations

from django.urls import path

from . import views

app_name = "mails"
urlpatterns = [
    path("welcome/", views.welcome, name="welcome"),
    path("welcome/<int:pk>/", views.signed_up, name="signed_up"),
    path("welcome/<int:pk>/live/", views.signed_up_live, name="signed_up_live"),
    path("welcome/<int:pk>/again/", views.run_again, name="run_again"),
    path("bulk/", views.bulk, name="bulk"),
    path("bulk/people/", views.invent, name="invent"),
    path("bulk/<int:pk>/", views.newsletter, name="newsletter"),
    path("bulk/<int:pk>/live/", views.newsletter_live, name="newsletter_live"),
]
