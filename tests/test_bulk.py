"""`enqueue_many`: every call is bound before anything is written, then rows and deliveries are written in batches."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.utils import timezone

from continuations import ContinuableJob, ContinuationError, JobDefinitionError, SerializationError, UnknownQueueError
from continuations.delivery import BATCH
from continuations.models import Continuation
from continuations.testing import MemoryDelivery, run_enqueued
from tests.shop.models import Product
from tests.test_enqueueing import _redis_down  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db

did: list[Any] = []

# Batches that were handed to workers: first argument of each call in them, and whether at the front.
batches: list[tuple[list[Any], bool]] = []


class RecordingDelivery(MemoryDelivery):
    def push_many(self, continuations: Sequence[Continuation], *, at_front: bool = False) -> None:
        batches.append(([each.arguments[0][0] for each in continuations], at_front))


@pytest.fixture(autouse=True)
def _record(settings: Any) -> None:
    did.clear()
    batches.clear()
    settings.CONTINUATIONS = {**settings.CONTINUATIONS, "DELIVERY": "tests.test_bulk.RecordingDelivery"}


class Note(ContinuableJob):
    def perform(self, item: Any, suffix: str = "") -> None:
        self.step("note", lambda: did.append(f"{item}{suffix}"))


def test_each_tuple_becomes_a_continuation_and_their_order_is_kept() -> None:
    made = Note.enqueue_many([(1,), (2, "!"), (3,)])
    assert [each.arguments for each in made] == [((1,), {}), ((2, "!"), {}), ((3,), {})]
    assert list(Continuation.objects.order_by("pk")) == made
    assert run_enqueued() == 3
    assert did == ["1", "2!", "3"]


def test_what_is_returned_is_what_was_written() -> None:
    for made in Note.enqueue_many([(1,), (2,)]):
        stored = Continuation.objects.filter(pk=made.pk).values().get()
        assert stored == {field.attname: getattr(made, field.attname) for field in Continuation._meta.concrete_fields}


def numbers() -> Iterator[tuple[int]]:
    yield from ((number,) for number in range(3))


def test_a_generator_of_calls_will_do() -> None:
    assert [each.arguments[0] for each in Note.enqueue_many(numbers())] == [(0,), (1,), (2,)]


def test_a_queryset_of_tuples_will_do() -> None:
    products = Product.objects.bulk_create([Product(name="pen"), Product(name="ink")])
    made = Note.enqueue_many(Product.objects.order_by("pk").values_list("pk"))
    assert [each.arguments[0] for each in made] == [(each.pk,) for each in products]


def test_no_calls_write_nothing(django_assert_num_queries: Callable[[int], Any]) -> None:
    with django_assert_num_queries(0):
        assert Note.enqueue_many([]) == []


def test_options_hold_for_all() -> None:
    moment = timezone.now() + dt.timedelta(hours=1)
    configured = Note.using(queue_name="slow", run_after=moment, rq_options={"job_timeout": 9})
    for made in configured.enqueue_many([(1,), (2,)]):
        assert (made.queue_name, made.run_after, made.rq_options_json) == ("slow", moment, {"job_timeout": 9})


def test_aenqueue_many_is_enqueue_many_for_async_code() -> None:
    assert len(async_to_sync(Note.aenqueue_many)([(1,), (2,)])) == 2
    (made,) = async_to_sync(Note.using(queue_name="slow").aenqueue_many)([(3,)])
    assert made.queue_name == "slow"
    assert Continuation.objects.count() == 3


# Statements


@pytest.mark.parametrize("count", [1, 10_000])
def test_rows_are_written_in_few_statements(django_assert_num_queries: Callable[[int], Any], count: int) -> None:
    """As many in one as the database takes, at most 500."""
    calls = [(number,) for number in range(count)]
    fields = Continuation._meta.concrete_fields
    batch = min(BATCH, connection.ops.bulk_batch_size(fields, calls))
    with django_assert_num_queries(math.ceil(count / batch)):
        Note.enqueue_many(calls)
    assert Continuation.objects.count() == count


# On commit


@pytest.mark.django_db(transaction=True)
def test_a_commit_delivers_in_batches() -> None:
    count = 2 * BATCH + 1
    with transaction.atomic():
        Note.enqueue_many((number,) for number in range(count))
        assert batches == []
    assert [len(items) for items, _ in batches] == [BATCH, BATCH, 1]
    assert [item for items, _ in batches for item in items] == list(range(count))
    assert not any(at_front for _, at_front in batches)


@pytest.mark.django_db(transaction=True)
def test_the_batch_that_is_to_run_first_is_the_last_that_goes_to_the_front() -> None:
    Note.using(at_front=True).enqueue_many((number,) for number in range(BATCH + 1))
    assert batches == [([BATCH], True), (list(range(BATCH)), True)]


@pytest.mark.django_db(transaction=True)
def test_a_rollback_leaves_nothing() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        Note.enqueue_many([(1,), (2,)])
        raise RuntimeError
    assert batches == []
    assert not Continuation.objects.exists()


@pytest.mark.usefixtures("_redis_down")
@pytest.mark.django_db(transaction=True)
def test_redis_down_at_commit_keeps_the_rows_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    made = Note.enqueue_many((number,) for number in range(BATCH + 1))
    assert Continuation.objects.filter(status="enqueued").count() == len(made)
    (record,) = [each for each in caplog.records if each.name == "continuations"]
    assert record.levelname == "ERROR"
    assert f"{BATCH + 1} continuations of Note are stored but not delivered: Redis did not" in record.getMessage()


# Bad calls: named, with nothing written


def refused() -> bool:
    return not Continuation.objects.exists() and not batches


def test_a_call_that_perform_does_not_take_is_named() -> None:
    with pytest.raises(
        TypeError, match=r"Note\.enqueue_many: call 2, \(3, 'a', 'b'\): Note\.perform\(\) too many positional arguments"
    ):
        Note.enqueue_many([(1,), (2,), (3, "a", "b"), (4,)])
    assert refused()


def test_a_value_that_cannot_be_stored_is_named() -> None:
    with pytest.raises(SerializationError, match=r"Note\.enqueue_many: call 1, .*: arguments of Note: a .* cannot be"):
        Note.enqueue_many([(1,), (object(),)])
    assert refused()


@pytest.mark.parametrize("call", [7, "ab", [7], {"item": 7}])
def test_a_call_that_is_no_tuple_is_refused_with_an_example(call: Any) -> None:
    with pytest.raises(TypeError, match=r"Note\.enqueue_many: call 0 is .*; expected .* as a tuple, such as \(.*,\)$"):
        Note.enqueue_many([call])
    assert refused()


def test_a_key_is_refused_with_the_reason() -> None:
    with pytest.raises(
        ValueError, match=r"Note: enqueue_many takes no key, since only one unfinished .* key='a': call"
    ):
        Note.using(key="a").enqueue_many([(1,), (2,)])
    assert refused()


def broken() -> Iterator[tuple[int]]:
    yield (1,)
    raise RuntimeError("broken")


def test_calls_that_break_off_write_nothing() -> None:
    with pytest.raises(RuntimeError, match="broken"):
        Note.enqueue_many(broken())
    assert refused()


class NoPerform(ContinuableJob):
    pass


@pytest.mark.parametrize(
    ("enqueue_many", "error"),
    [
        (NoPerform.enqueue_many, JobDefinitionError),
        (Note.using(queue_name="nowhere").enqueue_many, UnknownQueueError),
        (Note.using(rq_options={"job_id": "a"}).enqueue_many, ContinuationError),
        (Note.using(run_after="soon").enqueue_many, TypeError),  # type: ignore[arg-type]
    ],
)
def test_what_is_wrong_with_all_of_them_is_no_matter_of_a_call(enqueue_many: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        enqueue_many([(1,)])
    assert "call" not in str(caught.value)
    assert refused()


@pytest.mark.django_db(transaction=True)
def test_enqueueing_with_autocommit_off_is_refused() -> None:
    transaction.set_autocommit(False)
    try:
        with pytest.raises(ContinuationError, match="autocommit is off on database 'default'"):
            Note.enqueue_many([(1,)])
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert refused()
