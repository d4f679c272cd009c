"""Q2: one codec. Every type comes back as it went, stored texts stay readable, and errors say what to do."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from continuations import ContinuableJob, DeserializationError, SerializationError, Step
from continuations.codec import ATOMS, check, decode, encode
from continuations.testing import run_until_finished
from tests.shop.models import Product, Shelf

BERLIN = ZoneInfo("Europe/Berlin")
PLUS_TWO = dt.timezone(dt.timedelta(hours=2))


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"
    ROUGE = "r"  # noqa: PIE796 - an alias


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = "y"


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Outer:
    class Inner(enum.Enum):
        ONE = 1


# Value and text. The texts are in people's databases: they may be added to, never changed.
GOLDEN = [
    (None, None),
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (-5, "-5"),
    (2**80, "1208925819614629174706176"),
    (1.5, "1.5"),
    (float("inf"), "Infinity"),
    ("", '""'),
    ("a", '"a"'),
    ("naïve ☃ 😀", '"naïve ☃ 😀"'),
    ('quote " and \\ and \n', '"quote \\" and \\\\ and \\n"'),
    ("\0", '"\\u0000"'),
    (b"", '{"$":"bytes","v":""}'),
    (b"\x00\xff", '{"$":"bytes","v":"AP8="}'),
    ([], "[]"),
    ([1, "a", None, [True]], '[1,"a",null,[true]]'),
    ((), '{"$":"tuple","v":[]}'),
    ((1, (2, "x")), '{"$":"tuple","v":[1,{"$":"tuple","v":[2,"x"]}]}'),
    (set(), '{"$":"set","v":[]}'),
    ({3, 1, 2}, '{"$":"set","v":[1,2,3]}'),
    (frozenset({"b", "a"}), '{"$":"frozenset","v":["a","b"]}'),
    ({}, "{}"),
    ({"a": 1, "b": [2]}, '{"a":1,"b":[2]}'),
    ({"b": 1, "a": 2}, '{"b":1,"a":2}'),
    ({1: "a", (2, 3): "b"}, '{"$":"dict","v":[[1,"a"],[{"$":"tuple","v":[2,3]},"b"]]}'),
    ({"$": "tuple", "v": []}, '{"$":"dict","v":[["$","tuple"],["v",[]]]}'),
    (dt.date(2026, 2, 28), '{"$":"date","v":"2026-02-28"}'),
    (dt.datetime(2026, 2, 28, 1, 2, 3), '{"$":"datetime","v":["2026-02-28T01:02:03",null,0]}'),
    (dt.datetime(2026, 2, 28, 1, 2, 3, 4, dt.UTC), '{"$":"datetime","v":["2026-02-28T01:02:03.000004+00:00",null,0]}'),
    (dt.datetime(2026, 2, 28, 1, tzinfo=PLUS_TWO), '{"$":"datetime","v":["2026-02-28T01:00:00+02:00",null,0]}'),
    (dt.datetime(2026, 2, 28, 1, tzinfo=BERLIN), '{"$":"datetime","v":["2026-02-28T01:00:00","Europe/Berlin",0]}'),
    (dt.time(1, 2, 3, 4), '{"$":"time","v":["01:02:03.000004",0]}'),
    (dt.time(1, tzinfo=dt.UTC), '{"$":"time","v":["01:00:00+00:00",0]}'),
    (dt.timedelta(days=-1, seconds=5, microseconds=7), '{"$":"timedelta","v":[-1,5,7]}'),
    (Decimal("1.50"), '{"$":"decimal","v":"1.50"}'),
    (Decimal("-0"), '{"$":"decimal","v":"-0"}'),
    (Decimal("1E+5"), '{"$":"decimal","v":"1E+5"}'),
    (uuid.UUID(int=7), '{"$":"uuid","v":"00000000-0000-0000-0000-000000000007"}'),
    (Colour.GREEN, '{"$":"enum","v":["tests.test_codec","Colour","GREEN"]}'),
    (Level.HIGH, '{"$":"enum","v":["tests.test_codec","Level","HIGH"]}'),
    (Word.YES, '{"$":"enum","v":["tests.test_codec","Word","YES"]}'),
    (Outer.Inner.ONE, '{"$":"enum","v":["tests.test_codec","Outer.Inner","ONE"]}'),
    (SafeString("<b>"), '{"$":"safe","v":"<b>"}'),
]


@pytest.mark.parametrize(("value", "text"), GOLDEN, ids=[str(text)[:60] for _, text in GOLDEN])
def test_a_value_is_written_as_ever(value: Any, text: str | None) -> None:
    """Q2"""
    assert encode(value) == text


@pytest.mark.parametrize(("value", "text"), GOLDEN, ids=[str(text)[:60] for _, text in GOLDEN])
def test_a_stored_text_is_read_as_ever(value: Any, text: str | None) -> None:
    """Q2"""
    back = decode(text)
    assert back == value
    assert type(back) is type(value)


# Round trips


def same(one: Any, other: Any) -> bool:
    """Equal in value and type, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, (set, frozenset)):
        return one == other and {(type(a), a) for a in one} == {(type(a), a) for a in other}
    if isinstance(one, (dt.datetime, dt.time)):
        return (one.replace(tzinfo=None), str(one.tzinfo), one.fold) == (
            other.replace(tzinfo=None),
            str(other.tzinfo),
            other.fold,
        )
    if isinstance(one, (float, Decimal)):
        return repr(one) == repr(other)
    return bool(one == other)


zones = st.sampled_from([None, dt.UTC, PLUS_TWO, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("UTC")])
hashable = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(timezones=zones),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.sampled_from([*Colour, *Level, *Word, *Access, Outer.Inner.ONE]),
)
hashable = st.one_of(hashable, st.tuples(hashable), st.tuples(hashable, hashable), st.frozensets(hashable, max_size=4))
values = st.recursive(
    st.one_of(hashable, st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(hashable, max_size=4),
        st.dictionaries(st.one_of(st.text(), st.just("$")), inner, max_size=4),
        st.dictionaries(hashable, inner, max_size=4),
    ),
    max_leaves=12,
)


@given(values)
@settings(max_examples=400, deadline=None)
def test_every_value_comes_back_as_it_went(value: Any) -> None:
    """Q2"""
    text = encode(value)
    assert same(decode(text), value)
    assert text is None or isinstance(text, str)


@given(st.lists(hashable, max_size=6, unique=True), st.randoms(use_true_random=False))
@settings(deadline=None)
@example([10, 9, "10"], None)
def test_equal_sets_have_equal_texts(members: list[Any], random: Any) -> None:
    """S3: cursors are compared by their texts."""
    other = list(members)
    if random is not None:
        random.shuffle(other)
    assert encode(set(members)) == encode(set(other))


@given(values)
@settings(deadline=None)
def test_a_value_that_was_read_is_written_alike(value: Any) -> None:
    """S3: what comes back from the database has not advanced."""
    text = encode(value)
    assert encode(decode(text)) == text


def test_a_nan_comes_back() -> None:
    """Q2"""
    assert str(decode(encode(float("nan")))) == "nan"
    assert str(decode(encode(Decimal("NaN")))) == "NaN"


@pytest.mark.parametrize("fold", [0, 1])
def test_the_hour_that_comes_twice_is_kept_apart(fold: int) -> None:
    """Q2"""
    moment = dt.datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=BERLIN)
    back = decode(encode(moment))
    assert (back.fold, back.tzinfo, back.utcoffset()) == (fold, BERLIN, moment.utcoffset())


def test_a_time_keeps_its_zone() -> None:
    """Q2: types round-trip."""
    noon = dt.time(12, tzinfo=BERLIN)
    assert decode(encode(noon)).tzinfo == BERLIN


def test_a_combination_of_flags_comes_back() -> None:
    """Q2: it is a member of its enum like any other."""
    assert decode(encode(Access.READ | Access.WRITE)) == Access.READ | Access.WRITE
    assert decode(encode(Access(0))) == Access(0)


def test_an_alias_of_an_enum_member_is_that_member() -> None:
    """Q2"""
    assert decode(encode(Colour.ROUGE)) is Colour.RED


def test_a_boolean_and_a_number_stay_apart() -> None:
    """Q2"""
    assert encode([True, 1, 1.0]) == "[true,1,1.0]"
    assert [type(each) for each in decode("[true,1,1.0]")] == [bool, int, float]


@pytest.mark.parametrize("text", ["\udcff", "file\udce4.txt", "\ud800"])
def test_a_text_with_a_lone_surrogate_can_be_stored(text: str) -> None:
    """Q2: file names that are no UTF-8 come like this; databases take UTF-8 only."""
    stored = encode(text)
    assert stored is not None
    stored.encode("utf-8")
    assert decode(stored) == text


class Names(ContinuableJob):
    def perform(self, name: str) -> str:
        return self.step("keep", lambda: name + "!")


@pytest.mark.django_db
def test_a_text_with_a_lone_surrogate_survives_the_database() -> None:
    """Q2"""
    assert run_until_finished(Names.enqueue("file\udce4.txt")).result == "file\udce4.txt!"


@pytest.mark.django_db
def test_a_text_with_a_nul_survives_the_database() -> None:
    """Q2: PostgreSQL takes none in a text, so it is escaped."""
    assert run_until_finished(Names.enqueue("a\0b")).result == "a\0b!"


class AllGolden(ContinuableJob):
    def perform(self, *values: Any) -> None:
        for index, value in enumerate(values):
            self.step(f"set {index}", lambda step, value=value: step.set(value))


@pytest.mark.django_db
def test_every_type_can_be_an_argument_and_a_cursor() -> None:
    """Q2"""
    values = [value for value, _ in GOLDEN]
    continuation = run_until_finished(AllGolden.enqueue(*values))
    assert same(list(continuation.arguments[0]), values)
    assert same([each.cursor for each in continuation.steps.all()], values)


# Model instances


@pytest.mark.django_db
def test_a_model_instance_is_stored_as_label_pk_and_alias() -> None:
    """Q2"""
    product = Product.objects.create(name="pen")
    assert encode(product) == f'{{"$":"model","v":["shop.product",{product.pk},"default"]}}'


@pytest.mark.django_db
def test_a_model_instance_is_read_afresh() -> None:
    """Q2"""
    product = Product.objects.create(name="pen")
    text = encode([product])
    Product.objects.update(name="pencil")
    assert [each.name for each in decode(text)] == ["pencil"]


@pytest.mark.django_db
def test_a_model_instance_that_was_deleted_is_an_error_that_names_it() -> None:
    """Q2"""
    product = Product.objects.create(name="pen")
    text = encode(product)
    pk = product.pk
    product.delete()
    with pytest.raises(DeserializationError, match=rf"cursor: shop\.Product with pk {pk} does not exist any more"):
        decode(text, what="cursor")


@pytest.mark.django_db
def test_a_model_that_is_gone_is_an_error_that_names_it() -> None:
    """Q2"""
    with pytest.raises(DeserializationError, match=r"there is no model 'shop\.gone' any more \(pk 3\)"):
        decode('{"$":"model","v":["shop.gone",3,"default"]}')


@pytest.mark.django_db
def test_a_model_instance_that_is_not_saved_cannot_be_stored() -> None:
    """Q2"""
    with pytest.raises(SerializationError, match=r"shop\.Product instance is not saved, so there is no pk to store"):
        encode(Product(name="pen"))
    with pytest.raises(SerializationError, match="is not saved"):
        encode(Product(pk=5, name="pen"))


@pytest.mark.django_db
def test_a_deleted_model_instance_cannot_be_stored() -> None:
    """Q2"""
    shelf = Shelf.objects.create(label="top")
    shelf.delete()
    with pytest.raises(SerializationError, match="is not saved"):
        encode(shelf)


# What cannot be stored


class Custom:
    def __repr__(self) -> str:
        return "Custom(1)"


class Text(str):
    pass


def generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            object(),
            r"a builtins\.object cannot be stored \(<object object at .*\): expected None, bool, int, float, str",
        ),
        (Custom(), r"a tests\.test_codec\.Custom cannot be stored \(Custom\(1\)\): expected None"),
        ([1, {"a": Custom()}], r"a tests\.test_codec\.Custom cannot be stored"),
        ({1: Custom()}, r"a tests\.test_codec\.Custom cannot be stored"),
        ({Custom(): 1}, r"a tests\.test_codec\.Custom cannot be stored"),
        ((Custom(),), r"a tests\.test_codec\.Custom cannot be stored"),
        (1j, r"a builtins\.complex cannot be stored \(1j\)"),
        (range(3), r"a builtins\.range cannot be stored \(range\(0, 3\)\)"),
        (bytearray(b"a"), r"a builtins\.bytearray cannot be stored"),
        (Text("a"), r"a tests\.test_codec\.Text cannot be stored"),
        (generator(), r"a builtins\.generator cannot be stored"),
        (generator, r"a function or class cannot be stored \(<function generator at .*\): store a name or a pk"),
        (Custom, r"a function or class cannot be stored \(<class 'tests.test_codec.Custom'>\)"),
        (len, r"a function or class cannot be stored \(<built-in function len>\)"),
        (gettext_lazy("yes"), r"a lazy translation cannot be stored: pass str\(\.\.\.\) of it"),
        (Product.objects.all(), r"a QuerySet cannot be stored \(django\.db\.models\.query\.QuerySet\): store its pk"),
        (ValueError("x"), r"a builtins\.ValueError cannot be stored"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_a_value_that_cannot_be_stored_is_an_error_that_says_why(value: Any, message: str) -> None:
    """Q2"""
    with pytest.raises(SerializationError, match=f"^thing: {message}"):
        encode(value, what="thing")


def test_a_value_that_contains_itself_cannot_be_stored() -> None:
    """Q2"""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(SerializationError, match=r"^thing: it is nested too deeply, or contains itself"):
        encode(loop, what="thing")


def test_a_number_too_long_for_python_to_print_cannot_be_stored() -> None:
    """Q2: Python refuses to read more than 4300 digits."""
    with pytest.raises(SerializationError, match=r"^thing: "):
        encode(10**5000, what="thing")
    with pytest.raises(SerializationError, match=r"^thing: "):
        encode([10**5000], what="thing")


def test_an_enum_inside_a_function_cannot_be_stored() -> None:
    """Q2: a worker could not find it."""

    class Local(enum.Enum):
        ONE = 1

    with pytest.raises(SerializationError, match=r"Local.* is defined inside a function"):
        encode(Local.ONE)


def test_a_serialization_error_is_a_type_error_too() -> None:
    assert issubclass(SerializationError, TypeError)


def test_check_refuses_what_encode_refuses() -> None:
    """Q2"""
    with pytest.raises(SerializationError, match=r"^cursor: "):
        check(Custom(), what="cursor")
    check([1, (2, 3)], what="cursor")
    for value in (1, "a", 1.0, True, None, dt.date.min, dt.timedelta(), Decimal(), uuid.UUID(int=0), b""):
        assert type(value) in ATOMS
        check(value, what="cursor")


# Texts that cannot be read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1,",
        "nonsense",
        '{"$":"unknown","v":1}',
        '{"$":"tuple"}',
        '{"$":"tuple","v":5}',
        '{"$":"date","v":"yesterday"}',
        '{"$":"datetime","v":["2026-01-01T00:00:00"]}',
        '{"$":"datetime","v":["2026-01-01T00:00:00","Nowhere/City",0]}',
        '{"$":"uuid","v":"x"}',
        '{"$":"bytes","v":"*"}',
        '{"$":"decimal","v":"many"}',
        '{"$":"timedelta","v":[9999999999,0,0]}',
        '{"$":"enum","v":["tests.test_codec",3,"ONE"]}',
        '{"$":["tuple"],"v":[]}',
    ],
)
def test_a_text_that_this_codec_did_not_write_is_a_named_error(text: str) -> None:
    """Q2"""
    with pytest.raises(DeserializationError, match=r"^cursor: "):
        decode(text, what="cursor")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (["tests.nowhere", "Colour", "RED"], r"enum tests\.nowhere\.Colour is not loaded: import it in the module of"),
        (["tests.test_codec", "Gone", "RED"], r"enum tests\.test_codec\.Gone is not loaded"),
        (["tests.test_codec", "Custom", "RED"], r"enum tests\.test_codec\.Custom is not loaded"),
        (["tests.test_codec", "Colour", "BLUE"], r"enum tests\.test_codec\.Colour has no member 'BLUE' any more"),
        (["os", "system", "true"], r"enum os\.system is not loaded"),
    ],
)
def test_an_enum_member_that_is_gone_is_an_error_that_names_it(reference: list[str], message: str) -> None:
    """Q2"""
    with pytest.raises(DeserializationError, match=f"^cursor: {message}"):
        decode(json.dumps({"$": "enum", "v": reference}), what="cursor")


def test_reading_a_stored_text_imports_no_module() -> None:
    """Q2: what is stored must not choose what code runs."""
    import sys

    assert "this" not in sys.modules
    with pytest.raises(DeserializationError):
        decode('{"$":"enum","v":["this","Zen","ONE"]}')
    assert "this" not in sys.modules


class BrokenCursor(ContinuableJob):
    def perform(self) -> None:
        self.step("load", self.load)

    def load(self, step: Step) -> None:
        raise AssertionError("the body must not run")


@pytest.mark.django_db
def test_a_stored_cursor_that_cannot_be_read_names_its_step() -> None:
    """Q2"""
    from continuations.models import StepRecord
    from continuations.testing import run_enqueued

    continuation = BrokenCursor.enqueue()
    StepRecord.objects.create(continuation=continuation, position=0, name="load", cursor_json="{")
    type(continuation).objects.update(executions=1)
    with pytest.raises(DeserializationError, match=r"cursor of step 'load': '{' is not what this codec writes"):
        run_enqueued()
