"""Loaded by pytest when the package is installed. Imports nothing of Django."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def memory_delivery(settings: Any) -> Iterator[None]:
    """Deliver nothing to Redis during this test; run jobs with `continuations.testing`."""
    given = getattr(settings, "CONTINUATIONS", {})
    settings.CONTINUATIONS = {**given, "DELIVERY": "continuations.testing.MemoryDelivery"}
    yield
    from continuations.stopping import probes

    probes.clear()
