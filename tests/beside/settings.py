"""Settings of the tests, and what the page adds to them."""

from typing import Any

from tests.beside.page import SETTINGS
from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, REDIS_URL, RQ_QUEUES

_shown: dict[str, Any] = {}
exec(SETTINGS, _shown)
INSTALLED_APPS = [*INSTALLED_APPS, *(name for name in _shown["INSTALLED_APPS"] if name not in INSTALLED_APPS)]
RQ_QUEUES = {**RQ_QUEUES, **{name: {**queue, "URL": REDIS_URL} for name, queue in _shown["RQ_QUEUES"].items()}}
TASKS = _shown["TASKS"]
CONTINUATIONS: dict[str, Any] = {}
