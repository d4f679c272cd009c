"""`nested`: a source within each item of another, and that the place in both is kept."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuations import ContinuableJob, Step, attribute, codec
from continuations.sources import GAP, batches, nested, pages
from continuations.testing import assert_resumable, interrupt_during, run_enqueued, run_until_finished
from tests.shop.models import Applied, Product, Shelf


class Keyed:
    """A source in the order of its keys, as a queryset is: what is behind the cursor does not matter."""

    def __init__(self, items: dict[Any, Any]) -> None:
        self.items = items

    def after(self, cursor: Any) -> Iterator[tuple[Any, Any]]:
        while rest := sorted(key for key in self.items if cursor is None or key > cursor):
            cursor = rest[0]
            yield self.items[cursor], cursor


def items(source: Any, cursor: Any = None) -> list[Any]:
    return [item for item, _ in source.after(cursor) if item is not GAP]


def assert_resumes_everywhere(source: Any) -> None:
    whole = list(source.after(None))
    for done, (_, cursor) in enumerate(whole, start=1):
        stored = codec.decode(codec.encode(cursor))
        assert items(source, stored) == [item for item, _ in whole[done:] if item is not GAP]


LETTERS = {"a": [1, 2], "b": [], "c": [3], "d": []}


def by_letter() -> Any:
    return nested(sorted(LETTERS), lambda letter: LETTERS[letter])


# --- items and cursors


def test_items_are_pairs_of_outer_and_inner():
    assert items(by_letter()) == [("a", 1), ("a", 2), ("c", 3)]


def test_the_cursor_keeps_the_place_before_the_outer_item_and_the_one_in_it():
    assert list(by_letter().after(None)) == [
        (("a", 1), (None, (1, 1))),
        (("a", 2), (None, (1, 2))),
        (GAP, (2,)),
        (("c", 3), (2, (3, 1))),
        (GAP, (4,)),
    ]


def test_a_walk_resumes_everywhere():
    assert_resumes_everywhere(by_letter())


def test_an_end_of_empty_inners_is_an_end():
    assert list(by_letter().after((4,))) == []


@pytest.mark.parametrize("source", [nested([], lambda item: [1]), nested([1, 2], lambda item: [])])
def test_nothing_in_or_within_gives_no_item(source):
    assert items(source) == []


def test_the_inner_source_is_made_once_for_each_outer_item():
    made = []

    list(nested([1, 2, 3], lambda number: made.append(number) or range(number)).after(None))

    assert made == [1, 2, 3]


def test_only_the_items_asked_for_are_made():
    made = []
    walk = nested([1, 2], lambda number: (made.append((number, each)) or each for each in range(9))).after(None)

    list(islice(walk, 2))

    assert made == [(1, 0), (1, 1)]


def test_resuming_makes_no_inner_source_of_what_was_done():
    made = []
    source = nested([1, 2, 3], lambda number: made.append(number) or [number])
    cursor = list(source.after(None))[1][1]
    made.clear()

    assert items(source, cursor) == [(3, 3)]
    assert made == [2, 3]


@pytest.mark.parametrize("cursor", [1, "a", [], (), (1, 2), (None, (1,)), (None, [1, 2]), {"a": 1}], ids=repr)
def test_a_cursor_of_another_shape_is_refused_before_the_walk(cursor):
    with pytest.raises(TypeError, match=r"Cursor .* is no place in a nested\(\): expected \(before, \(item, inner\)\)"):
        by_letter().after(cursor)


# --- more levels

TREE = {"a": {"x": [1, 2], "y": []}, "b": {}, "c": {"z": [3], "w": [4, 5]}}


def outside_in() -> Any:
    return nested(nested(list(TREE), lambda one: list(TREE[one])), lambda pair: TREE[pair[0]][pair[1]])


def inside_out() -> Any:
    return nested(list(TREE), lambda one: nested(list(TREE[one]), lambda two: TREE[one][two]))


def test_nested_as_the_outer_gives_pairs_of_a_pair_and_an_item():
    assert items(outside_in()) == [
        (("a", "x"), 1),
        (("a", "x"), 2),
        (("c", "z"), 3),
        (("c", "w"), 4),
        (("c", "w"), 5),
    ]


def test_nested_as_the_inner_gives_pairs_of_an_item_and_a_pair():
    assert items(inside_out()) == [(one, (two, item)) for (one, two), item in items(outside_in())]


@pytest.mark.parametrize("source", [outside_in, inside_out])
def test_three_levels_resume_everywhere(source):
    assert_resumes_everywhere(source())


def test_four_levels_resume_everywhere():
    assert_resumes_everywhere(nested(outside_in(), lambda pair: nested(range(pair[1]), lambda number: range(number))))


# --- in batches, and batches in it


def test_batches_of_pairs_span_outer_items():
    assert items(batches(by_letter(), 2)) == [[("a", 1), ("a", 2)], [("c", 3)]]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("source", [by_letter, outside_in, inside_out])
def test_batches_of_pairs_resume_everywhere(source, size):
    assert_resumes_everywhere(batches(source(), size))


def test_the_last_batch_ends_behind_what_is_empty_after_it():
    assert [cursor for _, cursor in batches(nested([2, 1, 0, 0], range), 2).after(None)] == [(None, (1, 2)), (4,)]


def test_batches_may_be_what_is_inside():
    source = nested([3, 1], lambda number: batches(range(number), 2))

    assert items(source) == [(3, [0, 1]), (3, [2]), (1, [0])]
    assert_resumes_everywhere(source)


def test_pages_may_be_what_is_inside_and_have_an_end_there():
    def contacts_of(account):
        return pages(lambda token: ([account, token], None if token else "next"))

    source = nested(["ada", "bob"], contacts_of)

    assert [inner for _, inner in items(source)] == [["ada", None], ["ada", "next"], ["bob", None], ["bob", "next"]]
    assert_resumes_everywhere(source)


# --- progress


def test_progress_counts_pairs():
    source = by_letter()

    assert [source.size(pair) for pair, _ in source.after(None) if pair is not GAP] == [1, 1, 1]


def test_progress_counts_what_batches_inside_hold():
    source = nested([3, 1], lambda number: batches(range(number), 2))

    assert [source.size(pair) for pair, _ in source.after(None)] == [2, 1, 1]


def test_progress_of_batches_of_pairs_of_batches_counts_the_items_at_the_bottom():
    source = batches(nested([3, 1, 2], lambda number: batches(range(number), 2)), 2)

    assert [source.size(pairs) for pairs, _ in source.after(None)] == [3, 3]


def test_progress_of_a_third_level_counts_its_items():
    source = nested([1, 2], lambda one: nested([3, 1], lambda two: batches(range(two), 2)))

    assert [source.size(pair) for pair, _ in source.after(None)] == [2, 1, 1] * 2


def test_the_total_is_unknown():
    assert by_letter().total() is None


# --- outer items that come and go


def walked_to(source: Any, item: Any) -> Any:
    return next(cursor for each, cursor in source.after(None) if each == item)


def test_an_outer_item_that_vanished_gives_way_to_the_next_from_its_start():
    """The place within an item is nobody else's."""
    outer = {1: "one", 2: "two", 3: "three"}
    source = nested(Keyed(outer), lambda name: list(name))
    cursor = walked_to(source, ("two", "w"))

    del outer[2]

    assert items(source, cursor) == [("three", letter) for letter in "three"]


def test_an_outer_item_that_comes_in_before_the_one_in_hand_does_not_get_its_place():
    outer = {1: "one", 5: "five"}
    source = nested(Keyed(outer), lambda name: list(name))
    cursor = walked_to(source, ("five", "i"))

    outer[3] = "three"

    assert items(source, cursor) == [("three", letter) for letter in "three"] + [("five", "v"), ("five", "e")]


def test_the_place_in_an_outer_item_is_kept_while_others_come_before_it():
    outer = {1: "one", 5: "five"}
    source = nested(Keyed(outer), lambda name: list(name))
    cursor = walked_to(source, ("five", "i"))
    outer[3] = "three"

    *_, (_, cursor) = islice(source.after(cursor), 2)

    assert cursor == (1, (3, 2), (5, 2))
    assert items(source, cursor) == [("three", letter) for letter in "ree"] + [("five", "v"), ("five", "e")]


def test_an_outer_item_that_vanished_at_the_end_ends_the_walk():
    outer = {1: "one", 2: "two"}
    source = nested(Keyed(outer), lambda name: list(name))
    cursor = walked_to(source, ("two", "t"))

    del outer[2]

    assert items(source, cursor) == []


class World:
    """Rows in three levels, in the order of their keys, which come and go. No key is ever used again."""

    def __init__(self) -> None:
        self.rows: set[tuple[float, float, float]] = set()
        # There may be nothing in it.
        self.empty: set[tuple[float, ...]] = set()

    def within(self, *path: float) -> Keyed:
        """What is right inside the item at this path, by key."""
        depth = len(path)
        inside = {row[: depth + 1] for row in (*self.rows, *self.empty) if len(row) > depth and row[:depth] == path}
        return Keyed({row[depth]: row[depth] for row in inside})


class Live(Keyed):
    """Looks into the world whenever it is asked for the next item."""

    def __init__(self, world: World, *path: float) -> None:
        self.world, self.path = world, path

    @property
    def items(self) -> dict[Any, Any]:  # type: ignore[override]
        return self.world.within(*self.path).items


def outer_first(world: World) -> Any:
    pairs = nested(Live(world), lambda one: Live(world, one))
    return nested(pairs, lambda pair: Live(world, *pair))


def inner_first(world: World) -> Any:
    return nested(Live(world), lambda one: nested(Live(world, one), lambda two: Live(world, one, two)))


def flat(item: Any) -> tuple[float, ...]:
    return tuple(each for part in item for each in (flat(part) if isinstance(part, tuple) else (part,)))


@pytest.mark.parametrize("make", [outer_first, inner_first])
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_whatever_comes_and_goes_no_other_item_is_skipped_or_repeated(make, data):
    """Every cursor is stored and read."""
    keys = st.integers(0, 3)
    world = World()
    world.rows = set(data.draw(st.sets(st.tuples(keys, keys, keys), max_size=10)))
    world.empty = set(data.draw(st.sets(st.tuples(keys, keys), max_size=3)))
    untouched = set(world.rows)
    source = make(world)
    walk, visited, number = source.after(None), [], 0.0

    while (pair := next(walk, None)) is not None and len(visited) < 40:
        if pair[0] is not GAP:
            visited.append(flat(pair[0]))
        cursor = codec.decode(codec.encode(pair[1]))
        event = data.draw(st.sampled_from(["nothing", "resume", "resume", "insert", "delete"]))
        depth = data.draw(st.integers(0, 2))
        if event == "resume":
            walk = source.after(cursor)
        elif event == "insert":
            number += 0.01
            near = data.draw(st.sampled_from(sorted(world.rows or {(0, 0, 0)})))
            world.rows.add((*near[:depth], data.draw(keys) + number, *near[depth + 1 :]))
        elif event == "delete" and world.rows:
            gone = data.draw(st.sampled_from(sorted(world.rows)))[: depth + 1]
            world.rows = {row for row in world.rows if row[: depth + 1] != gone}
            world.empty = {row for row in world.empty if row[: depth + 1] != gone}
            untouched &= world.rows

    assert len(visited) == len(set(visited))
    assert pair is not None or untouched <= set(visited)


# --- what is refused


@pytest.mark.parametrize("inner", [None, [1, 2], Product.objects.none(), "products"], ids=lambda each: repr(each)[:20])
def test_an_inner_that_is_no_function_is_refused_with_an_example(inner):
    with pytest.raises(
        TypeError, match=r"nested\(\) takes a function .* Write nested\(Account.objects.all\(\), lambda acc"
    ):
        nested([1], inner)


def test_an_outer_that_cannot_be_walked_is_refused_at_once():
    with pytest.raises(TypeError, match="did you mean csv_rows"):
        nested("accounts.csv", lambda row: [1])


@pytest.mark.parametrize(("found", "got"), [(None, "None"), ("abc", "'abc'"), ({1}, r"the set \{1\}"), (5, "5")])
def test_an_inner_that_gives_nothing_to_walk_names_the_outer_item(found, got):
    source = nested(["ada"], lambda name: found)

    with pytest.raises(
        TypeError, match=rf"What nested\(\) finds inside 'ada' cannot be walked: .*got {got}.* Or: nested\("
    ):
        next(source.after(None))


# --- in a job


class Shelves(ContinuableJob):
    """Querysets in querysets, exactly once."""

    checkpoint_interval = 0

    def perform(self) -> None:
        self.step(self.walk)

    def walk(self, step: Step) -> None:
        shelves = nested(Shelf.objects.all(), lambda shelf: shelf.product_set.all())
        for shelf, product in step.iterate(shelves):
            with step.atomic():
                Applied.objects.create(item=f"{shelf.label} {product.name}")


def stock(**shelves: str) -> None:
    for label, names in shelves.items():
        shelf = Shelf.objects.create(label=label)
        for name in names:
            Product.objects.create(name=name, shelf=shelf)


def applied() -> list[str]:
    return list(Applied.objects.order_by("pk").values_list("item", flat=True))


@pytest.mark.django_db
def test_querysets_in_querysets_can_be_stopped_anywhere():
    stock(high="ab", empty="", low="c", bare="", floor="de")

    assert_resumable(Shelves, effects=applied, reset=Applied.objects.all().delete)
    assert applied() == ["high a", "high b", "low c", "floor d", "floor e"]


@pytest.mark.django_db
def test_a_job_whose_outer_row_was_deleted_goes_on_with_the_next():
    stock(high="ab", low="cd", floor="ef")
    low = Shelf.objects.get(label="low")
    (first, _), high = low.product_set.order_by("pk"), Shelf.objects.get(label="high")
    with interrupt_during(Shelves, "walk", (high.pk, (low.pk, first.pk))):
        continuation = Shelves.enqueue()
        run_enqueued()
    low.delete()

    run_until_finished(continuation)

    assert applied() == ["high a", "high b", "low c", "floor e", "floor f"]


@pytest.mark.django_db
def test_a_stretch_of_empty_outer_items_can_be_stopped_and_is_not_walked_again():
    """Or a job that takes longer for them than a worker lives would never come past."""
    stock(one="a", two="", three="", four="", five="b")
    second = list(Shelf.objects.order_by("pk").values_list("pk", flat=True))[2]
    with interrupt_during(Shelves, "walk", (second,)):
        continuation = Shelves.enqueue()
        run_enqueued()
    assert continuation.steps.get().cursor == (second,)
    Product.objects.create(name="late", shelf_id=second)

    run_until_finished(continuation)

    assert applied() == ["one a", "five b"]


@pytest.mark.django_db
def test_empty_outer_items_do_not_count():
    stock(one="a", two="", five="bc")

    record = run_until_finished(Shelves.enqueue()).steps.get()

    assert (record.processed, record.total) == (3, None)


class WithTotal(Shelves):
    def walk(self, step: Step) -> None:
        step.progress(total=Product.objects.count())
        super().walk(step)


@pytest.mark.django_db
def test_a_total_that_the_job_sets_is_kept():
    stock(one="a", five="bc")

    record = run_until_finished(WithTotal.enqueue()).steps.get()

    assert (record.processed, record.total) == (3, 3)


# --- gaps in a source of one's own


class Odd:
    """The odd numbers below ten; where there is none, a gap."""

    def after(self, cursor: int | None) -> Iterator[tuple[Any, int]]:
        for number in range(0 if cursor is None else cursor + 1, 10):
            yield (number if number % 2 else GAP), number


class Numbers(ContinuableJob):
    seen = attribute(default=list[int])

    def perform(self) -> list[int]:
        return self.step(self.walk)

    def walk(self, step: Step) -> list[int]:
        for number in step.iterate(Odd()):
            self.seen.append(number)
        return self.seen


@pytest.mark.django_db
@pytest.mark.parametrize("cursor", range(10))
def test_a_job_may_stop_at_a_gap_as_at_an_item_and_never_sees_it(cursor):
    with interrupt_during(Numbers, "walk", cursor):
        continuation = run_until_finished(Numbers.enqueue())

    assert continuation.executions == 2
    assert continuation.result == [1, 3, 5, 7, 9]
    assert continuation.steps.get().processed == 5


class NumbersAsync(Numbers):
    async def walk(self, step: Step) -> list[int]:  # type: ignore[override]
        async for number in step.iterate(Odd()):
            self.seen.append(number)
        return self.seen


@pytest.mark.django_db
@pytest.mark.parametrize("cursor", [0, 1, 8, 9])
def test_a_coroutine_may_stop_at_a_gap_too(cursor):
    with interrupt_during(NumbersAsync, "walk", cursor):
        continuation = run_until_finished(NumbersAsync.enqueue())

    assert continuation.result == [1, 3, 5, 7, 9]


def test_a_gap_does_not_end_a_batch():
    assert list(batches(Odd(), 2).after(4)) == [([5, 7], 7), (GAP, 8), ([9], 9)]


def test_a_gap_says_what_it_is():
    assert repr(GAP) == "GAP"
