"""`shards` and `shard`: a queryset in parts of like size, each row in exactly one."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection, models
from django.test.utils import isolate_apps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuations import ContinuableJob, Step, codec
from continuations.models import Continuation
from continuations.sources import as_source, shard, shards
from continuations.testing import run_enqueued
from tests.shop.models import Applied, Product, Shelf

NEVER = datetime(2100, 1, 1, tzinfo=UTC)


def stock(number: int, **fields: Any) -> list[Product]:
    return [Product.objects.create(name=f"{each}", **fields) for each in range(number)]


def contents(queryset: Any, bounds: Any) -> list[list[Any]]:
    """The primary keys in each shard, as a child finds them."""
    return [[row.pk for row, _ in as_source(shard(queryset, *each)).after(None)] for each in bounds]


def keys(queryset: Any) -> list[Any]:
    return list(queryset.order_by("pk").values_list("pk", flat=True))


# --- balanced, whole, and nothing twice


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rows", "n", "sizes"),
    [(8, 4, [2, 2, 2, 2]), (10, 4, [3, 3, 2, 2]), (5, 1, [5]), (1, 1, [1]), (4, 4, [1, 1, 1, 1]), (7, 2, [4, 3])],
)
def test_shards_have_as_many_rows_each_give_or_take_one(rows, n, sizes):
    stock(rows)

    found = contents(Product.objects.all(), shards(Product.objects.all(), n))

    assert [len(each) for each in found] == sizes
    assert list(chain(*found)) == keys(Product.objects.all())


@pytest.mark.django_db
def test_shards_are_balanced_by_rows_and_not_by_keys():
    stock(4)
    last = Product.objects.create(name="far away", pk=Product.objects.latest("pk").pk + 1_000_000)

    found = contents(Product.objects.all(), shards(Product.objects.all(), 2))

    assert [len(each) for each in found] == [3, 2]
    assert found[1][-1] == last.pk


@pytest.mark.django_db
def test_bounds_are_none_at_both_ends_and_the_first_key_of_the_next_shard_between():
    pks = [product.pk for product in stock(6)]

    assert shards(Product.objects.all(), 3) == [(None, pks[2]), (pks[2], pks[4]), (pks[4], None)]


@pytest.mark.django_db
def test_one_shard_is_everything():
    stock(3)

    assert shards(Product.objects.all(), 1) == [(None, None)]


@pytest.mark.django_db
@pytest.mark.parametrize("n", [4, 5, 100])
def test_there_are_no_more_shards_than_rows(n):
    pks = [product.pk for product in stock(3)]

    assert contents(Product.objects.all(), shards(Product.objects.all(), n)) == [[pk] for pk in pks]


@pytest.mark.django_db
def test_nothing_has_no_shards():
    assert shards(Product.objects.all(), 8) == []


@pytest.mark.django_db
def test_a_filter_counts_and_holds():
    for number in range(12):
        Product.objects.create(name="x", rank=number % 3)
    some = Product.objects.filter(rank=1)

    found = contents(some, shards(some, 2))

    assert [len(each) for each in found] == [2, 2]
    assert list(chain(*found)) == keys(some)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "queryset",
    [
        Product.objects,
        Product.objects.order_by("-rank", "name"),
        Product.objects.values("pk", "name"),
        Product.objects.distinct(),
        Product.objects.only("name"),
    ],
    ids=["manager", "ordered", "values", "distinct", "deferred"],
)
def test_shards_are_in_the_order_of_the_primary_key_whatever_the_queryset_is_like(queryset):
    pks = [product.pk for product in stock(4)]

    assert shards(queryset, 2) == [(None, pks[2]), (pks[2], None)]


@pytest.mark.django_db
def test_a_related_manager_is_split():
    shelf = Shelf.objects.create(label="one")
    stock(2)
    pks = [product.pk for product in stock(4, shelf=shelf)]

    assert contents(shelf.product_set, shards(shelf.product_set, 2)) == [pks[:2], pks[2:]]


@pytest.mark.django_db
def test_a_row_that_a_join_repeats_is_in_one_shard():
    shelves = [Shelf.objects.create(label=f"{number}") for number in range(3)]
    for shelf in shelves:
        stock(5, shelf=shelf)
    full = Shelf.objects.filter(product__rank=0)

    found = contents(full, shards(full, 8))

    assert list(chain(*found)) == [shelf.pk for shelf in shelves]
    assert [len(each) for each in found] == [1, 1, 1]


# --- keys of other types


@pytest.mark.django_db
def test_keys_may_be_uuids():
    for number in range(5):
        Continuation.objects.create(job_path=f"{number}", queue_name="default", arguments_json="[[],{}]")
    rows = Continuation.objects.all()
    bounds = shards(rows, 2)

    found = contents(rows, codec.decode(codec.encode(bounds)))

    assert [len(each) for each in found] == [3, 2]
    assert list(chain(*found)) == keys(rows)


@pytest.mark.django_db
def test_keys_may_be_texts():
    for key in ("b", "é", "A", "a2", "ZZ", "_", "10", "9"):
        Session.objects.create(session_key=key, expire_date=NEVER)
    rows = Session.objects.all()

    found = contents(rows, shards(rows, 3))

    assert [len(each) for each in found] == [3, 3, 2]
    assert list(chain(*found)) == keys(rows)


@pytest.fixture
def seats(transactional_db):
    with isolate_apps("tests.shop"):

        class Seat(models.Model):
            pk = models.CompositePrimaryKey("row", "number")
            row = models.IntegerField()
            number = models.IntegerField()

            class Meta:
                app_label = "shop"

        with connection.schema_editor() as editor:
            editor.create_model(Seat)
        yield Seat
        with connection.schema_editor() as editor:
            editor.delete_model(Seat)


def test_keys_may_be_composite(seats):
    for row in range(3):
        for number in range(3):
            seats.objects.create(row=row, number=number)
    bounds = shards(seats.objects.all(), 4)

    found = contents(seats.objects.all(), codec.decode(codec.encode(bounds)))

    assert [len(each) for each in found] == [3, 2, 2, 2]
    assert list(chain(*found)) == [(row, number) for row in range(3) for number in range(3)]


# --- what comes and goes


@pytest.mark.django_db
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=st.sets(st.integers(1, 60), max_size=12),
    after=st.sets(st.integers(1, 60), max_size=12),
    n=st.integers(1, 6),
)
def test_whatever_comes_and_goes_each_row_is_in_exactly_one_shard(before, after, n):
    Product.objects.all().delete()
    Product.objects.bulk_create(Product(pk=pk, name="x") for pk in before)
    bounds = shards(Product.objects.all(), n)
    assert [len(each) for each in contents(Product.objects.all(), bounds)] == [
        len(before) // len(bounds) + (index < len(before) % len(bounds)) for index in range(len(bounds))
    ]

    Product.objects.filter(pk__in=list(before)[::2]).delete()
    Product.objects.bulk_create((Product(pk=pk, name="x") for pk in after), ignore_conflicts=True)

    if bounds:
        assert list(chain(*contents(Product.objects.all(), bounds))) == keys(Product.objects.all())


# --- what it costs


@pytest.mark.django_db
@pytest.mark.parametrize(("rows", "queries"), [(0, 1), (3, 3), (20, 8), (60, 8)])
def test_as_many_queries_as_shards_whatever_the_number_of_rows(rows, queries, django_assert_num_queries):
    stock(rows)

    with django_assert_num_queries(queries):
        shards(Product.objects.all(), 8)


@pytest.mark.django_db
def test_a_shard_costs_no_query_of_its_own(django_assert_num_queries):
    with django_assert_num_queries(0):
        shard(Product.objects.all(), 5, 10)


# --- what is refused


@pytest.mark.parametrize("value", [[1, 2], None, Product, "products"], ids=lambda each: repr(each)[:20])
def test_only_a_queryset_is_split(value):
    with pytest.raises(TypeError, match=r"expected a queryset, got .* Write shards\(Order.objects.all\(\), 8\)"):
        shards(value, 8)
    with pytest.raises(TypeError, match=r"Write shard\(Order.objects.all\(\), start, stop\)"):
        shard(value, None, None)


@pytest.mark.parametrize(
    ("queryset", "message"),
    [
        (Product.objects.all()[:5], r"is sliced.*\(Product.objects.filter\(…\), "),
        (Product.objects.union(Product.objects.all()), r"is a union .*\(Product.objects.filter\(Q\(…\) \| Q\(…\)\), "),
    ],
    ids=["sliced", "union"],
)
def test_a_queryset_that_cannot_be_filtered_is_refused(queryset, message):
    with pytest.raises(TypeError, match=rf"shards\(\) cannot split a queryset that {message}8\)"):
        shards(queryset, 8)
    with pytest.raises(TypeError, match=rf"shard\(\) cannot split a queryset that {message}start, stop\)"):
        shard(queryset, None, None)


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)])
def test_the_number_of_shards_is_a_positive_int(n, error):
    with pytest.raises(error, match=r"got .*Write shards\(Product.objects.all\(\), 8\)"):
        shards(Product.objects.all(), n)


# --- in jobs


class Export(ContinuableJob):
    def perform(self, start: int | None, stop: int | None) -> None:
        self.products = shard(Product.objects.all(), start, stop)
        self.step(self.write)

    def write(self, step: Step) -> None:
        for product in step.iterate(self.products):
            with step.atomic():
                Applied.objects.create(item=product.name, run=str(self.continuation.pk))


class ExportAll(ContinuableJob):
    def perform(self) -> None:
        self.step("fan_out", self.fan_out, atomic=True)

    def fan_out(self) -> None:
        for bounds in shards(Product.objects.all(), 3):
            Export.enqueue(*bounds)


@pytest.mark.django_db
def test_children_share_the_work_and_new_rows_too():
    stock(6)
    ExportAll.enqueue()
    run_enqueued()
    Product.objects.create(name="late")

    run_enqueued(Export)

    assert sorted(Applied.objects.values_list("item", flat=True)) == ["0", "1", "2", "3", "4", "5", "late"]
    assert Applied.objects.values("run").distinct().count() == 3
