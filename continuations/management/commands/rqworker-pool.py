# ruff: noqa: N999 - the command is called so
"""django-rq's `rqworker-pool`, with a worker that knows of continuations unless another is chosen."""

from __future__ import annotations

import importlib
from typing import Any

from continuations.defaults import worker_class

pool: Any = importlib.import_module("django_rq.management.commands.rqworker-pool")


class Command(pool.Command):  # type: ignore[misc]
    """Found before django-rq's when `continuations` stands before `django_rq` in INSTALLED_APPS."""

    def handle(self, *args: Any, **options: Any) -> None:
        options["worker_class"] = options.get("worker_class") or worker_class()
        super().handle(*args, **options)
