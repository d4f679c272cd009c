"""The demo's pages: starting an import, and watching it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from continuations.models import Continuation
from continuations.testing import interrupt_during, run_enqueued
from demo_project.imports.forms import SIZE_LIMIT
from demo_project.imports.jobs import ProcessImport
from demo_project.imports.models import AirportImport
from demo_project.imports.rows import FileRefusedError, RowRefusedError

from .airports import AFTER_ONE_BATCH, BATCH, HEATHROW, airport, file_of, finish, import_of

pytestmark = pytest.mark.django_db


def upload(client, content, name="airports.csv"):
    return client.post(reverse("imports:home"), {"file": SimpleUploadedFile(name, content, "text/csv")})


def page(client, airport_import):
    return client.get(reverse("imports:detail", args=[airport_import.pk])).content.decode()


# Starting


def test_picking_the_airports_of_the_world_enqueues_their_import_and_shows_it(client):
    response = client.post(reverse("imports:home"), {"world": "1"})
    airport_import = AirportImport.objects.get()
    assert response.url == reverse("imports:detail", args=[airport_import.pk])
    assert airport_import.continuation.status == Continuation.Status.ENQUEUED
    assert airport_import.continuation.queue_name == "imports"
    assert "EGLL" in Path(airport_import.file.path).read_text()


def test_an_uploaded_file_is_imported(client):
    upload(client, file_of(HEATHROW), name="mine.csv")
    airport_import = AirportImport.objects.get(name="mine.csv")
    assert finish(airport_import).status == Continuation.Status.SUCCEEDED
    assert airport_import.airports.get().name == "London Heathrow Airport"


@pytest.mark.parametrize("name", ["../../outside.csv", "/etc/outside.csv", "..\\outside.csv"])
def test_an_upload_is_stored_under_a_name_of_our_own_whatever_it_is_called(client, uploads, name):
    upload(client, file_of(HEATHROW), name=name)
    stored = Path(AirportImport.objects.get().file.path)
    assert stored.parent == uploads / "imports"
    assert re.fullmatch(r"[0-9a-f]{32}\.csv", stored.name)


@pytest.mark.parametrize(
    ("content", "name", "complaint"),
    [
        (b"", "airports.csv", "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", "airports.csv", "not a CSV file in UTF-8"),
        (file_of(*map(airport, range(500))) + b"\xff", "airports.csv", "not text in UTF-8"),
        (b"code,name\nEGLL,Heathrow\n", "airports.csv", "must name the columns icao,iata"),
        (file_of(HEATHROW), "airports.exe", "not allowed"),
        (file_of(HEATHROW).ljust(SIZE_LIMIT + 1, b"\n"), "airports.csv", "more than the"),
    ],
    ids=["empty", "an image", "another encoding", "other columns", "another extension", "too large"],
)
def test_an_upload_that_is_no_airports_file_starts_nothing_and_says_why(client, content, name, complaint):
    response = upload(client, content, name)
    assert complaint in response.content.decode().replace("\xa0", " ")
    assert not AirportImport.objects.exists()
    assert not Continuation.objects.exists()


def test_a_post_without_a_file_asks_for_one(client):
    assert "This field is required" in client.post(reverse("imports:home")).content.decode()


# Watching


def test_the_page_shows_all_steps_before_a_worker_has_started(client):
    html = page(client, import_of(HEATHROW))
    assert "enqueued" in html
    assert "No worker has started it yet." in html
    assert [name for name in ("validate", "load", "derive", "finalise") if f">{name}<" in html] == [
        "validate",
        "load",
        "derive",
        "finalise",
    ]


def test_the_page_of_an_interrupted_import_shows_progress_cursor_and_reason(client):
    airport_import = import_of(*map(airport, range(BATCH + 1)))
    with interrupt_during(ProcessImport, "load", cursor=AFTER_ONE_BATCH, reason="stopping"):
        run_enqueued()
    html = page(client, airport_import)
    assert f'<progress value="{BATCH}" max="{BATCH + 1}" aria-label="Progress of load">' in html
    assert f"line {BATCH + 2}, byte" in html
    assert "interrupted: the worker was told to stop" in html


def test_the_page_of_a_finished_import_counts_afterwards_and_shows_bad_rows(client):
    airport_import = import_of(HEATHROW, "<b>no airport</b>")
    finish(airport_import)
    html = page(client, airport_import)
    assert "data-live-end" in html
    assert "<dt>Rows lost</dt><dd>0</dd>" in html
    assert "1 row was left out." in html
    assert "&lt;b&gt;no airport&lt;/b&gt;" in html


def test_the_page_of_a_failed_import_shows_the_error(client):
    airport_import = import_of("no airport")
    with pytest.raises(FileRefusedError, match="None of the 1 rows"):
        finish(airport_import)
    assert "None of the 1 rows is an airport." in page(client, airport_import)


def test_an_import_whose_continuation_was_pruned_keeps_its_page(client):
    airport_import = import_of(HEATHROW)
    finish(airport_import).delete()
    assert "no longer recorded" in page(client, airport_import)
    assert "no longer recorded" in client.get(reverse("imports:home")).content.decode()


def test_the_live_part_is_sent_only_when_it_has_changed(client):
    airport_import = import_of(HEATHROW)
    url = reverse("imports:live", args=[airport_import.pk])
    first = client.get(url)
    assert client.get(url, headers={"if-none-match": first["ETag"]}).status_code == 304
    finish(airport_import)
    second = client.get(url, headers={"if-none-match": first["ETag"]})
    assert second.status_code == 200
    assert "succeeded" in second.content.decode()


def test_an_unchanged_live_part_costs_six_queries(client, django_assert_num_queries):
    airport_import = import_of(HEATHROW)
    url = reverse("imports:live", args=[airport_import.pk])
    etag = client.get(url)["ETag"]
    with django_assert_num_queries(6):
        client.get(url, headers={"if-none-match": etag})


def test_the_list_of_imports_costs_two_queries_however_long(client, django_assert_num_queries):
    for _ in range(3):
        import_of(HEATHROW)
    with django_assert_num_queries(2):
        client.get(reverse("imports:home"))


def test_pages_have_no_inline_script_or_style_and_forbid_them(client, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "demo_project.csp.ContentSecurityPolicyMiddleware"]
    settings.SECURE_CSP = {"default-src": ["'self'"], "base-uri": ["'self'", "example.org"]}
    airport_import = import_of(HEATHROW, "no airport")
    finish(airport_import)
    responses = [
        client.get(reverse("stories:home")),
        client.get(reverse("imports:home")),
        client.post(reverse("imports:home")),
        client.get(reverse("imports:detail", args=[airport_import.pk])),
        client.get(reverse("imports:live", args=[airport_import.pk])),
    ]
    for response in responses:
        html = response.content.decode()
        assert not re.search(r"<style|\bstyle=|<script(?![^>]*\bsrc=)|\son\w+=", html)
        assert response["Content-Security-Policy"] == "default-src 'self'; base-uri 'self' example.org"


# The row at which it stopped


def stopped_import(client):
    client.post(
        reverse("imports:home"),
        {"file": SimpleUploadedFile("a.csv", file_of(airport(1), "no airport"), "text/csv"), "is_strict": "on"},
    )
    airport_import = AirportImport.objects.get()
    with pytest.raises(RowRefusedError):
        finish(airport_import)
    return airport_import


def test_the_page_of_an_import_that_stopped_at_a_row_has_a_form_to_fix_it(client):
    airport_import = stopped_import(client)
    html = page(client, airport_import)
    assert "Line 3 is no airport" in html
    assert 'value="no airport"' in html
    response = client.post(reverse("imports:mend", args=[airport_import.pk]), {"text": airport(2)}, follow=True)
    assert "Line 3 is fixed." in response.content.decode()
    assert "Fix the row" not in response.content.decode()
    assert Path(airport_import.file.path).read_bytes() == file_of(airport(1), airport(2))


@pytest.mark.parametrize("text", ["", "no airport either", airport(2) + "\n" + airport(3), f"{airport(2)},more"])
def test_a_row_that_is_still_no_airport_is_not_written(client, text):
    airport_import = stopped_import(client)
    response = client.post(reverse("imports:mend", args=[airport_import.pk]), {"text": text})
    assert 'class="errorlist"' in response.content.decode()
    assert b"no airport\n" in Path(airport_import.file.path).read_bytes()


def test_where_nothing_stopped_there_is_no_row_to_fix(client):
    airport_import = import_of(HEATHROW)
    response = client.post(reverse("imports:mend", args=[airport_import.pk]), {"text": airport(2)}, follow=True)
    assert "There is no row to fix." in response.content.decode()
    assert Path(airport_import.file.path).read_bytes() == file_of(HEATHROW)


# The plain job beside it


def test_the_plain_job_has_no_page_and_no_line_of_its_own(client):
    client.post(reverse("imports:home"), {"world": "1", "beside": "on", "rest": "0.02"})
    plain = AirportImport.objects.get(beside__isnull=False)
    assert (plain.rest, plain.beside.rest) == (0.02, 0.02)
    assert client.get(reverse("imports:detail", args=[plain.pk])).status_code == 404
    assert client.get(reverse("imports:home")).content.decode().count("airportsdata") == 1
    assert "A plain RQ job, same file" in page(client, plain.beside)


def test_a_pace_that_is_not_offered_starts_nothing(client):
    assert client.post(reverse("imports:home"), {"world": "1", "rest": "3600"}).status_code == 200
    assert not AirportImport.objects.exists()


def test_the_dots_after_no_key_are_all_of_them(client):
    airport_import = import_of(HEATHROW)
    finish(airport_import)
    url = reverse("imports:dots", args=[airport_import.pk])
    for after in ("", "?after=0", "?after=nonsense"):
        assert client.get(f"{url}{after}").json()["points"] == [[-0.46, 51.47]]
