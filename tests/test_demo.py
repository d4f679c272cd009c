"""The demo: its pages, its import, and the rehearsal that stops workers in the middle."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from continuations.models import Continuation
from continuations.testing import assert_resumable, interrupt_during, run_enqueued, run_until_finished
from demo_project.imports.forms import SIZE_LIMIT
from demo_project.imports.geography import geohash, kilometres_from_greenwich
from demo_project.imports.jobs import BATCH, ProcessImport, start
from demo_project.imports.models import Airport, AirportImport
from demo_project.imports.plain import plain_import
from demo_project.imports.rows import COLUMNS, NumberedRows
from demo_project.imports.tally import Tally

pytestmark = pytest.mark.django_db

HEADER = ",".join(COLUMNS)
HEATHROW = "EGLL,LHR,London Heathrow Airport,London,England,GB,83,51.4706,-0.46194,Europe/London,"


@pytest.fixture(autouse=True)
def uploads(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "uploads"
    return settings.MEDIA_ROOT


def airport(number):
    return f"X{number:03},,Airport {number},,,XK,{number},{number % 90},{-number % 180},,"


def file_of(*lines, end="\n"):
    return end.join([HEADER, *lines, ""]).encode()


AFTER_ONE_BATCH = (len(file_of(*map(airport, range(BATCH)))), BATCH + 2)


def import_of(*lines, content=None, end="\n"):
    content = file_of(*lines, end=end) if content is None else content
    return start(AirportImport.objects.model(name="airports.csv", file=ContentFile(content, name="airports.csv")))


def finish(airport_import):
    continuation = airport_import.continuation
    run_until_finished(continuation)
    airport_import.refresh_from_db()
    return airport_import.continuation


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


# Importing


def test_every_row_is_imported_once_and_derived_from_once():
    airport_import = import_of(*map(airport, range(3 * BATCH)))
    assert finish(airport_import).status == Continuation.Status.SUCCEEDED
    assert Tally.of(airport_import) == Tally(in_file=3 * BATCH, imported=3 * BATCH, bad=0, repeated=0, lost=0)
    assert airport_import.airport_count == 3 * BATCH
    assert airport_import.finished_at


def test_an_import_stopped_at_any_checkpoint_or_crashed_there_imports_every_row_once():
    airport_import = import_of(*map(airport, range(2 * BATCH + 1)), "no airport")

    def effects():
        return Tally.of(airport_import), list(airport_import.airports.values_list("icao", "geohash"))

    def reset():
        airport_import.airports.all().delete()
        airport_import.bad_rows.all().delete()

    assert_resumable(ProcessImport, airport_import.pk, effects=effects, reset=reset)


def test_the_steps_count_rows_and_the_cursor_tells_byte_and_line():
    airport_import = import_of(*map(airport, range(BATCH + 1)))
    with interrupt_during(ProcessImport, "load", cursor=AFTER_ONE_BATCH):
        run_enqueued()
    load = airport_import.continuation.steps.get(name="load")
    assert load.cursor == AFTER_ONE_BATCH
    assert (load.processed, load.total) == (BATCH, BATCH + 1)


def test_the_second_pass_derives_cell_and_distance_for_each_airport():
    airport_import = import_of(HEATHROW)
    finish(airport_import)
    heathrow = airport_import.airports.get()
    assert heathrow.geohash == "gcpsv"
    assert heathrow.greenwich_km == pytest.approx(32.0, abs=0.1)


def test_geohash_and_distance_agree_with_published_values():
    assert geohash(42.605, -5.603) == "ezs42"
    assert geohash(57.64911, 10.40744, length=11) == "u4pruydqqvj"
    assert kilometres_from_greenwich(51.4769, 0) == 0
    assert kilometres_from_greenwich(-51.4769, 180) == pytest.approx(20015.1, abs=0.1)


# Bad rows


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
def test_a_bad_row_is_recorded_with_the_line_it_starts_on_and_stops_nothing(end):
    lines = [
        airport(1),
        f'X002,,"Two{end}lines, and a ""quote""",,,XK,1,2,3,,',
        "",
        "no airport",
        airport(3),
        f'bad,,"Two{end}lines",,,XK,1,2,3,,',
        airport(4),
        "X005,,Five,,,XK,high,2,3,,",
    ]
    airport_import = import_of(*lines, end=end)
    assert finish(airport_import).status == Continuation.Status.SUCCEEDED
    assert list(airport_import.airports.values_list("icao", "line")) == [
        ("X001", 2),
        ("X002", 3),
        ("X003", 7),
        ("X004", 10),
    ]
    assert list(airport_import.bad_rows.values_list("line", "text")) == [
        (6, "no airport"),
        (8, lines[5]),
        (11, lines[7]),
    ]
    assert Tally.of(airport_import).lost == 0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("X002,,Two,,,XK,1,2,3,", "The row has 10 columns instead of 11."),
        (airport(2) + ",,", "The row has 13 columns instead of 11."),
        ("x002,,Two,,,XK,1,2,3,,", "icao: Enter an ICAO code: three or four capital letters or digits."),
        ("X002,,,,,XK,1,2,3,,", "name: This field cannot be blank."),
        ("X002,,Two,,,XK,1,north,3,,", "lat: “north” value must be a float."),
        ("X002,,Two,,,XK,1,90.1,3,,", "lat: Ensure this value is less than or equal to 90."),
        ("X002,,Two,,,XK,1,nan,3,,", "lat: Enter a number."),
        ("X002,,T\0wo,,,XK,1,2,3,,", "The row contains a null character."),
        (airport(1), "An earlier row has the code X001."),
    ],
)
def test_the_record_of_a_bad_row_says_what_is_wrong(row, reason):
    airport_import = import_of(airport(1), row)
    finish(airport_import)
    assert airport_import.bad_rows.get().reason == reason
    assert airport_import.airports.get().icao == "X001"


def test_of_rows_with_the_same_code_the_first_is_imported_also_across_batches():
    airport_import = import_of(*map(airport, range(BATCH)), airport(0), airport(1))
    finish(airport_import)
    assert list(airport_import.bad_rows.values_list("line", flat=True)) == [BATCH + 2, BATCH + 3]
    assert airport_import.airports.count() == BATCH


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"code,name\nEGLL,Heathrow\n", "The first line must name the columns icao,iata"),
        (b"", "it is empty"),
        (file_of("no airport", "none either"), "None of the 2 rows is an airport."),
        (file_of(*map(airport, range(500))) + b"\xff\n", "Row 501 is not CSV in UTF-8"),
        (file_of('"' + "a" * 140_000), "Row 1 is not CSV in UTF-8: field larger than field limit"),
    ],
    ids=["other columns", "an empty file", "no valid row", "another encoding", "an endless field"],
)
def test_a_file_that_is_no_airports_file_fails_its_import_with_a_clear_error(content, complaint):
    airport_import = import_of(content=content)
    with pytest.raises(Exception, match=re.escape(complaint)):
        finish(airport_import)
    continuation = airport_import.continuation
    assert continuation.status == Continuation.Status.FAILED
    assert complaint in continuation.error_message
    assert not Airport.objects.exists()


def test_a_file_with_a_byte_order_mark_is_imported_like_one_without():
    airport_import = import_of(content=b"\xef\xbb\xbf" + file_of(HEATHROW))
    finish(airport_import)
    assert airport_import.airports.get().line == 2


def test_rows_read_from_any_cursor_are_the_rest_of_the_file(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\r\n\n" + file_of(airport(1), "", 'X,,"a\n\r\nb"', airport(2), end="\r\n") + airport(3).encode())
    rows = list(NumberedRows(path).after(None))
    assert [(row.line, row.text) for row, _ in rows] == [
        (4, airport(1)),
        (6, 'X,,"a\n\r\nb"'),
        (9, airport(2)),
        (10, airport(3)),
    ]
    for done, (_, cursor) in enumerate(rows, start=1):
        assert list(NumberedRows(path).after(cursor)) == rows[done:]


# Counting


def test_the_tally_counts_what_a_plain_import_repeats_when_it_starts_over():
    airport_import = import_of(*map(airport, range(3)), "no airport")
    plain_import(airport_import.pk)
    assert Tally.of(airport_import).exact
    plain_import(airport_import.pk)
    # Three airports and a bad row were stored again, and the first three airports derived from again.
    assert Tally.of(airport_import) == Tally(in_file=4, imported=3, bad=1, repeated=3 + 1 + 3, lost=0)


def test_the_tally_counts_what_is_lost():
    airport_import = import_of(*map(airport, range(3)))
    plain_import(airport_import.pk)
    airport_import.airports.filter(line=2).delete()
    airport_import.airports.filter(line=3).update(derivations=0)
    assert Tally.of(airport_import) == Tally(in_file=3, imported=2, bad=0, repeated=0, lost=2)


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
    with pytest.raises(Exception, match="None of the 1 rows"):
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


def test_an_unchanged_live_part_costs_five_queries(client, django_assert_num_queries):
    airport_import = import_of(HEATHROW)
    url = reverse("imports:live", args=[airport_import.pk])
    etag = client.get(url)["ETag"]
    with django_assert_num_queries(5):
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
        client.get(reverse("imports:home")),
        client.post(reverse("imports:home")),
        client.get(reverse("imports:detail", args=[airport_import.pk])),
        client.get(reverse("imports:live", args=[airport_import.pk])),
    ]
    for response in responses:
        html = response.content.decode()
        assert not re.search(r"<style|\bstyle=|<script(?![^>]*\bsrc=)|\son\w+=", html)
        assert response["Content-Security-Policy"] == "default-src 'self'; base-uri 'self' example.org"
