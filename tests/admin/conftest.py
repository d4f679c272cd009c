from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .jobs import Broken, FollowsUp


@pytest.fixture
def mend() -> Iterator[Callable[[], None]]:
    """From when it is called, what was broken works in this test."""

    def mend() -> None:
        Broken.mended = FollowsUp.mended = True

    yield mend
    Broken.mended = FollowsUp.mended = False
