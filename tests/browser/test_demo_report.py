"""The story of the report, played from its start to its end while its workers are killed."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import expect
from pypdf import PdfReader

from tests.demo.documents import SENTENCES, docx_of

from .demo import PATIENCE


def count(page: Any, name: str) -> Any:
    """The number of that name in the tally of the calls."""
    return page.locator(".demo-tally div").filter(has=page.get_by_text(name, exact=True)).locator("dd")


def start(page: Any, *, model: str = "never", file: tuple[str, bytes] | None = None) -> None:
    page.get_by_label("The model is overloaded").select_option(model)
    if file is not None:
        name, content = file
        upload = {"name": name, "mimeType": "text/plain", "buffer": content}
        page.locator("input[type=file]").set_input_files(upload)
    page.get_by_role("button", name="Make the report", exact=True).click()


def expect_end(page: Any) -> None:
    expect(page.locator(".demo-now")).to_contain_text("succeeded")


def downloaded(page: Any, link: str) -> tuple[str, bytes]:
    """What a click on that link brings, as a file: its name and what is in it."""
    with page.expect_download() as coming:
        page.get_by_role("link", name=link, exact=True).click()
    return coming.value.suggested_filename, Path(coming.value.path()).read_bytes()


def test_an_answer_outlives_a_crash_and_the_model_is_not_asked_again(tour: Any, picture: Any) -> None:
    page = tour.open("/")
    page.get_by_role("link", name="Summarise a document").click()
    tour.look(page)

    page.get_by_label("Mail it to").fill("ada@example.com")
    start(page, model="at the first call")
    expect(page.get_by_role("heading", level=1)).to_have_text("Work that outlives its worker.pdf")
    expect(count(page, "Failed")).to_have_text("1")
    expect(page.locator(".demo-now")).to_contain_text(re.compile(r"It goes on in \d(\.\d)? s, after ModelError"))

    expect(count(page, "Answered")).to_have_text("1")
    expect(page.get_by_role("heading", name="Summary")).to_be_visible()
    expect(page.get_by_role("row", name="format")).to_contain_text("running")
    tour.kill(page, "Crash · SIGKILL", job="MakeReport")
    executions = page.get_by_role("region", name="Executions")
    expect(executions).to_contain_text("its process died")
    expect_end(page)

    assert {name: count(page, name).inner_text() for name in ("Calls of the model", "Answered", "Failed")} == {
        "Calls of the model": "2",
        "Answered": "1",
        "Failed": "1",
    }
    expect(count(page, "Answers asked for again")).to_have_text("0")
    expect(page.get_by_text("Mailed to ada@example.com.")).to_be_visible()
    mails = [path.read_text() for path in (tour.demo.folder / "mails").rglob("*") if path.is_file()]
    (mail,) = [mail for mail in mails if "To: ada@example.com" in mail]
    assert "Subject: Summary of Work that outlives its worker.pdf" in mail

    name, content = downloaded(page, "Download as PDF")
    assert name == "work-that-outlives-its-worker-summary.pdf"
    text = " ".join(" ".join(each.extract_text().split()) for each in PdfReader(io.BytesIO(content)).pages)
    sentences = page.get_by_role("region", name="Summary").get_by_role("listitem").all_inner_texts()
    assert len(sentences) == 6
    assert all(sentence in text for sentence in sentences)
    tour.look(page)
    picture(page, "demo-report")


def test_a_call_that_is_cut_off_is_counted_and_made_again(tour: Any) -> None:
    page = tour.open("/reports/")
    start(page)
    calls = page.get_by_role("region", name="The expensive model")
    expect(calls).to_contain_text("being answered")
    tour.kill(page, "Kill its job · SIGKILL", job="MakeReport")
    expect(calls).to_contain_text("cut off: its process ended first")
    expect_end(page)
    expect(count(page, "Calls of the model")).to_have_text("2")
    expect(count(page, "Answered")).to_have_text("1")


def test_a_document_of_ones_own_goes_through_a_deploy(tour: Any) -> None:
    page = tour.open("/reports/", width=320)
    start(page, file=("islands.docx", docx_of(*SENTENCES)))
    expect(page.get_by_role("heading", level=1)).to_have_text("islands.docx")
    tour.kill(page, "Deploy · SIGTERM", job="MakeReport")
    expect_end(page)
    expect(count(page, "Calls of the model")).to_have_text("1")
    name, content = downloaded(page, "Download as HTML")
    assert name == "islands-summary.html"
    assert all(sentence in content.decode() for sentence in SENTENCES)


def test_what_is_no_document_is_refused_in_place(tour: Any) -> None:
    page = tour.open("/reports/")
    start(page, file=("islands.pdf", b"MZ not a document"))
    expect(page.get_by_text("The file is neither a PDF nor a DOCX.")).to_be_visible()
    tour.look(page)


def test_without_scripts(tour: Any) -> None:
    page = tour.open("/reports/", java_script_enabled=False)
    start(page)
    for _ in range(int(PATIENCE)):
        if "succeeded" in page.locator(".demo-now").inner_text():
            break
        page.wait_for_timeout(1000)
        page.get_by_role("link", name="Reload").click()
    expect_end(page)
    expect(count(page, "Calls of the model")).to_have_text("1")
