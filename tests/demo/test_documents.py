"""What is read of a PDF and a DOCX, and what is refused."""

from __future__ import annotations

import io
import zipfile

import pytest
from pypdf import PdfReader, PdfWriter

from demo_project.reports import documents
from demo_project.reports.documents import (
    MEMBER_LIMIT,
    PAGE_LIMIT,
    PASSAGE_LENGTH,
    SIZE_LIMIT,
    UNPACKED_LIMIT,
    DocumentRefusedError,
    open_document,
)
from demo_project.reports.sample import sample_pdf

from .documents import SENTENCES, docx_of, pdf, repacked

MEBIBYTE = bytes(1024 * 1024)


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_a_pdf_is_read_page_by_page():
    pages = open_document(pdf(*SENTENCES))
    assert list(map(squeezed, pages)) == SENTENCES
    assert list(map(squeezed, pages[1:])) == SENTENCES[1:]


def test_the_sample_has_a_title_and_eight_pages():
    pages = open_document(sample_pdf())
    assert len(pages) == 9
    assert "A few jobs are long." in squeezed(pages[1])


def test_a_pdf_may_begin_with_other_bytes():
    assert squeezed(open_document(b"\n" * 100 + pdf("A page"))[0]) == "A page"


def test_a_docx_is_read_in_its_order_with_its_tables():
    content = docx_of("First.", "", "Second.", table=[["A", "B"], ["C", "D"]])
    assert open_document(content) == ["First.\n\nSecond.\n\nA\n\nB\n\nC\n\nD"]


def test_a_merged_cell_is_read_once():
    import docx

    document = docx.Document()
    table = document.add_table(rows=1, cols=3)
    table.cell(0, 0).merge(table.cell(0, 2)).text = "Wide"
    file = io.BytesIO()
    document.save(file)
    assert open_document(file.getvalue()) == ["Wide"]


def test_a_long_docx_is_cut_between_paragraphs():
    paragraphs = [f"{number} " + "word " * 100 for number in range(20)]
    passages = open_document(docx_of(*paragraphs))
    assert len(passages) > 2
    assert "\n\n".join(passages).split("\n\n") == [paragraph.strip() for paragraph in paragraphs]
    assert all(PASSAGE_LENGTH <= len(passage) < PASSAGE_LENGTH + 600 for passage in passages[:-1])


def test_text_that_a_database_would_refuse_is_cleaned():
    assert documents.clean("a\0b\ud800c") == "ab?c"


def encrypted() -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf("A secret"))))
    writer.encrypt("password", algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def many_pages() -> bytes:
    writer = PdfWriter()
    for _ in range(PAGE_LIMIT + 1):
        writer.add_blank_page(100, 100)
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def other_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as package:
        package.writestr("anything.txt", "no DOCX")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "neither a PDF nor a DOCX"),
        (b"\x89PNG\r\n\x1a\n", "neither a PDF nor a DOCX"),
        (b"MZ" + bytes(5000) + b"%PDF-1.7", "neither a PDF nor a DOCX"),
        (b"%PDF-1.7\nnothing more", "not a PDF that can be opened"),
        (pdf("A page")[:400], "not a PDF that can be opened"),
        (encrypted(), "is encrypted"),
        (many_pages(), f"has {PAGE_LIMIT + 1} pages"),
        (b"%PDF-" + bytes(SIZE_LIMIT), "larger than 10 MB"),
        (b"PK\x03\x04 and no more", "not a DOCX that can be opened"),
        (other_zip(), "a zip, but not a DOCX"),
        (repacked(docx_of("A"), word__document_xml=b"<no"), "not a DOCX that can be opened"),
        (repacked(docx_of("A"), _Content_Types__xml=b"")[:-40], "not a DOCX that can be opened"),
    ],
    ids=[
        "nothing",
        "an image",
        "a program with a PDF behind it",
        "the head of a PDF",
        "half a PDF",
        "an encrypted PDF",
        "too many pages",
        "too large",
        "the head of a zip",
        "another zip",
        "no XML",
        "half a DOCX",
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(content, complaint):
    with pytest.raises(DocumentRefusedError, match=complaint):
        open_document(content)


def test_a_docx_that_unpacks_to_more_than_the_limit_is_refused_before_it_is_unpacked():
    bomb = repacked(docx_of("A"), word__media__picture_xml=MEBIBYTE * (UNPACKED_LIMIT // len(MEBIBYTE) + 1))
    assert len(bomb) < 200_000
    with pytest.raises(DocumentRefusedError, match="more than 50 MB once unpacked"):
        open_document(bomb)


def test_a_docx_of_very_many_files_is_refused():
    many = {f"word__{number}": b"" for number in range(MEMBER_LIMIT)}
    with pytest.raises(DocumentRefusedError, match="once unpacked"):
        open_document(repacked(docx_of("A"), **many))


def test_a_docx_that_lies_about_its_size_is_not_unpacked_beyond_what_it_says():
    content = bytearray(repacked(docx_of("A"), word__document_xml=MEBIBYTE * 60))
    # The sizes stand in the member's own header and in the directory.
    stated, lie = (60 * len(MEBIBYTE)).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    assert content.count(stated) == 2
    with pytest.raises(DocumentRefusedError, match="not a DOCX that can be opened"):
        open_document(bytes(content.replace(stated, lie)))


def with_entities(*entities: str, text: str) -> bytes:
    """A DOCX whose document type declares these, and whose one paragraph has this text."""
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    body = f"<w:document {space}><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>"
    declared = "".join(f"<!ENTITY {entity}>" for entity in entities)
    return repacked(docx_of("A"), word__document_xml=f"<!DOCTYPE a [{declared}]>{body}".encode())


def test_a_docx_cannot_read_a_file_of_the_server(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    (text,) = open_document(with_entities(f'x SYSTEM "file://{secret}"', text="before &x; after"))
    assert text.startswith("before")
    assert "secret" not in text


def test_a_docx_whose_entities_multiply_is_refused():
    levels = [f'l{level} "{f"&l{level - 1};" * 10}"' for level in range(1, 12)]
    with pytest.raises(DocumentRefusedError, match="not a DOCX that can be opened"):
        open_document(with_entities('l0 "lol"', *levels, text="&l11;"))


def test_a_page_with_more_text_than_any_page_has_is_refused(monkeypatch):
    pages = open_document(pdf("A page", "Another"))
    monkeypatch.setattr(documents, "PAGE_TEXT_LIMIT", 6)
    assert squeezed(pages[0]) == "A page"
    with pytest.raises(DocumentRefusedError, match="Page 2 has more than 6 characters"):
        _ = pages[1]


def test_a_docx_with_more_text_than_a_book_is_refused(monkeypatch):
    monkeypatch.setattr(documents, "TEXT_LIMIT", 6)
    with pytest.raises(DocumentRefusedError, match="more than 6 characters"):
        open_document(docx_of("A page", "Another"))
