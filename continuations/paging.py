"""Pages of something that is fetched with a token, such as the lists of a web API."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from inspect import iscoroutine
from reprlib import repr as abridged
from typing import Any, Generic, TypeVar, overload

from .coroutines import run

T = TypeVar("T")

_EXAMPLE = 'return answer["items"], answer["next"] or None'


@overload
def pages(fetch: Callable[[Any], Coroutine[Any, Any, tuple[T, Any]]]) -> Pages[T]: ...
@overload
def pages(fetch: Callable[[Any], tuple[T, Any]]) -> Pages[T]: ...
def pages(fetch: Callable[[Any], Any]) -> Pages[Any]:
    """The pages that `fetch` gives, each with the token of the next one.

        def fetch(token: str | None) -> tuple[list[Contact], str | None]:
            answer = client.contacts(page_token=token)
            return answer.contacts, answer.next_page_token or None

        for contacts in step.iterate(pages(fetch)):
            with step.atomic():
                Contact.objects.bulk_create(contacts)

    `fetch(token)` returns `(page, next_token)`. It is given None for the first page, and returns None as the next token
    with the last one. A page is whatever it says, an empty one too; a token is any value that can be stored. `fetch`
    may be a coroutine function.

    The cursor is None at the start, `(token,)` when the page of that token comes next, and `()` after the last page,
    so that a walk that has ended does not start again. It moves once a page has been worked on: after an interruption
    or a crash, the page in hand is fetched again. Progress counts pages; there is no `total`.

    Raises `TypeError` for what cannot be called; and while walking `TypeError` for another answer than a pair, and
    `ValueError` for a next token that would lead back: an empty string, or the token of the same page.
    """
    if not callable(fetch) or isinstance(fetch, type):
        raise TypeError(
            f"pages() takes a function that fetches one page, got {abridged(fetch)}. Write pages(fetch), where "
            f"fetch(token) ends with: {_EXAMPLE}"
        )
    return Pages(fetch)


class Pages(Generic[T]):
    """What `pages()` returns."""

    def __init__(self, fetch: Callable[[Any], Any]) -> None:
        self._name = getattr(fetch, "__name__", "fetch")
        self._fetch = fetch

    def after(self, cursor: Any, /) -> Iterator[tuple[T, tuple[Any, ...]]]:
        if cursor is not None and not (isinstance(cursor, tuple) and len(cursor) < 2):
            raise TypeError(
                f"Cursor {cursor!r} is no place in pages({self._name}): expected (token,), () after the last page, or "
                "None for the start."
            )
        return self._pages((None,) if cursor is None else cursor)

    def total(self) -> None:
        return None

    def _pages(self, cursor: tuple[Any, ...]) -> Iterator[tuple[T, tuple[Any, ...]]]:
        while cursor:
            token = cursor[0]
            page, following = self._answer(token)
            cursor = () if following is None else (following,)
            yield page, cursor

    def _answer(self, token: Any) -> tuple[T, Any]:
        answer = self._fetch(token)
        if iscoroutine(answer):
            answer = run(answer)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise TypeError(
                f"{self._name}({token!r}) must return a page and the next token, got {abridged(answer)}. "
                f"Write: {_EXAMPLE}"
            )
        page, following = answer
        if following is not None and following in ("", token):
            raise ValueError(
                f"{self._name}({token!r}) gave {following!r} as the next token, which leads back: there would be no "
                f"end. Return None with the last page: {_EXAMPLE}"
            )
        return page, following
