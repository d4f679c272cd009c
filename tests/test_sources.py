"""Sources that need no database: by index, in batches, from files."""

from __future__ import annotations

import codecs
import csv
import enum
import os
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from itertools import count, islice
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from continuations.sources import Keyset, as_source, batches, csv_rows, lines
from tests.shop.models import Product

ROOT = Path(__file__).resolve().parent.parent

ENCODINGS = [
    "utf-8",
    "utf-8-sig",
    "latin-1",
    "cp1252",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "utf-32-le",
    "utf-32-be",
    "shift_jis",
    "gb18030",
]

# Separators of all kinds, and characters whose bytes look like them in one encoding or another.
TEXT = st.text(st.sampled_from(list('ab ",;\r\n\v\x85\u2028é€ਊഊ\u0100\u010d\u0a0d\u0d0a😀')), max_size=6)


def items(source, cursor=None):
    return [item for item, _ in source.after(cursor)]


def assert_resumes_everywhere(source):
    whole = list(source.after(None))
    for done, (_, cursor) in enumerate(whole, start=1):
        assert list(source.after(cursor)) == whole[done:]


# --- what step.iterate accepts


def test_a_source_is_walked_as_it_is():
    class Countdown:
        def after(self, cursor):
            yield from ((left, left) for left in range(3 if cursor is None else cursor - 1, 0, -1))

    countdown = Countdown()

    assert as_source(countdown) is countdown


def test_the_class_of_a_source_is_no_source():
    class Countdown:
        def after(self, cursor):
            yield 1, 1

    with pytest.raises(TypeError, match=r"the class Countdown\. Write .* or make an instance of it"):
        as_source(Countdown)


def test_a_queryset_is_walked_by_key():
    assert isinstance(as_source(Product.objects.filter(rank=1)), Keyset)


def test_a_manager_is_walked_by_key():
    assert isinstance(as_source(Product.objects), Keyset)


def test_a_queryset_with_a_method_called_after_is_still_a_queryset():
    class Dated(type(Product.objects.all())):
        def after(self, day):
            return self.filter(day__gt=day)

    assert isinstance(as_source(Dated(Product)), Keyset)


@pytest.mark.parametrize(
    "value",
    [["a", "b", "c"], ("a", "b", "c"), deque("abc"), dict.fromkeys("abc"), dict.fromkeys("abc").keys()],
    ids=lambda value: type(value).__name__,
)
def test_a_collection_is_walked_by_index(value):
    assert list(as_source(value).after(None)) == [("a", 1), ("b", 2), ("c", 3)]


def test_a_generator_is_walked_by_index():
    assert list(as_source(letter for letter in "abc").after(1)) == [("b", 2), ("c", 3)]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("airports.csv", r"got 'airports.csv': did you mean csv_rows\(path\) or lines\(path\)\?"),
        (b"abc", r"csv_rows\(path\) or lines\(path\)"),
        (Path("airports.csv"), r"csv_rows\(path\) or lines\(path\)"),
        ({3, 1}, r"the set \{1, 3\}, .* step.iterate\(sorted\(items\)\)"),
        (frozenset(), r"step.iterate\(sorted\(items\)\)"),
        (Product, r"the class Product. Write step.iterate\(Product.objects.all\(\)\)"),
        (enum.Enum("Colour", "RED GREEN"), "the class Colour"),
        (count, "the class count"),
        (lambda: [1], r"Did you mean to call it\?"),
        (7, r"expected a queryset, an iterable or a source, got 7. Write step.iterate\("),
        (None, "got None"),
    ],
)
def test_what_cannot_be_walked_is_told_how_to_be(value, message):
    with pytest.raises(TypeError, match=message):
        as_source(value)


# --- by index


class Letters(Sequence):
    """Remembers which of its items were made."""

    def __init__(self, letters):
        self.letters = letters
        self.made = []

    def __getitem__(self, index):
        self.made.append(index)
        return self.letters[index]

    def __len__(self):
        return len(self.letters)


def test_a_sequence_resumes_without_touching_the_items_done():
    letters = Letters("abcd")

    list(as_source(letters).after(2))

    assert letters.made == [2, 3]


def test_a_list_that_grows_is_walked_to_its_new_end():
    numbers = [1, 2]
    walked = []

    for number, _ in as_source(numbers).after(None):
        walked.append(number)
        if number < 4:
            numbers.append(number + 2)

    assert walked == [1, 2, 3, 4, 5]


def test_an_endless_iterable_is_walked_lazily():
    assert list(islice(as_source(count()).after(10), 2)) == [(10, 11), (11, 12)]


@pytest.mark.parametrize("value", [[1, 2], dict.fromkeys([1, 2])], ids=["list", "dict"])
def test_an_index_beyond_the_end_gives_nothing(value):
    assert items(as_source(value), 5) == []


@pytest.mark.parametrize("cursor", ["1", 1.0, True, (1,), -1])
def test_a_cursor_that_is_no_index_is_refused_before_the_walk(cursor):
    with pytest.raises(TypeError, match=r"Cursor .* is no place in a list: expected the number of items done"):
        as_source([1, 2]).after(cursor)


def test_the_total_is_the_length_where_there_is_one():
    assert [as_source(value).total() for value in ([1, 2], range(7), {"a": 1}, iter([1]))] == [2, 7, 1, None]


# --- batches


def test_batches_are_lists_of_the_size_and_a_shorter_rest():
    assert list(batches([1, 2, 3, 4, 5], 2).after(None)) == [([1, 2], 2), ([3, 4], 4), ([5], 5)]


def test_batches_of_nothing_are_none():
    assert items(batches([], 2)) == []


def test_batches_resume_after_the_last_item_of_a_batch():
    assert_resumes_everywhere(batches(range(7), 3))


def test_a_batch_is_made_only_when_asked_for():
    made = []
    walk = batches((made.append(number) or number for number in count()), 2).after(None)

    next(walk)

    assert made == [0, 1]


def test_a_batch_counts_for_its_items():
    source = batches([1, 2, 3], 2)

    assert [source.size(batch) for batch, _ in source.after(None)] == [2, 1]


def test_a_batch_of_batches_counts_for_the_items_inside():
    source = batches(batches([1, 2, 3], 2), 2)

    assert [source.size(batch) for batch, _ in source.after(None)] == [3]


def test_the_total_of_batches_is_that_of_their_items():
    assert batches([1, 2, 3], 2).total() == 3


def test_the_total_of_batches_is_unknown_if_that_of_the_items_is():
    class Endless:
        def after(self, cursor):
            yield 1, 1

    assert batches(Endless(), 2).total() is None


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)])
def test_the_size_of_a_batch_is_a_positive_int(size, error):
    with pytest.raises(error, match=r"got .*Write batches\(Order.objects.all\(\), 500\)"):
        batches([1], size)


def test_batches_refuse_what_step_iterate_refuses():
    with pytest.raises(TypeError, match="did you mean csv_rows"):
        batches("airports.csv", 500)


# --- files, both kinds

FILES = [pytest.param(csv_rows, id="csv_rows"), pytest.param(lines, id="lines")]


@pytest.fixture
def written(tmp_path):
    def write(content, encoding="utf-8"):
        path = tmp_path / "file.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


@pytest.mark.parametrize("source", FILES)
def test_an_empty_file_gives_nothing(source, written):
    assert items(source(written(""))) == []


@pytest.mark.parametrize("source", FILES)
def test_the_total_of_a_file_is_unknown(source, written):
    assert source(written("a\nb\n")).total() is None


@pytest.mark.parametrize("source", FILES)
def test_a_path_may_be_a_string(source, written):
    assert len(items(source(str(written("a\nb"))))) > 0


@pytest.mark.parametrize("source", FILES)
def test_an_open_file_is_refused_with_its_path(source, written):
    path = written("a\nb\n")

    with path.open() as file, pytest.raises(TypeError, match=rf"Write {source.__name__}\('{path}'\)"):
        source(file)


@pytest.mark.parametrize("source", FILES)
def test_what_is_no_path_is_refused_with_a_call(source):
    with pytest.raises(TypeError, match=rf'got 7. Write {source.__name__}\("file'):
        source(7)


@pytest.mark.parametrize("source", FILES)
def test_an_unknown_encoding_is_refused_before_the_walk(source, written):
    with pytest.raises(LookupError, match="utf-9"):
        source(written("a\nb\n"), encoding="utf-9")


@pytest.mark.parametrize("source", FILES)
def test_an_encoding_whose_newline_is_none_is_refused_before_the_walk(source, written):
    with pytest.raises(ValueError, match="Encoding cp037 ends lines in a way of its own"):
        source(written("a\nb\n"), encoding="cp037")  # EBCDIC


@pytest.mark.parametrize("source", FILES)
@pytest.mark.parametrize("cursor", ["4", 4.0, True, -4, (4,)])
def test_a_cursor_that_is_no_offset_is_refused_before_the_walk(source, cursor, written):
    with pytest.raises(TypeError, match=r"Cursor .* is no place in .*file.txt: expected a byte offset"):
        source(written("a\nb\n")).after(cursor)


@pytest.mark.parametrize("source", FILES)
@pytest.mark.parametrize("content", ["a\nb\n", ""])
def test_a_cursor_beyond_the_end_names_path_offset_and_size(source, content, written):
    path = written(content)

    with pytest.raises(ValueError, match=rf"Cursor 9 lies beyond the end of {path}, {len(content)} bytes"):
        items(source(path), 9)


@pytest.mark.parametrize("source", FILES)
def test_a_cursor_at_the_end_gives_nothing(source, written):
    assert items(source(written("a\nb\n")), 4) == []


@pytest.mark.parametrize("source", FILES)
def test_a_cursor_of_zero_is_the_start(source, written):
    file = source(written("a\nb\nc\n", "utf-8-sig"))

    assert items(file, 0) == items(file)


@pytest.mark.parametrize("source", FILES)
def test_undecodable_bytes_are_named_with_file_and_offset(source, written):
    path = written(b"a\nb\nc\xff\n")

    with pytest.raises(UnicodeDecodeError, match=rf"invalid start byte \(in {path}, byte 5\)"):
        items(source(path))


@pytest.mark.parametrize("source", FILES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_resuming_does_not_read_what_lies_between(source, encoding, written):
    path = written("h\n" + "".join(f"{number}\n" for number in range(20)), encoding)
    after_header, *_, cursor = islice((cursor for _, cursor in source(path, encoding=encoding).after(None)), 10)
    rest = items(source(path, encoding=encoding), cursor)

    with path.open("r+b") as file:
        file.seek(after_header)
        file.write(b'\n"\xff' * ((cursor - after_header) // 3))  # broken text, broken quotes

    assert items(source(path, encoding=encoding), cursor) == rest


@pytest.mark.parametrize("source", FILES)
def test_resuming_at_the_end_of_a_large_file_reads_little_of_it(source, written):
    path = written("h\n" + "x" * 200_000 + "\n" + "y\n" * 100_000)
    before = _bytes_read()

    items(source(path), path.stat().st_size - 2)

    assert _bytes_read() - before < 100_000 < path.stat().st_size


def _bytes_read():
    if not os.path.exists("/proc/self/io"):
        pytest.skip("needs /proc/self/io")
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.parametrize("source", FILES)
@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", codecs.BOM_UTF8),
        ("utf-8-sig", codecs.BOM_UTF8),
        ("utf-16", codecs.BOM_UTF16_LE),
        ("utf-16", codecs.BOM_UTF16_BE),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-32", codecs.BOM_UTF32_LE),
        ("utf-32", codecs.BOM_UTF32_BE),
        ("utf-32-le", codecs.BOM_UTF32_LE),
        ("utf-32-be", codecs.BOM_UTF32_BE),
    ],
)
def test_a_byte_order_mark_is_skipped_and_obeyed(source, encoding, mark, written):
    plain = {
        codecs.BOM_UTF8: "utf-8",
        codecs.BOM_UTF16_LE: "utf-16-le",
        codecs.BOM_UTF16_BE: "utf-16-be",
        codecs.BOM_UTF32_LE: "utf-32-le",
        codecs.BOM_UTF32_BE: "utf-32-be",
    }[mark]
    path = written(mark + "é\nਊ\n".encode(plain))

    assert items(source(path, encoding=encoding)) == {csv_rows: [{"é": "ਊ"}], lines: ["é", "ਊ"]}[source]


@pytest.mark.parametrize("source", FILES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_resumes_everywhere_in_every_encoding(source, encoding, written):
    file = source(written("a,b\nc,d\r\ne,f\n\ng,h", encoding), encoding=encoding)

    assert_resumes_everywhere(file)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_further_on_is_text(encoding, written):
    assert items(lines(written("a\n\ufeffb\n"), encoding=encoding)) == ["a", "\ufeffb"]


# --- lines


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_come_without_their_end(end, written):
    assert items(lines(written(f"a{end}{end}b{end}"))) == ["a", "", "b"]


def test_the_last_line_needs_no_end(written):
    assert list(lines(written("a\nb")).after(None)) == [("a", 2), ("b", 3)]


def test_other_separators_do_not_end_a_line(written):
    assert items(lines(written("a\v\f\x1c\x85\u2028b\nc"))) == ["a\v\f\x1c\x85\u2028b", "c"]


def test_the_cursor_of_a_line_counts_bytes(written):
    assert list(lines(written("é\n€\n")).after(None)) == [("é", 3), ("€", 7)]


@given(text=TEXT, encoding=st.sampled_from(ENCODINGS))
def test_lines_are_those_of_a_python_text_file(text, encoding, tmp_path_factory):
    path = _file(tmp_path_factory, text, encoding)
    with path.open(encoding=encoding) as file:
        expected = [line.removesuffix("\n") for line in file]

    source = lines(path, encoding=encoding)

    assert items(source) == expected
    assert_resumes_everywhere(source)


# --- CSV


def test_csv_rows_are_dicts_by_the_header(written):
    assert items(csv_rows(written("code,name\nLHR,London\nVIE,Wien\n"))) == [
        {"code": "LHR", "name": "London"},
        {"code": "VIE", "name": "Wien"},
    ]


def test_the_cursor_of_a_row_is_where_the_next_one_starts(written):
    assert list(csv_rows(written("a,b\r\n1,é\r\n3,4")).after(None)) == [
        ({"a": "1", "b": "é"}, 11),
        ({"a": "3", "b": "4"}, 14),
    ]


def test_a_quoted_line_break_belongs_to_its_row(written):
    assert list(csv_rows(written('a,b\n"x\ny\r\nz\r",2\n3,4\n')).after(None)) == [
        ({"a": "x\ny\r\nz\r", "b": "2"}, 16),
        ({"a": "3", "b": "4"}, 20),
    ]


def test_a_header_may_have_quoted_line_breaks(written):
    assert_resumes_everywhere(csv_rows(written('"a\nb",c\n1,2\n3,4\n')))


def test_a_file_with_only_a_header_gives_nothing(written):
    assert items(csv_rows(written("a,b\n"))) == []


def test_what_a_short_row_lacks_is_empty(written):
    assert items(csv_rows(written("a,b,c\n1\n"))) == [{"a": "1", "b": "", "c": ""}]


def test_what_a_long_row_has_too_much_is_a_list_under_none(written):
    assert items(csv_rows(written("a\n1,2,3\n"))) == [{"a": "1", None: ["2", "3"]}]


def test_blank_lines_are_skipped(written):
    assert items(csv_rows(written("\n\na\n\n1\n\n\n2\n\n"))) == [{"a": "1"}, {"a": "2"}]


def test_format_options_are_those_of_the_csv_module(written):
    source = csv_rows(written("a;b\n'1;2'; 3\n"), delimiter=";", quotechar="'", skipinitialspace=True)

    assert items(source) == [{"a": "1;2", "b": "3"}]


def test_a_dialect_is_a_format_option(written):
    assert items(csv_rows(written("a\tb\n1\t2\n"), dialect="excel-tab")) == [{"a": "1", "b": "2"}]


def test_a_misspelt_option_is_answered_with_the_near_one(written):
    with pytest.raises(TypeError, match=r'no option "delimeter". Write csv_rows\("file.csv", delimiter=…\)'):
        csv_rows(written("a\n"), delimeter=";")


def test_a_wrong_option_is_refused_before_the_walk(written):
    with pytest.raises(TypeError, match="1-character string"):
        csv_rows(written("a\n"), delimiter=";;")


def test_a_malformed_row_is_named_with_file_and_offset(written):
    path = written('a\n1\n"2"x\n')

    with pytest.raises(csv.Error, match=rf"expected after '\"' \(in {path}, the row at byte 4\)"):
        items(csv_rows(path, strict=True))


@given(
    table=st.lists(st.lists(TEXT, min_size=1, max_size=3), min_size=1, max_size=5),
    encoding=st.sampled_from(ENCODINGS),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_csv_rows_come_back_as_they_were_written(table, encoding, end, tmp_path_factory):
    path = _file(tmp_path_factory, "", "utf-8")
    try:
        with path.open("w", encoding=encoding, newline="") as file:
            csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(table)
    except UnicodeEncodeError:
        assume(False)

    source = csv_rows(path, encoding=encoding)

    assert items(source) == _dict_rows(path, encoding)
    assert_resumes_everywhere(source)


@given(text=TEXT.map("h,i\r\n".__add__), encoding=st.sampled_from(ENCODINGS))
def test_csv_rows_of_any_text_are_those_of_a_dict_reader(text, encoding, tmp_path_factory):
    path = _file(tmp_path_factory, text, encoding)

    source = csv_rows(path, encoding=encoding)

    assert items(source) == _dict_rows(path, encoding)
    assert_resumes_everywhere(source)


def _file(tmp_path_factory, text, encoding):
    path = tmp_path_factory.getbasetemp() / "file.txt"
    try:
        path.write_bytes(text.encode(encoding))
    except UnicodeEncodeError:
        assume(False)
    return path


def _dict_rows(path, encoding):
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file, restval=""))


# --- the module


def test_sources_can_be_imported_without_settings():
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}

    subprocess.run([sys.executable, "-c", "import continuations.sources"], check=True, env=environment, cwd=ROOT)
