"""Text files read by line or by CSV row, each with the exact byte offset of what comes next."""

from __future__ import annotations

import codecs
import csv
import os
import sys
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict, Unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

_UTF_16 = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_UTF_32 = ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"))

# By an encoding's name: the byte order marks it may begin with, and the encoding of the text that follows.
_MARKS: dict[str, tuple[tuple[bytes, str], ...]] = {
    "utf-8": ((codecs.BOM_UTF8, "utf-8"),),
    "utf-8-sig": ((codecs.BOM_UTF8, "utf-8"),),
    "utf-16": _UTF_16,
    "utf-16-le": _UTF_16[:1],
    "utf-16-be": _UTF_16[1:],
    "utf-32": _UTF_32,
    "utf-32-le": _UTF_32[:1],
    "utf-32-be": _UTF_32[1:],
}

# What the encodings that expect a mark mean without one.
_UNMARKED = {
    "utf-8-sig": "utf-8",
    "utf-16": f"utf-16-{sys.byteorder[0]}e",
    "utf-32": f"utf-32-{sys.byteorder[0]}e",
}


class CsvFormat(TypedDict, total=False):
    """The format options of Python's `csv.reader`."""

    dialect: str | csv.Dialect | type[csv.Dialect]
    delimiter: str
    quotechar: str | None
    escapechar: str | None
    doublequote: bool
    skipinitialspace: bool
    lineterminator: str
    quoting: Any
    strict: bool


def csv_rows(path: str | os.PathLike[str], *, encoding: str = "utf-8", **options: Unpack[CsvFormat]) -> CsvRows:
    r"""The rows of a CSV file with a header line, as `csv.DictReader` gives them: dicts of strings.

        for row in step.iterate(csv_rows("airports.csv", delimiter=";")):
            Airport.objects.update_or_create(code=row["code"], defaults={"name": row["name"]})

    The cursor is the byte offset where the next row starts, exact also with quoted line breaks. Resuming reads the
    header, then seeks: what lies between is not read again. The file may grow meanwhile, but must not change.

    Blank lines are skipped. What a short row lacks is ""; what a long row has too much is a list under the key None.
    A byte order mark is skipped; line ends are \n, \r\n or \r. `options` are those of `csv.reader`. There is no
    `total`: only reading the whole file would tell.

    Raises `TypeError` for an open file instead of a path, for an unknown option and for a cursor that is no offset;
    and while reading `ValueError` for a cursor beyond the end of the file, `UnicodeDecodeError` and `csv.Error` with
    the file and the byte offset.
    """
    if unknown := [name for name in options if name not in CsvFormat.__annotations__]:
        near = get_close_matches(unknown[0], CsvFormat.__annotations__, n=1) or ["delimiter"]
        raise TypeError(f'csv_rows() has no option "{unknown[0]}". Write csv_rows("file.csv", {near[0]}=…).')
    csv.reader((), **options)  # complains about wrong values now, not in the step
    return CsvRows(TextFile(path, encoding, call='csv_rows("file.csv")'), options)


def lines(path: str | os.PathLike[str], *, encoding: str = "utf-8") -> Lines:
    r"""The lines of a text file, without their line ends.

        for line in step.iterate(lines("access.log")):
            Visit.record(line)

    The cursor is the byte offset where the next line starts; resuming seeks there. The file may grow by whole lines
    meanwhile, but must not change. A byte order mark is skipped; line ends are \n, \r\n or \r. There is no `total`:
    only reading the whole file would tell.

    Raises `TypeError` for an open file instead of a path and for a cursor that is no offset; and while reading
    `ValueError` for a cursor beyond the end of the file, `UnicodeDecodeError` with the file and the byte offset.
    """
    return Lines(TextFile(path, encoding, call='lines("file.txt")'))


class CsvRows:
    """What `csv_rows()` returns."""

    def __init__(self, file: TextFile, options: CsvFormat) -> None:
        self._file = file
        self._options = options

    def after(self, cursor: Any, /) -> Iterator[tuple[dict[str, str], int]]:
        return self._rows(self._file.offset(cursor))

    def total(self) -> None:
        return None

    def _rows(self, offset: int) -> Iterator[tuple[dict[str, str], int]]:
        with self._file.open(offset) as text:
            rows = self._read(text, 0)
            fields = next(rows, None)
            if fields is None:
                return
            if offset > text.position:
                rows = self._read(text, offset)
            for row in rows:
                yield _record(fields, row), text.position

    def _read(self, text: Text, offset: int) -> Iterator[list[str]]:
        reader = csv.reader(text.read(offset), **self._options)
        start = text.position
        try:
            for row in reader:
                if row:
                    yield row
                start = text.position
        except csv.Error as error:
            raise csv.Error(f"{error} (in {self._file.path}, the row at byte {start})") from error


class Lines:
    """What `lines()` returns."""

    def __init__(self, file: TextFile) -> None:
        self._file = file

    def after(self, cursor: Any, /) -> Iterator[tuple[str, int]]:
        return self._lines(self._file.offset(cursor))

    def total(self) -> None:
        return None

    def _lines(self, offset: int) -> Iterator[tuple[str, int]]:
        with self._file.open(offset) as text:
            for line in text.read(offset):
                yield line.rstrip("\r\n"), text.position


class TextFile:
    """A path and the encoding of what is there. Opened anew by each walk."""

    def __init__(self, path: object, encoding: str, *, call: str) -> None:
        if not isinstance(path, str | os.PathLike):
            name = getattr(path, "name", None)
            correct = call.replace(call[call.index('"') : -1], repr(name)) if isinstance(name, str) else call
            raise TypeError(f"Expected the path of a file, got {path!r}. Write {correct}.")
        # An unknown encoding, too, is an error now and not in the step.
        if b"\n" not in "\n".encode(encoding):
            raise ValueError(f"Encoding {encoding} ends lines in a way of its own: convert {path} to UTF-8 first.")
        self.path: str = os.fspath(path)
        self._encoding = codecs.lookup(encoding).name

    def offset(self, cursor: Any) -> int:
        if cursor is None:
            return 0
        if type(cursor) is not int or cursor < 0:
            raise TypeError(f"Cursor {cursor!r} is no place in {self.path}: expected a byte offset, an int, or None.")
        return cursor

    @contextmanager
    def open(self, offset: int) -> Iterator[Text]:
        with open(self.path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if offset > size:
                raise ValueError(f"Cursor {offset} lies beyond the end of {self.path}, {size} bytes: was it replaced?")
            yield Text(file, self.path, self._encoding)


class Text:
    """An open file as decoded lines. `position` is the byte offset where the line given last ends."""

    def __init__(self, file: BinaryIO, path: str, encoding: str) -> None:
        self._file = file
        self._path = path
        head = file.read(4)
        mark, self._encoding = next(
            ((mark, plain) for mark, plain in _MARKS.get(encoding, ()) if head.startswith(mark)),
            (b"", _UNMARKED.get(encoding, encoding)),
        )
        self._start = self.position = len(mark)
        self._newline, self._return = ("\n".encode(self._encoding), "\r".encode(self._encoding))

    def read(self, offset: int) -> Iterator[str]:
        """The lines from there on, each with its line end."""
        self.position = max(offset, self._start)
        self._file.seek(self.position)
        return self._lines()

    def _lines(self) -> Iterator[str]:
        # In UTF-16 and UTF-32 a newline's bytes also occur inside and across other characters.
        whole = iter(self._file) if len(self._newline) == 1 else iter(self._wide_line, b"")
        for ended in whole:
            for line in self._split(ended) if self._return in ended else (ended,):
                text = self._decode(line)
                self.position += len(line)
                yield text

    def _wide_line(self) -> bytes:
        width = len(self._newline)
        lead = self._newline.index(b"\n")
        line = bytearray()
        while piece := self._file.readline():
            line += piece
            if (len(line) - 1) % width == lead:
                line += self._file.read(width - lead - 1)
                if line.endswith(self._newline):
                    break
        return bytes(line)

    def _split(self, line: bytes) -> Iterator[bytes]:
        """What a line consists of if a lone carriage return, too, ends one."""
        width = len(self._return)
        start = position = 0
        while (position := line.find(self._return, position)) >= 0:
            if position % width:
                position += 1
                continue
            position += width
            if not line.startswith(self._newline, position):
                yield line[start:position]
                start = position
        if start < len(line):
            yield line[start:]

    def _decode(self, line: bytes) -> str:
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError as error:
            error.reason += f" (in {self._path}, byte {self.position + error.start})"
            raise


def _record(fields: list[str], row: list[str]) -> dict[str, str]:
    record: dict[Any, Any] = dict(zip(fields, row, strict=False))
    if len(row) > len(fields):
        record[None] = row[len(fields) :]
    elif len(row) < len(fields):
        record.update(dict.fromkeys(fields[len(row) :], ""))
    return record
