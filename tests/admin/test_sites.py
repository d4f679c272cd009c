"""Other admin sites, another database, other users, other bases, other templates."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.core import checks
from django.test import Client
from django.urls import path

from continuations.admin import ContinuationAdmin, ContinuationAdminMixin
from continuations.models import Continuation
from continuations.testing import run_until_finished

from . import states
from .jobs import Import
from .pages import ALL, LIST, act, address, call, messages_of, staff, text_of

ROOT = Path(__file__).resolve().parent.parent.parent


class Restricted(ContinuationAdminMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """Somebody's own: only imports may be steered."""

    def has_control_permission(self, request: Any, obj: Any = None) -> bool:
        return super().has_control_permission(request, obj) and (obj is None or obj.job_name == "Import")


operations = admin.AdminSite(name="operations")
operations.register(Continuation, Restricted)
urlpatterns = [path("operations/", operations.urls), path("admin/", admin.site.urls)]


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_another_admin_site_links_to_itself() -> None:
    row = states.paused()
    client = staff(*ALL)
    for where in ("", f"{row.pk}/change/", f"{row.pk}/live/", f"{row.pk}/verb/cancel/", f"{row.pk}/history/"):
        response = client.get(f"/operations/continuations/continuation/{where}")
        assert response.status_code == 200, where
        assert "/admin/continuations" not in response.content.decode(), where
    response = client.post(f"/operations/continuations/continuation/{row.pk}/verb/resume/")
    assert response["Location"] == f"/operations/continuations/continuation/{row.pk}/change/"


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_a_site_of_ones_own_may_decide_for_each_continuation(settings: Any) -> None:
    # Without the demo's page for a refusal, which needs the demo's addresses.
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": []}]
    client = staff(*ALL)
    mine, other = states.paused(), states.paused_by_limit()
    for row, count in ((mine, 1), (other, 0)):
        source = client.get(f"/operations/continuations/continuation/{row.pk}/change/").content.decode()
        assert source.count("/verb/resume/") == count
    assert client.post(f"/operations/continuations/continuation/{other.pk}/verb/resume/").status_code == 403
    response = act(
        client, "resume_selected", mine, other, where="/operations/continuations/continuation/", confirmed="yes"
    )
    assert messages_of(response) == ["1 is now enqueued.", "You may not do that to 1 of them."]
    other.refresh_from_db()
    assert other.status == "paused"


@pytest.mark.django_db
@pytest.mark.urls(__name__)
def test_a_site_without_django_rqs_pages_has_no_link_to_them(admin_client: Client) -> None:
    row = states.paused()
    for site, linked in (("admin", True), ("operations", False)):
        source = admin_client.get(f"/{site}/continuations/continuation/{row.pk}/change/").content.decode()
        assert ("Open in RQ" in source) is linked


@pytest.mark.django_db(databases=["default", "other"])
def test_the_admin_passes_the_system_checks() -> None:
    assert checks.run_checks(tags=["admin", "models", "templates"]) == []
    assert ContinuationAdmin(Continuation, admin.site).check() == []


@pytest.mark.django_db(databases=["default", "other"])
def test_continuations_of_another_database_are_seen_and_steered(settings: Any, admin_client: Client) -> None:
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "DATABASE": "other"}
    row = Import.enqueue("airports.csv")
    assert row._state.db == "other"
    assert not Continuation.objects.using("default").exists()
    assert str(row.pk) in admin_client.get(LIST).content.decode()
    call(admin_client, row, "pause", reason="deploy")
    row = Continuation.objects.using("other").get()
    assert (row.status, row.request_reason) == ("paused", "deploy")
    assert LogEntry.objects.using("default").get().object_id == str(row.pk)
    act(admin_client, "resume_selected", row, confirmed="yes")
    row = run_until_finished(Continuation.objects.using("other").get())
    assert "It came to its end." in text_of(admin_client, row)
    assert admin_client.get(address(row, "live")).status_code == 200
    assert str(row.pk) in admin_client.get(f"{LIST}live/?ids={row.pk}").json()["rows"]
    assert "Steps: 3" in text_of(admin_client, address(row, "delete"))
    admin_client.post(address(row, "delete"), {"post": "yes"})
    assert not Continuation.objects.using("other").exists()


OTHER_USER = """
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="x", USE_TZ=True, ROOT_URLCONF="tests.people.urls", AUTH_USER_MODEL="people.Person", ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    RQ_QUEUES={"default": {"URL": "redis://127.0.0.1:1/0"}, "imports": {"URL": "redis://127.0.0.1:1/0"}},
    CONTINUATIONS={"DELIVERY": "continuations.testing.MemoryDelivery"}, STATIC_URL="static/",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "tests.people", "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
        "django.contrib.sessions", "django.contrib.messages", "django.contrib.staticfiles", "continuations",
        "django_rq",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
)
django.setup()
from django.core.management import call_command

call_command("migrate", run_syncdb=True, verbosity=0)
from django.contrib.admin.models import LogEntry
from django.test import Client
from continuations.models import Continuation
from tests.admin.jobs import Import
from tests.people.models import Person

person = Person.objects.create(email="ana@example.org", is_staff=True, is_superuser=True)
row = Import.enqueue("x")
client = Client()
client.force_login(person)
response = client.post(f"/admin/continuations/continuation/{row.pk}/verb/pause/", {"reason": "deploy"})
assert response.status_code == 302, response
row.refresh_from_db()
assert (row.status, row.request_by) == ("paused", "ana@example.org"), row.request_by
assert LogEntry.objects.get().user_id == person.pk
page = client.get(f"/admin/continuations/continuation/{row.pk}/change/").content.decode()
assert "Last request by ana@example.org" in page
assert client.get("/admin/continuations/continuation/").status_code == 200
print("fine")
"""


def test_users_may_be_of_another_model() -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run([sys.executable, "-c", OTHER_USER], capture_output=True, text=True, cwd=ROOT, env=environ)
    assert done.stdout.strip() == "fine", done.stderr[-3000:]


@pytest.mark.django_db
def test_a_project_adds_to_the_page_with_a_template_of_its_own(
    admin_client: Client, settings: Any, tmp_path: Path
) -> None:
    custom = tmp_path / "admin" / "continuations" / "continuation" / "_custom.html"
    custom.parent.mkdir(parents=True)
    custom.write_text("<p>Runbook of {{ page.row.job_name }}</p>")
    templates = settings.TEMPLATES[0]
    settings.TEMPLATES = [{**templates, "DIRS": [tmp_path, *templates["DIRS"]]}]
    assert "Runbook of Import" in text_of(admin_client, states.paused())
