"""`pages`: what is fetched with a token, and that an end is not a start."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from typing import Any

import pytest

from continuations import ContinuableJob, SerializationError, Step, codec
from continuations.sources import batches, pages
from continuations.testing import (
    assert_resumable,
    crash_during,
    interrupt_during,
    run_enqueued,
    run_until_finished,
)
from tests.shop.models import Applied

# Which tokens were fetched, in order.
fetched: list[Any] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    fetched.clear()


def book(*contents: Any):
    """A `fetch` that gives these pages; tokens are their numbers, as texts."""

    def fetch(token):
        fetched.append(token)
        number = 0 if token is None else int(token)
        return contents[number], str(number + 1) if number + 1 < len(contents) else None

    return fetch


# --- cursors


def test_a_page_comes_with_the_token_of_the_next_one_and_the_last_with_an_end():
    assert list(pages(book("a", "b", "c")).after(None)) == [("a", ("1",)), ("b", ("2",)), ("c", ())]


def test_the_first_call_gets_none_and_every_other_the_token_before():
    list(pages(book("a", "b", "c")).after(None))

    assert fetched == [None, "1", "2"]


def test_a_walk_resumes_at_its_token_without_fetching_what_was_done():
    assert list(pages(book("a", "b", "c")).after(("1",))) == [("b", ("2",)), ("c", ())]
    assert fetched == ["1", "2"]


def test_after_the_last_page_nothing_is_fetched_again():
    assert list(pages(book("a", "b")).after(())) == []
    assert fetched == []


def test_the_only_page_is_the_last():
    assert list(pages(book("a")).after(None)) == [("a", ())]


def test_a_page_is_fetched_only_when_it_is_asked_for():
    walk = pages(book("a", "b")).after(None)
    assert fetched == []

    next(walk)

    assert fetched == [None]


@pytest.mark.parametrize("page", [[], {}, None, "", 0], ids=repr)
def test_a_page_may_be_empty(page):
    assert [each for each, _ in pages(book(page, "b")).after(None)] == [page, "b"]


@pytest.mark.parametrize(
    "token",
    [0, False, "x", (), (1, "a"), [], {"after": 5}, uuid.UUID(int=5), dt.date(2026, 1, 1)],
    ids=repr,
)
def test_any_value_but_none_is_a_token_also_one_that_looks_like_a_cursor(token):
    source = pages(lambda given: ("first", token) if given is None else ("second", None))
    (_, cursor), (_, end) = source.after(None)

    assert cursor != end
    assert list(source.after(codec.decode(codec.encode(cursor)))) == [("second", ())]
    assert list(source.after(codec.decode(codec.encode(end)))) == []


@pytest.mark.parametrize("cursor", ["1", 1, ["1"], ("1", "2"), {"next": "1"}, False], ids=repr)
def test_a_cursor_of_another_shape_is_refused_before_the_walk(cursor):
    with pytest.raises(
        TypeError, match=r"Cursor .* is no place in pages\(fetch\): expected \(token,\), \(\) after the"
    ):
        pages(book("a")).after(cursor)


def test_the_total_is_unknown():
    assert pages(book("a")).total() is None


def test_batches_of_pages_resume_after_the_last_page_of_a_batch():
    source = batches(pages(book("a", "b", "c")), 2)

    assert list(source.after(None)) == [(["a", "b"], ("2",)), (["c"], ())]
    assert list(source.after(("2",))) == [(["c"], ())]


# --- what fetch may be


def test_fetch_may_be_a_coroutine_function():
    async def fetch(token):
        return token, None if token else "next"

    assert [page for page, _ in pages(fetch).after(None)] == [None, "next"]


@pytest.mark.parametrize(
    ("value", "got"),
    [([1], r"\[1\]"), (None, "None"), ("https://example.org", "'https://example.org'"), (dict, "<class 'dict'>")],
)
def test_what_cannot_fetch_is_refused_with_an_example(value, got):
    with pytest.raises(TypeError, match=rf"got {got}\. Write pages\(fetch\), .* ends with: return answer\["):
        pages(value)


@pytest.mark.parametrize("answer", [None, ["a", "b"], ("a",), ("a", "b", "c"), "ab"], ids=repr)
def test_an_answer_that_is_no_pair_is_an_error_with_an_example(answer):
    def contacts(token):
        return answer

    with pytest.raises(TypeError, match=r"contacts\(None\) must return a page and the next token, .* Write: return"):
        list(pages(contacts).after(None))


@pytest.mark.parametrize("token", ["", "5"])
def test_a_token_that_leads_back_is_an_error_and_no_endless_walk(token):
    """An API that says "" after its last page would be asked for the first one again."""
    walk = pages(lambda given: ("page", token)).after(("5",))

    with pytest.raises(
        ValueError, match=r"gave '5?' as the next token, which leads back: .* Return None with the last"
    ):
        next(walk)


# --- in a job


class Sync(ContinuableJob):
    """Two steps, since only what follows shows that the first is not begun again."""

    checkpoint_interval = 0

    def perform(self) -> None:
        self.step(self.pull)
        self.step("last", lambda: None)

    def pull(self, step: Step) -> None:
        for page in step.iterate(pages(book("a", "b", "c"))):
            Applied.objects.create(item=page)


def applied() -> list[str]:
    return list(Applied.objects.order_by("pk").values_list("item", flat=True))


@pytest.mark.django_db
@pytest.mark.parametrize("cursor", [("1",), ("2",), ()])
def test_a_job_goes_on_with_the_page_after_those_worked_on(cursor):
    with interrupt_during(Sync, "pull", cursor):
        continuation = run_until_finished(Sync.enqueue())

    assert continuation.executions == 2
    assert applied() == ["a", "b", "c"]
    assert fetched == [None, "1", "2"]


@pytest.mark.django_db
@pytest.mark.parametrize("cursor", [("1",), ("2",), ()])
def test_a_crash_after_a_page_repeats_that_page_at_most(cursor):
    with crash_during(Sync, "pull", cursor):
        continuation = Sync.enqueue()
        run_enqueued()
    run_until_finished(continuation)

    assert sorted(set(applied())) == ["a", "b", "c"]
    assert len(applied()) <= 4


class SyncExactly(Sync):
    def pull(self, step: Step) -> None:
        for page in step.iterate(pages(book("a", "b", "c"))):
            with step.atomic():
                Applied.objects.create(item=page)


@pytest.mark.django_db
def test_a_job_that_crashed_right_after_the_last_page_does_not_start_again():
    with crash_during(SyncExactly, "pull", ()):
        continuation = SyncExactly.enqueue()
        run_enqueued()
    assert continuation.steps.get().cursor == ()
    fetched.clear()

    run_until_finished(continuation)

    assert fetched == []
    assert applied() == ["a", "b", "c"]


@pytest.mark.django_db
def test_pages_can_be_stopped_anywhere():
    assert_resumable(SyncExactly, effects=applied, reset=Applied.objects.all().delete)


@pytest.mark.django_db
def test_progress_counts_pages():
    record = run_until_finished(Sync.enqueue()).steps.get(name="pull")

    assert (record.processed, record.total) == (3, None)


class UnstorableToken(ContinuableJob):
    def perform(self) -> None:
        self.step(self.pull)

    def pull(self, step: Step) -> None:
        for _ in step.iterate(pages(lambda token: ("page", object()))):
            pass


@pytest.mark.django_db
def test_a_token_that_cannot_be_stored_is_named_with_the_step():
    UnstorableToken.enqueue()

    with pytest.raises(SerializationError, match="cursor of step 'pull'"):
        run_enqueued()


class SyncAsync(ContinuableJob):
    """The page is fetched in the loop of the step, where a client may keep its connections."""

    def perform(self) -> None:
        self.step(self.pull)

    async def pull(self, step: Step) -> None:
        loops = {asyncio.get_running_loop()}

        async def fetch(token: str | None) -> tuple[str, str | None]:
            loops.add(asyncio.get_running_loop())
            return token or "0", {None: "1", "1": "2"}.get(token)

        async for page in step.iterate(pages(fetch)):
            async with step.atomic():
                await Applied.objects.acreate(item=page)
        assert len(loops) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("cursor", [("1",), ("2",), ()])
def test_a_coroutine_walks_pages_that_a_coroutine_fetches(cursor):
    with interrupt_during(SyncAsync, "pull", cursor):
        continuation = run_until_finished(SyncAsync.enqueue())

    assert continuation.executions == 2
    assert applied() == ["0", "1", "2"]
