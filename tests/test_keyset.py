"""Querysets walked by key: order, ties, resuming, rows that come and go, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models
from django.db.models import Count, F, Q
from django.db.models.functions import Upper
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.utils.connection import ConnectionDoesNotExist
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuations import codec
from continuations.sources import as_source, batches, keyset
from tests.shop.models import Product, Shelf

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)

# Every one ends unique; most have ties before that.
KEYS = [
    ["pk"],
    ["-pk"],
    ["code"],
    ["-code"],
    ["rank", "pk"],
    ["-rank", "pk"],
    ["rank", "-pk"],
    ["-rank", "-pk"],
    ["name", "code"],
    ["price", "pk"],
    ["-created", "pk"],
    ["day", "pk"],
    ["day", "-rank", "price", "name", "-pk"],
]


def stock(*ranks, shelf=None, first=None):
    """One product for each rank; the other fields repeat, in other rhythms. `first` numbers them."""
    shelves = [shelf] if shelf else [Shelf.objects.get_or_create(label=label)[0] for label in ("lower", "Upper")]
    first = Product.objects.count() if first is None else first
    return [
        Product.objects.create(
            name="aÄbß"[number % 4],
            price=Decimal(number % 3) / 4,
            created=MIDNIGHT + timedelta(microseconds=number // 2),
            day=date(2026, 1, 1 + number % 2),
            code=UUID(int=(number * 7919 + 13) % 997),
            shelf=shelves[number % len(shelves)],
            rank=rank,
        )
        for number, rank in enumerate(ranks, start=first)
    ]


def items(source, cursor=None):
    return [item for item, _ in source.after(cursor)]


def assert_resumes_everywhere(source):
    whole = list(source.after(None))
    for done, (_, cursor) in enumerate(whole, start=1):
        assert list(source.after(cursor)) == whole[done:]


# --- order, pages, cursors


@pytest.mark.django_db
@pytest.mark.parametrize("key", KEYS, ids="_".join)
def test_rows_come_in_the_order_of_the_key(key):
    stock(2, 1, 2, 1, 1, 2, 1)

    assert items(keyset(Product.objects.all(), *key, page_size=2)) == list(Product.objects.order_by(*key))


@pytest.mark.django_db
@pytest.mark.parametrize("key", KEYS, ids="_".join)
def test_a_walk_resumes_everywhere(key):
    stock(2, 1, 2, 1, 1, 2, 1)

    assert_resumes_everywhere(keyset(Product.objects.all(), *key, page_size=3))


@pytest.mark.django_db
@pytest.mark.parametrize("key", KEYS, ids="_".join)
def test_a_cursor_survives_the_codec(key):
    stock(2, 1, 2, 1, 1)
    source = keyset(Product.objects.all(), *key)
    whole = list(source.after(None))

    stored = codec.decode(codec.encode(whole[1][1]))

    assert list(source.after(stored)) == whole[2:]


@pytest.mark.django_db
def test_a_queryset_is_walked_by_primary_key():
    products = stock(3, 1, 2)

    assert list(as_source(Product.objects.all()).after(None)) == [(product, product.pk) for product in products]


@pytest.mark.django_db
def test_the_cursor_of_several_fields_is_a_tuple():
    product, *_ = stock(5)

    assert list(keyset(Product.objects.all(), "-rank", "pk").after(None)) == [(product, (5, product.pk))]


@pytest.mark.django_db
def test_the_cursor_is_the_key_the_row_was_read_with():
    stock(1, 2, 3)
    source = keyset(Product.objects.all(), "rank", "pk", page_size=1)
    visited = []

    for product, _ in source.after(None):
        visited.append(product.rank)
        product.rank = -1

    assert visited == [1, 2, 3]


@pytest.mark.django_db
def test_a_key_that_the_database_cannot_find_again_is_an_error_and_no_endless_walk():
    if connection.vendor != "sqlite":
        pytest.skip("rounds decimals when they are stored")
    stock(1)
    Product.objects.update(price=Decimal("1.3333"))

    with pytest.raises(RuntimeError, match=r"found the key \(Decimal\('1.33'\), \d+\) again after itself"):
        items(keyset(Product.objects.all(), "price", "pk", page_size=1))


@pytest.mark.django_db
def test_an_empty_queryset_gives_nothing():
    assert items(keyset(Product.objects.none())) == items(keyset(Product.objects.all())) == []


@pytest.mark.django_db
def test_filters_hold_on_every_page():
    stock(1, 2, 1, 2, 1, 2)

    assert [product.rank for product in items(keyset(Product.objects.filter(rank=2), page_size=2))] == [2, 2, 2]


@pytest.mark.django_db
def test_a_filter_with_or_holds_on_every_page():
    stock(1, 2, 3, 1, 2, 3)
    queryset = Product.objects.filter(Q(rank=1) | Q(rank=3))

    walked = items(keyset(queryset, "rank", "pk", page_size=1))

    assert [product.rank for product in walked] == [1, 1, 3, 3]


@pytest.mark.django_db
def test_a_row_that_a_join_repeats_is_visited_once():
    shelf, other = Shelf.objects.create(label="a"), Shelf.objects.create(label="b")
    stock(1, 2, 3, 4, 5, shelf=shelf)
    stock(1, shelf=other)

    assert items(keyset(Shelf.objects.filter(product__rank__gte=1), page_size=2)) == [shelf, other]


@pytest.mark.django_db
def test_a_related_manager_is_walked():
    shelf = Shelf.objects.create(label="a")
    stock(1, 2)
    products = stock(1, 2, 3, shelf=shelf)

    assert items(keyset(shelf.product_set, page_size=2)) == products


@pytest.mark.django_db
def test_the_total_is_the_count():
    stock(1, 2, 2)

    assert keyset(Product.objects.filter(rank=2)).total() == 2


@pytest.mark.django_db
def test_batches_of_a_queryset_resume_everywhere():
    stock(2, 1, 2, 1, 1)

    assert_resumes_everywhere(batches(keyset(Product.objects.all(), "rank", "pk", page_size=2), 3))


# --- queries


@pytest.mark.django_db
def test_a_page_is_one_query_and_a_page_not_full_is_the_last(django_assert_num_queries):
    stock(1, 2, 3, 4, 5)
    source = keyset(Product.objects.all(), "rank", "pk", page_size=2)

    with django_assert_num_queries(3):
        items(source)


@pytest.mark.django_db
def test_the_next_page_is_read_when_it_is_asked_for(django_assert_num_queries):
    stock(1, 2, 3)
    source = keyset(Product.objects.all(), page_size=2)

    with django_assert_num_queries(1):
        list(islice(source.after(None), 2))


@pytest.mark.django_db
def test_a_page_has_no_offset_and_a_bound_an_index_can_use():
    stock(1, 2, 3)
    source = keyset(Product.objects.all(), "-rank", "pk", page_size=2)

    with CaptureQueriesContext(connection) as queries:
        items(source)

    last = queries[-1]["sql"].replace('"', "").replace("`", "")
    assert "OFFSET" not in last
    assert "rank <= 2" in last


@pytest.mark.django_db
def test_related_rows_are_read_with_the_page(django_assert_num_queries):
    stock(1, 2, 3)
    source = keyset(Product.objects.select_related("shelf"))

    with django_assert_num_queries(1):
        assert all(product.shelf.label for product in items(source))


@pytest.mark.django_db
def test_prefetched_rows_are_read_once_per_page(django_assert_num_queries):
    stock(1, 2, 3)
    source = keyset(Product.objects.prefetch_related("shelf"), page_size=2)

    with django_assert_num_queries(4):
        assert all(product.shelf.label for product in items(source))


DEFERRING = {
    "only": lambda: Product.objects.only("name"),
    "defer": lambda: Product.objects.defer("rank"),
    "defer_more": lambda: Product.objects.defer("rank", "day"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("queryset", DEFERRING.values(), ids=DEFERRING)
def test_a_deferred_key_is_read_with_the_page(queryset, django_assert_num_queries):
    stock(1, 2, 3)
    source = keyset(queryset(), "rank", "pk")

    with django_assert_num_queries(1):
        items(source)


@pytest.mark.django_db
def test_what_is_deferred_beside_the_key_stays_deferred():
    stock(1)

    (product,) = items(keyset(Product.objects.defer("rank", "day"), "rank", "pk"))

    assert product.get_deferred_fields() == {"day"}


@pytest.mark.django_db
def test_only_keeps_its_fields_and_the_key():
    stock(1)

    (product,) = items(keyset(Product.objects.only("name"), "rank", "pk"))

    assert {"id", "name", "rank"}.isdisjoint(product.get_deferred_fields())
    assert {"day", "price"} <= product.get_deferred_fields()


def test_the_database_of_the_queryset_is_kept():
    with pytest.raises(ConnectionDoesNotExist, match="elsewhere"):
        items(keyset(Product.objects.using("elsewhere")))


# --- rows that are no instances

ROWS = {
    "values": lambda: Product.objects.values("pk", "rank", "name"),
    "values_by_column": lambda: Product.objects.values("id", "rank"),
    "values_of_all": lambda: Product.objects.values(),
    "values_and_more": lambda: Product.objects.values("id", "rank", loud=Upper("name")),
    "named": lambda: Product.objects.values_list("pk", "rank", named=True),
    "named_by_column": lambda: Product.objects.values_list("id", "rank", named=True),
}


@pytest.mark.django_db
@pytest.mark.parametrize("queryset", ROWS.values(), ids=ROWS)
def test_rows_that_contain_the_key_are_walked(queryset):
    stock(2, 1, 2, 1, 1)

    walked = items(keyset(queryset(), "-rank", "pk", page_size=2))

    assert walked == list(queryset().order_by("-rank", "pk"))


@pytest.mark.django_db
def test_annotated_rows_are_walked():
    stock(1, 2, 3)

    walked = items(keyset(Shelf.objects.annotate(products=Count("product")), "label", page_size=1))

    assert sorted(shelf.products for shelf in walked) == [1, 2]


@pytest.mark.parametrize(
    "queryset",
    [
        Product.objects.values("name"),
        Product.objects.values("id", other=F("rank")),
        Product.objects.values_list("name", "id", named=True),
        Product.objects.values_list("id", "rank"),
        Product.objects.values_list("id", flat=True),
    ],
    ids=["values", "renamed", "named", "plain", "flat"],
)
def test_rows_without_the_key_are_refused(queryset):
    call = r'Write keyset\(Product.objects.values\("rank", "id", …\), "rank", "id"\)'

    with pytest.raises(TypeError, match=f"must name the fields of the key, got .* {call}"):
        keyset(queryset, "rank", "pk")


# --- foreign keys


@pytest.fixture
def permissions():
    """Rows with a foreign key, whose related model and own Meta.ordering would order them otherwise."""
    types = [ContentType.objects.create(app_label="keys", model=model) for model in ("b", "a")]
    for codename in ("x", "y", "z"):
        for content_type in types:
            Permission.objects.create(name=codename, codename=codename, content_type=content_type)
    return Permission.objects.filter(content_type__app_label="keys")


@pytest.mark.django_db
@pytest.mark.parametrize("key", [["content_type", "pk"], ["-content_type_id", "-codename"]], ids="_".join)
def test_a_foreign_key_is_ordered_by_what_is_stored(key, permissions):
    source = keyset(permissions, *key, page_size=2)

    columns = [column.replace("type_id", "type").replace("type", "type_id") for column in key]
    assert items(source) == list(permissions.order_by(*columns))
    assert_resumes_everywhere(source)


@pytest.mark.django_db
def test_the_cursor_of_a_foreign_key_is_what_is_stored(permissions):
    source = keyset(permissions, "content_type", "codename")

    assert [cursor for _, cursor in source.after(None)] == [
        (row.content_type_id, row.codename) for row in items(source)
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("deferred", ["content_type", "content_type_id"])
def test_a_deferred_foreign_key_is_read_with_the_page(deferred, permissions, django_assert_num_queries):
    source = keyset(permissions.defer(deferred), "content_type", "pk")

    with django_assert_num_queries(1):
        items(source)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["content_type", "content_type_id"])
def test_rows_may_name_a_foreign_key_either_way(name, permissions):
    assert len(items(keyset(permissions.values(name, "pk"), "content_type", "pk", page_size=4))) == 6


# --- rows that come and go


@pytest.mark.django_db
def test_a_row_inserted_behind_the_cursor_is_not_visited():
    stock(2, 4)
    walk = keyset(Product.objects.all(), "rank", "pk", page_size=1).after(None)

    next(walk)
    stock(1)

    assert [product.rank for product, _ in walk] == [4]


@pytest.mark.django_db
def test_a_row_inserted_beyond_the_page_is_visited():
    stock(2, 4)
    walk = keyset(Product.objects.all(), "rank", "pk", page_size=1).after(None)

    next(walk)
    stock(3)

    assert [product.rank for product, _ in walk] == [3, 4]


@pytest.mark.django_db
def test_the_row_at_the_cursor_may_be_gone():
    stock(1, 1, 1, 2)
    source = keyset(Product.objects.all(), "rank", "pk")
    product, cursor = next(source.after(None))
    rest = items(source, cursor)

    product.delete()

    assert items(source, cursor) == rest


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), key=st.sampled_from(KEYS), page_size=st.integers(1, 4))
def test_whatever_comes_and_goes_no_other_row_is_skipped_or_repeated(data, key, page_size):
    Product.objects.all().delete()
    ranks = st.integers(0, 3)
    untouched = {product.pk for product in stock(*data.draw(st.lists(ranks, max_size=8)))}
    source = keyset(Product.objects.all(), *key, page_size=page_size)
    walk, visited = source.after(None), []

    while (pair := next(walk, None)) is not None and len(visited) < 20:
        visited.append(pair[0].pk)
        event = data.draw(st.sampled_from(["nothing", "resume", "insert", "delete"]))
        if event == "resume":
            walk = source.after(pair[1])
        elif event == "insert":
            stock(data.draw(ranks), first=100 + data.draw(st.integers(0, 9)) * 20 + len(visited))
        elif event == "delete" and (products := Product.objects.order_by("pk")):
            gone = data.draw(st.sampled_from(range(len(products))))
            untouched.discard(products[gone].pk)
            products[gone].delete()

    assert len(visited) == len(set(visited))
    assert pair is not None or untouched <= set(visited)


# --- what is refused, and what to write instead


@pytest.mark.parametrize(
    ("queryset", "message"),
    [
        (Product.objects.all()[:5], r'is sliced.* keyset\(Product.objects.filter\(…\), "rank", "pk"\)'),
        (Product.objects.distinct(), r'is distinct.* keyset\(Product.objects.all\(\), "rank", "pk"\)'),
        (Product.objects.union(Product.objects.all()), r"is a union .*Product.objects.filter\(Q\(…\) \| Q\(…\)\)"),
        (Product.objects.select_for_update(), r"locks its rows.* keyset\(Product.objects.all\(\)"),
        (
            Product.objects.order_by("-created", "?"),
            r'already ordered.* keyset\(Product.objects.order_by\(\), "-created", "pk"\)',
        ),
        (Product.objects.order_by(F("rank").desc()), r'keyset\(Product.objects.order_by\(\), "pk"\)'),
        (Product.objects.reverse(), "already ordered"),
        (Product.objects.extra(order_by=["rank"]), "already ordered"),
    ],
    ids=["sliced", "distinct", "union", "locked", "ordered", "expression", "reversed", "extra"],
)
def test_a_queryset_that_cannot_be_paged_is_refused(queryset, message):
    with pytest.raises(TypeError, match=f"Cannot walk this queryset of Product by key: it .*{message}"):
        keyset(queryset, "rank", "pk")


@pytest.mark.django_db
def test_an_order_taken_back_is_no_order():
    stock(1)

    assert len(items(keyset(Product.objects.order_by("rank").order_by()))) == 1


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            ["rnak", "pk"],
            r'Product has no field "rnak"; it has .*rank.* keyset\(Product.objects.all\(\), "rank", "pk"\)',
        ),
        (["colour"], r'no field "colour".* keyset\(Product.objects.all\(\), "pk"\)'),
        (["?"], r'no field "\?"'),
        (["shelf__label", "pk"], r'"shelf__label" leads on. .* keyset\(Product.objects.all\(\), "shelf_id", "pk"\)'),
        (["author__name", "pk"], r'"author__name" leads on. .* keyset\(Product.objects.all\(\), "pk"\)'),
        (["note", "pk"], r'"note" of Product is nullable.* keyset\(Product.objects.all\(\), "id"\)'),
        (
            ["-rank", "shelf", "pk"],
            r'"shelf_id" of Product is nullable.* keyset\(Product.objects.all\(\), "-rank", "id"\)',
        ),
        (["rank"], r'The key rank of Product is not unique.* keyset\(Product.objects.all\(\), "rank", "pk"\)'),
        (["-day", "rank"], r'The key -day, rank of Product is not unique.* "-day", "rank", "pk"\)'),
        (["pk", "-id"], r'names "id" of Product twice.* keyset\(Product.objects.all\(\), "id"\)'),
        ([F("rank"), "pk"], r"takes names of fields, got F\(rank\). Write keyset\(Product"),
    ],
    ids=str,
)
def test_fields_that_make_no_key_are_refused(key, message):
    with pytest.raises(TypeError, match=message):
        keyset(Product.objects.all(), *key)


@pytest.mark.parametrize("value", [Product, [1, 2], "products"])
def test_only_a_queryset_has_a_key(value):
    with pytest.raises(TypeError, match=r'expected a queryset, got .*Write keyset\(Order.objects.all\(\), "pk"\)'):
        keyset(value)


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (-5, ValueError), ("10", TypeError), (True, TypeError)])
def test_the_page_size_is_a_positive_int(size, error):
    with pytest.raises(error, match=r"page_size must be .*, got .*Write keyset\(queryset, page_size=1000\)"):
        keyset(Product.objects.all(), page_size=size)


@pytest.mark.parametrize(
    ("key", "cursor", "expected"),
    [
        (["pk"], "seven", "one value, id: "),
        (["pk"], "7", "one value, id: "),
        (["pk"], (7,), "one value, id: "),
        (["name", "pk"], "a", r"a tuple \(name: CharField, id: "),
        (["name", "pk"], ["a", 1], r"a tuple \(name: CharField, id: "),
        (["name", "pk"], ("a", 1, 2), r"a tuple \(name: CharField, id: "),
        (["name", "pk"], ("a", None), r"a tuple \(name: CharField, id: "),
        (["name", "pk"], (1, 1), r"a tuple \(name: CharField, id: "),
        (["-day", "pk"], ("2026-01-01", 1), r"a tuple \(day: DateField, id: "),
        (["code"], 7, "one value, code: UUIDField"),
    ],
    ids=str,
)
def test_a_cursor_that_does_not_fit_the_key_is_refused_before_the_walk(key, cursor, expected):
    with pytest.raises(TypeError, match=rf"Cursor .* is no place in keyset\(Product.*: expected {expected}"):
        keyset(Product.objects.all(), *key).after(cursor)


# --- what makes a key unique


@isolate_apps("tests.shop")
def test_a_unique_constraint_makes_a_key():
    class Seat(models.Model):
        row = models.IntegerField()
        number = models.IntegerField()

        class Meta:
            app_label = "shop"
            constraints = [models.UniqueConstraint(fields=["row", "number"], name="a")]

    assert keyset(Seat.objects.all(), "-number", "row")


@isolate_apps("tests.shop")
def test_unique_together_makes_a_key():
    class Seat(models.Model):
        row = models.IntegerField()
        number = models.IntegerField()

        class Meta:
            app_label = "shop"
            unique_together = [("row", "number")]

    assert keyset(Seat.objects.all(), "row", "number")


@isolate_apps("tests.shop")
def test_a_unique_constraint_with_a_condition_makes_no_key():
    class Seat(models.Model):
        row = models.IntegerField()
        number = models.IntegerField()

        class Meta:
            app_label = "shop"
            constraints = [models.UniqueConstraint(fields=["row", "number"], condition=Q(row__gt=1), name="a")]

    with pytest.raises(TypeError, match="not unique"):
        keyset(Seat.objects.all(), "row", "number")


@isolate_apps("tests.shop")
def test_part_of_a_unique_constraint_makes_no_key():
    class Seat(models.Model):
        row = models.IntegerField()
        number = models.IntegerField()

        class Meta:
            app_label = "shop"
            unique_together = [("row", "number")]

    with pytest.raises(TypeError, match="not unique"):
        keyset(Seat.objects.all(), "number")


@isolate_apps("tests.shop")
def test_a_composite_primary_key_is_a_key_of_several_fields():
    class Seat(models.Model):
        pk = models.CompositePrimaryKey("row", "number")
        row = models.IntegerField()
        number = models.IntegerField()

        class Meta:
            app_label = "shop"

    with pytest.raises(TypeError, match=r"expected a tuple \(row: IntegerField, number: IntegerField\)"):
        keyset(Seat.objects.all()).after(1)


@isolate_apps("tests.shop")
def test_the_primary_key_of_a_child_model_is_the_column_of_its_parent():
    class Place(models.Model):
        class Meta:
            app_label = "shop"

    class Bar(Place):
        class Meta:
            app_label = "shop"

    with pytest.raises(TypeError, match="expected one value, place_ptr_id: OneToOneField"):
        keyset(Bar.objects.all()).after("x")
