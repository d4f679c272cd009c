"""The import of the demo: what it does with rows, good and bad, and with interruptions."""

from __future__ import annotations

import re

import pytest

from continuations.models import Continuation
from continuations.testing import assert_resumable, interrupt_during, run_enqueued
from demo_project.imports.atlas import points, regions, sample
from demo_project.imports.geography import geohash, kilometres_from_greenwich
from demo_project.imports.jobs import ProcessImport
from demo_project.imports.mending import Mending
from demo_project.imports.models import Airport, AirportImport
from demo_project.imports.plain import plain_import, start_beside
from demo_project.imports.rows import FileRefusedError, NumberedRows, RowRefusedError
from demo_project.imports.tally import Tally
from demo_project.imports.world import world_airports

from .airports import AFTER_ONE_BATCH, BATCH, HEATHROW, airport, file_of, finish, import_of

pytestmark = pytest.mark.django_db


def test_every_row_is_imported_once_and_derived_from_once():
    airport_import = import_of(*map(airport, range(3 * BATCH)))
    assert finish(airport_import).status == Continuation.Status.SUCCEEDED
    assert Tally.of(airport_import) == Tally(in_file=3 * BATCH, imported=3 * BATCH, bad=0, repeated=0, lost=0)
    assert airport_import.airport_count == 3 * BATCH
    assert airport_import.finished_at


class ProcessPairs(ProcessImport):
    batch_size = 2


def test_an_import_stopped_at_any_checkpoint_or_crashed_there_imports_every_row_once():
    airport_import = import_of(*map(airport, range(4)), "no airport")

    def effects():
        return Tally.of(airport_import), list(airport_import.airports.values_list("icao", "geohash"))

    def reset():
        airport_import.airports.all().delete()
        airport_import.bad_rows.all().delete()

    assert_resumable(ProcessPairs, airport_import.pk, effects=effects, reset=reset)


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
        (file_of('"' + "a" * 140_000), "Row 1 is not CSV in UTF-8"),
    ],
    ids=["other columns", "an empty file", "no valid row", "another encoding", "an endless field"],
)
def test_a_file_that_is_no_airports_file_fails_its_import_with_a_clear_error(content, complaint):
    airport_import = import_of(content=content)
    with pytest.raises(FileRefusedError, match=re.escape(complaint)):
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


# Stopping at a bad row


def strict_import(*lines):
    airport_import = import_of(*lines)
    AirportImport.objects.filter(pk=airport_import.pk).update(is_strict=True)
    airport_import.refresh_from_db()
    return airport_import


def test_a_strict_import_stops_at_a_bad_row_and_goes_on_there_once_it_is_mended():
    airport_import = strict_import(*map(airport, range(BATCH)), airport(BATCH), "no airport", airport(BATCH + 2))
    with pytest.raises(RowRefusedError, match=rf"Line {BATCH + 3} is no airport: The row has 1 columns"):
        finish(airport_import)
    assert airport_import.airports.count() == BATCH
    assert not airport_import.bad_rows.exists()

    mending = Mending(airport_import)
    assert (mending.row.line, mending.proposal) == (BATCH + 3, "no airport")
    mending.apply(airport(BATCH + 1))
    airport_import.continuation.retry()
    assert finish(airport_import).status == Continuation.Status.SUCCEEDED
    assert Tally.of(airport_import) == Tally(in_file=BATCH + 3, imported=BATCH + 3, bad=0, repeated=0, lost=0)
    assert airport_import.continuation.execution_records.last().cursor_before == AFTER_ONE_BATCH


def test_the_world_is_broken_in_one_row_the_first_of_a_batch():
    airport_import = world_airports(poisoned=True)
    airport_import.save()
    rows = [row for row, _ in airport_import.rows().after(None)]
    [broken] = [row for row in rows if row.values["lat"] == "north"]
    assert rows.index(broken) % BATCH == 0
    assert broken.values["icao"] in airport_import.mend
    assert len(rows) > 28_000


# Beside it


def test_the_plain_import_counts_its_starts_and_shares_file_and_pace():
    airport_import = import_of(HEATHROW)
    plain = start_beside(airport_import)
    assert (plain.file.path, plain.rest) == (airport_import.file.path, airport_import.rest)
    for _ in range(2):
        plain_import(plain.pk)
    plain.refresh_from_db()
    assert plain.starts == 2
    assert Tally.so_far(plain, in_file=0, loaded=0, derived=0).repeated == 2


def test_rows_that_the_cursor_has_passed_and_nobody_stored_are_lost():
    airport_import = import_of(*map(airport, range(3)))
    plain_import(airport_import.pk)
    assert Tally.so_far(airport_import, in_file=3, loaded=2, derived=0).exact
    airport_import.airports.filter(line=2).delete()
    assert Tally.so_far(airport_import, in_file=3, loaded=3, derived=3).lost == 2


# The map


def test_each_dot_is_sent_once_and_so_many_at_a_time(monkeypatch):
    monkeypatch.setattr("demo_project.imports.atlas.LIMIT", 2)
    airport_import = import_of(*map(airport, range(3)))
    finish(airport_import)
    first = points(airport_import, after=0)
    assert (first["points"], first["more"]) == ([(0, 0), (179, 1)], True)
    second = points(airport_import, after=first["last"])
    assert (second["points"], second["more"]) == ([(178, 2)], False)
    assert points(airport_import, after=second["last"]) == {"points": [], "last": second["last"], "more": False}


def test_the_map_is_told_in_words_and_drawn_without_scripts():
    airport_import = import_of(HEATHROW, airport(1))
    finish(airport_import)
    assert dict(regions(airport_import)) == {"Europe": 1, "elsewhere": 1}
    assert sample(airport_import) == "M179.5 38.5h0M359.0 89.0h0"
