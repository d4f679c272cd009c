"""The catalogue as its owner has it: pages of products, each with the token of the next."""

from __future__ import annotations

from typing import TypedDict

from django.core.signing import BadSignature, Signer

PAGE_SIZE = 20
PREFIX = "P-"
KINDS = ("chair", "table", "lamp", "shelf", "rug", "desk", "stool")
COLOURS = ("red", "blue", "green", "white", "black")

# Tokens say nothing to those who are given them, and none can be made up.
_signer = Signer(salt="demo_project.catalogue")


class Item(TypedDict):
    """A product as the API gives it."""

    sku: str
    name: str
    price: int


class WrongTokenError(ValueError):
    """A token that was never given out."""


def page(token: str, *, pages: int) -> tuple[list[Item], str | None]:
    """The page of `token`, which is empty for the first of `pages`, and the token of the next one."""
    number = _number(token)
    if not 1 <= number <= pages:
        raise WrongTokenError(f"{token!r} leads nowhere.")
    first = (number - 1) * PAGE_SIZE
    following = _signer.sign(str(number + 1)) if number < pages else None
    return [_item(each) for each in range(first, first + PAGE_SIZE)], following


def items_up_to(sku: str | None) -> int:
    """How many products the catalogue has up to this one, in the order of its pages."""
    return int(sku.removeprefix(PREFIX)) + 1 if sku else 0


def _number(token: str) -> int:
    try:
        return int(_signer.unsign(token)) if token else 1
    except BadSignature as error:
        raise WrongTokenError(f"{token!r} is no token.") from error


def _item(number: int) -> Item:
    kind, colour = KINDS[number % len(KINDS)], COLOURS[number // len(KINDS) % len(COLOURS)]
    return {"sku": f"{PREFIX}{number:05}", "name": f"{colour} {kind} no. {number}", "price": 995 + number * 37 % 9_000}
