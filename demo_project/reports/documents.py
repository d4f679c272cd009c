"""The text of a PDF or a DOCX, in passages. What a file is, its content says: not its name, not its sender."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, overload

import docx
from django.utils.translation import gettext as _
from docx.exceptions import PythonDocxError
from docx.table import Table
from pypdf import PdfReader
from pypdf.errors import PyPdfError

if TYPE_CHECKING:
    from docx.document import Document as Docx
    from docx.table import _Cell

# Bytes of a file.
SIZE_LIMIT = 10 * 1024 * 1024
# Of a PDF. Each is read for itself, so they bound the time only.
PAGE_LIMIT = 200
# Bytes of a DOCX once it is unpacked: it is a zip, and some hold a thousand times what they weigh.
UNPACKED_LIMIT = 50 * 1024 * 1024
# Files in a DOCX; a long document with many pictures has hundreds.
MEMBER_LIMIT = 2000
# Characters of a page of a PDF, ten times those of a full one, and of all the text of a DOCX.
PAGE_TEXT_LIMIT = 50_000
TEXT_LIMIT = 1_000_000
# A DOCX has no pages. It is cut between two paragraphs once a passage has as many characters as a page.
PASSAGE_LENGTH = 2000
# A PDF may begin with other things, but not with many.
PDF_HEAD = 1024

MAIN_PART = "word/document.xml"

# A broken file leads a parser anywhere. Not `Exception`: the end of a job's time is one.
BROKEN = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError),
    *(TypeError, ValueError, struct.error, zlib.error, zipfile.BadZipFile, PyPdfError, PythonDocxError),
)


class DocumentRefusedError(Exception):
    """The file is no PDF or DOCX that can be read here. The message says why, and goes to whoever sent it."""


def open_document(content: bytes) -> Sequence[str]:
    """The passages of a document, cleaned of what a database stores not.

    Of a PDF its pages, each read when it is asked for; of a DOCX pieces of about a page. Raises `DocumentRefusedError`
    for anything else, and for what is larger than the limits of this module.
    """
    if len(content) > SIZE_LIMIT:
        raise DocumentRefusedError(_("The file is larger than %(limit)s MB.") % {"limit": SIZE_LIMIT >> 20})
    if b"%PDF-" in content[:PDF_HEAD]:
        return Pages(content)
    if content.startswith(b"PK\x03\x04"):
        return docx_passages(content)
    raise DocumentRefusedError(_("The file is neither a PDF nor a DOCX."))


class Pages(Sequence[str]):
    """The pages of a PDF."""

    def __init__(self, content: bytes) -> None:
        try:
            self._reader = PdfReader(BytesIO(content))
            encrypted = self._reader.is_encrypted
            self._count = 0 if encrypted else len(self._reader.pages)
        except BROKEN as error:
            raise DocumentRefusedError(_("The file is not a PDF that can be opened.")) from error
        if encrypted:
            raise DocumentRefusedError(_("The PDF is encrypted. Remove its password first."))
        if not 0 < self._count <= PAGE_LIMIT:
            values = {"count": self._count, "limit": PAGE_LIMIT}
            raise DocumentRefusedError(_("The PDF has %(count)s pages; 1 to %(limit)s are allowed.") % values)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        text = clean(self._reader.pages[index].extract_text())
        if len(text) > PAGE_TEXT_LIMIT:
            values = {"page": index + 1, "limit": PAGE_TEXT_LIMIT}
            raise DocumentRefusedError(_("Page %(page)s has more than %(limit)s characters.") % values)
        return text


def docx_passages(content: bytes) -> list[str]:
    """The text of a DOCX, tables included, cut between paragraphs."""
    check_package(content)
    try:
        paragraphs = list(paragraphs_of(docx.Document(BytesIO(content))))
    except BROKEN as error:
        raise DocumentRefusedError(_("The file is not a DOCX that can be opened.")) from error
    if sum(map(len, paragraphs)) > TEXT_LIMIT:
        raise DocumentRefusedError(_("The DOCX has more than %(limit)s characters.") % {"limit": TEXT_LIMIT})
    return list(passages_of(paragraphs)) or [""]


def check_package(content: bytes) -> None:
    """Raises `DocumentRefusedError` unless the zip is a DOCX and small enough to unpack. Unpacks nothing itself."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as package:
            members = package.infolist()
    except BROKEN as error:
        raise DocumentRefusedError(_("The file is not a DOCX that can be opened.")) from error
    # A member never gives more than the size it states: zipfile reads so much of it, and no more.
    if len(members) > MEMBER_LIMIT or sum(member.file_size for member in members) > UNPACKED_LIMIT:
        limit = UNPACKED_LIMIT >> 20
        raise DocumentRefusedError(_("The DOCX holds more than %(limit)s MB once unpacked.") % {"limit": limit})
    if MAIN_PART not in {member.filename for member in members}:
        raise DocumentRefusedError(_("The file is a zip, but not a DOCX."))


def paragraphs_of(container: Docx | _Cell) -> Iterator[str]:
    """Texts of the paragraphs in reading order, those in the cells of tables too."""
    for block in container.iter_inner_content():
        if isinstance(block, Table):
            yield from cells_of(block)
        elif text := clean(block.text).strip():
            yield text


def cells_of(table: Table) -> Iterator[str]:
    # Merged cells come once for each place they take.
    seen: set[Any] = set()
    for row in table.rows:
        for cell in row.cells:
            if cell._tc not in seen:
                seen.add(cell._tc)
                yield from paragraphs_of(cell)


def passages_of(paragraphs: list[str]) -> Iterator[str]:
    passage: list[str] = []
    for paragraph in paragraphs:
        passage.append(paragraph)
        if sum(map(len, passage)) >= PASSAGE_LENGTH:
            yield "\n\n".join(passage)
            passage = []
    if passage:
        yield "\n\n".join(passage)


def clean(text: str) -> str:
    """Without null characters, which PostgreSQL refuses, and halves of characters, which none can encode."""
    return text.replace("\0", "").encode(errors="replace").decode()
