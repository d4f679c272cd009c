"""The pages of the reports: handing in a document, watching its report, and taking it home."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from continuations.models import Continuation
from continuations.testing import crash_during, interrupt_after, run_enqueued
from demo_project.reports.documents import SIZE_LIMIT, UNPACKED_LIMIT, DocumentRefusedError
from demo_project.reports.jobs import MakeReport
from demo_project.reports.models import ModelCall, Report

from .documents import SENTENCES, docx_of, finish, pdf, repacked, report_on

pytestmark = pytest.mark.django_db


def upload(client: Any, content: bytes, name: str = "islands.pdf", **fields: Any) -> Any:
    return client.post(reverse("reports:home"), {"document": SimpleUploadedFile(name, content), **fields})


def page(client: Any, report: Report) -> str:
    return client.get(reverse("reports:detail", args=[report.pk])).content.decode()


def download(client: Any, report: Report, format_name: str) -> Any:
    return client.get(reverse("reports:download", args=[report.pk, format_name]))


def tally(html: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"<dt>(.*?)</dt><dd>(\d+)</dd>", html)}


# Starting


def test_one_click_makes_a_report_on_the_sample(client):
    response = client.post(reverse("reports:home"))
    report = Report.objects.get()
    assert response.url == reverse("reports:detail", args=[report.pk])
    assert finish(report).status == Continuation.Status.SUCCEEDED
    assert report.passages.count() == 9
    assert "Work that outlives its worker.pdf" in page(client, report)


@pytest.mark.parametrize(
    ("content", "name"),
    [(pdf(*SENTENCES), "islands.pdf"), (docx_of(*SENTENCES), "islands.docx"), (pdf(*SENTENCES), "islands.docx")],
    ids=["PDF", "DOCX", "PDF by another name"],
)
def test_a_document_is_taken_for_what_it_is(client, content, name):
    upload(client, content, name, recipient="ada@example.com", failing_calls=1)
    report = Report.objects.get()
    assert (report.name, report.recipient, report.failing_calls) == (name, "ada@example.com", 1)
    assert finish(report).status == Continuation.Status.SUCCEEDED
    assert SENTENCES[0] in page(client, report)


@pytest.mark.parametrize("name", ["../../outside.pdf", "/etc/outside.pdf", "..\\outside.pdf", "a\nb\u202e.pdf"])
def test_an_upload_is_stored_under_a_name_of_our_own_whatever_it_is_called(client, uploads, name):
    upload(client, pdf(*SENTENCES), name)
    report = Report.objects.get()
    stored = Path(report.document.path)
    assert stored.parent == uploads / "reports"
    assert re.fullmatch(r"[0-9a-f]{32}", stored.name)
    assert report.name.isprintable()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", "neither a PDF nor a DOCX"),
        (b"%PDF-1.7\nnothing more", "not a PDF that can be opened"),
        (b"%PDF-" + bytes(SIZE_LIMIT), "more than the"),
        (repacked(docx_of("A"), word__media__picture_xml=bytes(UNPACKED_LIMIT)), "more than 50 MB once unpacked"),
    ],
    ids=["empty", "an image", "no PDF but its head", "too large", "a zip bomb"],
)
def test_an_upload_that_cannot_be_read_starts_nothing_and_says_why(client, uploads, content, complaint):
    response = upload(client, content)
    assert complaint in response.content.decode()
    assert not Report.objects.exists()
    assert not Continuation.objects.exists()
    assert not uploads.exists()


@pytest.mark.parametrize("fields", [{"recipient": "nobody"}, {"failing_calls": "1000"}])
def test_options_are_checked(client, fields):
    response = upload(client, pdf(*SENTENCES), **fields)
    assert "errorlist" in response.content.decode()
    assert not Report.objects.exists()


# Watching


def test_the_page_shows_all_steps_and_no_call_before_a_worker_has_started(client):
    html = page(client, report_on(pdf(*SENTENCES)))
    assert [name for name in ("extract", "summarise", "format", "deliver") if f">{name}<" in html] == [
        "extract",
        "summarise",
        "format",
        "deliver",
    ]
    assert tally(html)["Calls of the model"] == 0


def test_the_page_of_a_report_whose_model_is_busy_says_when_it_is_asked_again(client):
    report = report_on(pdf(*SENTENCES), failing_calls=1)
    with interrupt_after(MakeReport, "extract"):
        run_enqueued()
    run_enqueued()
    html = page(client, report)
    assert tally(html) == {"Calls of the model": 1, "Answered": 0, "Failed": 1, "Answers asked for again": 0}
    assert "failed: The model is overloaded, as you wished." in html
    assert re.search(r"It goes on in [2-5](\.\d)? s", html)


def test_the_page_of_a_report_that_crashed_after_the_answer_keeps_count_and_summary(client):
    report = report_on(pdf(*SENTENCES))
    with crash_during(MakeReport, "format", cursor=1):
        for _ in range(3):
            run_enqueued()
    html = page(client, report)
    assert tally(html) == {"Calls of the model": 1, "Answered": 1, "Failed": 0, "Answers asked for again": 0}
    assert SENTENCES[0] in html
    finish(report)
    html = page(client, report)
    assert tally(html) == {"Calls of the model": 1, "Answered": 1, "Failed": 0, "Answers asked for again": 0}
    assert "data-live-end" in html


def test_an_answer_that_was_asked_for_twice_would_show(client):
    report = report_on(pdf(*SENTENCES))
    finish(report)
    report.summarise()
    assert tally(page(client, report))["Answers asked for again"] == 1


def test_a_call_is_open_as_long_as_its_execution_lasts_and_then_cut_off(client):
    report = report_on(pdf(*SENTENCES))
    with interrupt_after(MakeReport, "extract"):
        run_enqueued()
    report.model_calls.create(model="a model")
    continuation = report.continuation
    Continuation.objects.filter(pk=continuation.pk).update(status=Continuation.Status.RUNNING)
    assert "being answered" in page(client, report)
    Continuation.objects.filter(pk=continuation.pk).update(status=Continuation.Status.INTERRUPTED)
    assert "cut off: its process ended first" in page(client, report)
    finish(report)
    assert list(report.model_calls.values_list("outcome", flat=True)) == [
        ModelCall.Outcome.OPEN,
        ModelCall.Outcome.ANSWERED,
    ]


def test_the_page_of_a_document_without_text_shows_the_error(client):
    report = report_on(pdf(""))
    with pytest.raises(DocumentRefusedError):
        finish(report)
    assert "Pictures of text are not read." in page(client, report)


def test_a_report_whose_continuation_was_pruned_keeps_its_page_and_files(client):
    report = report_on(pdf(*SENTENCES))
    finish(report).delete()
    html = page(client, report)
    assert "no longer recorded" in html
    assert "Download as PDF" in html
    assert "no longer recorded" in client.get(reverse("reports:home")).content.decode()


def test_the_live_part_is_sent_only_when_it_has_changed(client):
    report = report_on(pdf(*SENTENCES))
    url = reverse("reports:live", args=[report.pk])
    first = client.get(url)
    assert client.get(url, headers={"if-none-match": first["ETag"]}).status_code == 304
    report.model_calls.create(model="a model")
    second = client.get(url, headers={"if-none-match": first["ETag"]})
    assert second.status_code == 200
    assert "a model" in second.content.decode()


def test_an_unchanged_live_part_costs_five_queries(client, django_assert_num_queries):
    report = report_on(pdf(*SENTENCES))
    url = reverse("reports:live", args=[report.pk])
    etag = client.get(url)["ETag"]
    with django_assert_num_queries(5):
        client.get(url, headers={"if-none-match": etag})


def test_the_list_of_reports_costs_two_queries_however_long(client, django_assert_num_queries):
    for _ in range(3):
        report_on(pdf(*SENTENCES))
    with django_assert_num_queries(2):
        client.get(reverse("reports:home"))


# Taking home


@pytest.mark.parametrize(
    ("format_name", "content_type", "begins"),
    [("pdf", "application/pdf", b"%PDF-"), ("html", "text/html; charset=utf-8", b"<!doctype html>")],
)
def test_a_report_is_downloaded_as_a_file_that_no_browser_opens_as_ours(client, format_name, content_type, begins):
    report = report_on(pdf(*SENTENCES), name='An "odd", näme.pdf')
    finish(report)
    response = download(client, report, format_name)
    assert response.content.startswith(begins)
    assert response["Content-Type"] == content_type
    assert response["Content-Disposition"] == f'attachment; filename="an-odd-name-summary.{format_name}"'
    assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("format_name", ["pdf", "docx", "live"])
def test_what_was_not_written_is_not_found(client, format_name):
    report = report_on(pdf(*SENTENCES))
    other = report_on(pdf(*SENTENCES))
    finish(other)
    status = 200 if format_name == "live" else 404
    assert download(client, report, format_name).status_code == status


def test_pages_have_no_inline_script_or_style(client):
    report = report_on(docx_of("<script>alert(1)</script> is what the harbour of the town is called here."))
    finish(report)
    for response in (
        client.get(reverse("reports:home")),
        client.post(reverse("reports:home"), {"recipient": "nobody"}),
        client.get(reverse("reports:detail", args=[report.pk])),
        client.get(reverse("reports:live", args=[report.pk])),
        download(client, report, "html"),
    ):
        assert not re.search(r"<style|\bstyle=|<script(?![^>]*\bsrc=)|\son\w+=", response.content.decode())


def test_reports_that_were_started_before_are_listed(client):
    report = report_on(pdf(*SENTENCES))
    finish(report)
    html = client.get(reverse("reports:home")).content.decode()
    assert f'<a href="{reverse("reports:detail", args=[report.pk])}">{report}</a>' in html
    assert "succeeded" in html
