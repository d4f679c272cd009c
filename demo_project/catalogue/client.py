"""The other side of the API: asks for a page, and says what went wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

if TYPE_CHECKING:
    from .upstream import Item

# Seconds that an answer may take.
PATIENCE = 10.0
# The API is on this machine, where no proxy leads.
_opener = build_opener(ProxyHandler({}))


class UnavailableError(Exception):
    """The API did not answer, or said that it cannot just now. It may later."""


class RefusedError(Exception):
    """The API says that the request was wrong. It will say so again."""


def fetch(address: str, token: str | None) -> tuple[list[Item], str | None]:
    """The products of the page of `token` (None: the first), and the token of the next page (None: there is none).

    Raises `UnavailableError` when trying again may help, and `RefusedError` when it will not.
    """
    try:
        with _opener.open(f"{address}?{urlencode({'token': token or ''})}", timeout=PATIENCE) as response:
            answer = json.load(response)
    except HTTPError as error:
        with error:
            kind = UnavailableError if error.code >= 500 else RefusedError
            raise kind(f"The API answered {error.code} {error.reason}.") from error
    except (URLError, TimeoutError, ConnectionError) as error:
        raise UnavailableError(f"The API does not answer: {error}") from error
    return answer["products"], answer["next"]
