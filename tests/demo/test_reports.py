"""The report of the demo: what it makes of a document, and how often it asks the model."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from pypdf import PdfReader

from continuations.models import Continuation
from continuations.testing import assert_resumable, crash_during, interrupt_after, run_enqueued, run_until_finished
from demo_project.reports.documents import DocumentRefusedError
from demo_project.reports.jobs import MakeReport
from demo_project.reports.models import ModelCall, Report
from demo_project.reports.summarisers import ModelError

from .documents import SENTENCES, docx_of, finish, pdf, report_on

pytestmark = pytest.mark.django_db

Outcome = ModelCall.Outcome


def outcomes(report: Report) -> list[str]:
    """Of the calls of the model, in their order."""
    return list(report.model_calls.values_list("outcome", flat=True))


def text_of(report: Report, format_name: str) -> str:
    content = bytes(report.renderings.get(format=format_name).content)
    if format_name == "pdf":
        return " ".join(" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(content)).pages)
    return content.decode()


@pytest.mark.parametrize("content", [pdf(*SENTENCES), docx_of(*SENTENCES)], ids=["PDF", "DOCX"])
def test_a_document_is_summarised_written_twice_and_mailed(content):
    report = report_on(content, recipient="ada@example.com")
    continuation = finish(report)
    assert continuation.status == Continuation.Status.SUCCEEDED
    assert outcomes(report) == [Outcome.ANSWERED]
    for format_name in ("html", "pdf"):
        assert all(sentence in text_of(report, format_name) for sentence in SENTENCES)
    (message,) = mail.outbox
    assert message.to == ["ada@example.com"]
    assert message.subject == "Summary of The islands.pdf"
    (attachment,) = message.attachments
    assert (attachment[0], attachment[2]) == ("the-islands-summary.pdf", "application/pdf")
    assert attachment[1] == bytes(report.renderings.get(format="pdf").content)
    assert report.delivered_at


def test_without_a_recipient_nothing_is_mailed():
    report = report_on(pdf(*SENTENCES))
    assert finish(report).status == Continuation.Status.SUCCEEDED
    assert report.delivered_at
    assert not mail.outbox


@pytest.mark.parametrize("failing_calls", [0, 2])
def test_a_report_stopped_at_any_checkpoint_or_crashed_there_asks_the_model_as_often_as_one_left_alone(failing_calls):
    report = report_on(pdf(*SENTENCES), recipient="ada@example.com", failing_calls=failing_calls)

    def effects() -> Any:
        texts = [" ".join(text.split()) for text in report.passages.values_list("text", flat=True)]
        written = list(report.renderings.values_list("format", "content"))
        return texts, written, outcomes(report), len(mail.outbox)

    def reset() -> None:
        report.passages.all().delete()
        report.renderings.all().delete()
        report.model_calls.all().delete()
        mail.outbox.clear()

    assert_resumable(MakeReport, report.pk, effects=effects, reset=reset)
    texts, _, calls, mails = effects()
    assert texts == SENTENCES
    assert calls == [Outcome.FAILED] * failing_calls + [Outcome.ANSWERED]
    assert mails == 1


def test_the_answer_of_the_model_outlives_a_crash_in_a_later_step():
    report = report_on(pdf(*SENTENCES))
    with crash_during(MakeReport, "format", cursor=1):
        for _ in range(3):
            run_enqueued()
    assert report.continuation.steps.get(name="format").cursor == 1
    assert outcomes(report) == [Outcome.ANSWERED]
    assert finish(report).status == Continuation.Status.SUCCEEDED
    assert outcomes(report) == [Outcome.ANSWERED]
    assert all(sentence in text_of(report, "pdf") for sentence in SENTENCES)


def test_the_expensive_step_has_an_execution_of_its_own():
    report = report_on(pdf(*SENTENCES))
    executions = list(finish(report).execution_records.values_list("step", "reason"))
    assert executions[0] == ("extract", "isolating")
    assert executions[1] == ("summarise", "isolating")
    assert len(executions) == 3


def test_a_busy_model_is_asked_again_after_a_wait():
    report = report_on(pdf(*SENTENCES), failing_calls=2)
    with interrupt_after(MakeReport, "extract"):
        run_enqueued()
    for failed in (1, 2):
        before, wait = timezone.now(), timedelta(seconds=5)
        run_enqueued()
        continuation = report.continuation
        assert outcomes(report) == [Outcome.FAILED] * failed
        assert continuation.status == Continuation.Status.WAITING
        assert before + wait <= continuation.run_after <= timezone.now() + wait
        assert not run_enqueued(due_only=True)
    assert finish(report).status == Continuation.Status.SUCCEEDED
    assert outcomes(report) == [Outcome.FAILED, Outcome.FAILED, Outcome.ANSWERED]
    assert report.model_calls.first().error == "The model is overloaded, as you wished."


def test_a_model_that_stays_busy_fails_the_report_and_a_retry_goes_on_there():
    report = report_on(pdf(*SENTENCES), failing_calls=5)
    with pytest.raises(ModelError):
        finish(report)
    continuation = report.continuation
    assert continuation.status == Continuation.Status.FAILED
    continuation.retry()
    run_until_finished(continuation)
    assert outcomes(report) == [Outcome.FAILED] * 5 + [Outcome.ANSWERED]
    assert report.passages.count() == len(SENTENCES)


def test_a_document_without_text_fails_before_the_model_is_asked():
    report = report_on(pdf("", ""))
    with pytest.raises(DocumentRefusedError, match="has no text"):
        finish(report)
    assert report.continuation.status == Continuation.Status.FAILED
    assert outcomes(report) == []


def test_a_document_in_which_no_sentence_is_found_says_so():
    report = report_on(pdf("1 2 3"))
    finish(report)
    assert "No sentence was found in the document." in text_of(report, "html")
    assert "No sentence was found in the document." in text_of(report, "pdf")


def test_what_a_document_says_is_text_in_the_report_and_nothing_else():
    sentence = '<b>Bold</b> #read("/etc/passwd") $x$ *words* _are_ written `like` @this in one sentence.'
    report = report_on(docx_of(sentence), name="<i>#panic().docx")
    finish(report)
    html = text_of(report, "html")
    assert "&lt;b&gt;Bold&lt;/b&gt;" in html
    assert "<h1>&lt;i&gt;#panic().docx</h1>" in html
    assert sentence in text_of(report, "pdf")


def test_a_document_is_stored_under_a_name_of_our_own(uploads):
    report = report_on(pdf(*SENTENCES), name="../../outside.pdf")
    stored = Path(report.document.path)
    assert stored.parent == uploads / "reports"
    assert re.fullmatch(r"[0-9a-f]{32}", stored.name)


def test_a_report_is_written_in_the_same_bytes_each_time():
    report = report_on(pdf(*SENTENCES))
    finish(report)
    first = list(report.renderings.values_list("content", flat=True))
    report.passages.all().delete()
    report.renderings.all().delete()
    run_until_finished(MakeReport.enqueue(report.pk))
    assert list(report.renderings.values_list("content", flat=True)) == first


def test_a_pdf_tells_its_title_and_language_and_is_tagged():
    report = report_on(pdf(*SENTENCES))
    finish(report)
    reader = PdfReader(io.BytesIO(bytes(report.renderings.get(format="pdf").content)))
    assert reader.metadata.title == "The islands.pdf"
    assert reader.root_object["/Lang"] == "en"
    assert reader.root_object["/MarkInfo"]["/Marked"]
