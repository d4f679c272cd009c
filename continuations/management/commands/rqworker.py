"""django-rq's `rqworker`, with a worker that knows of continuations unless another is chosen."""

from __future__ import annotations

from typing import Any

from django_rq.management.commands import rqworker

from continuations.defaults import worker_class


class Command(rqworker.Command):
    """Found before django-rq's when `continuations` stands before `django_rq` in INSTALLED_APPS."""

    def handle(self, *args: Any, **options: Any) -> None:
        options["worker_class"] = options["worker_class"] or worker_class()
        super().handle(*args, **options)  # type: ignore[no-untyped-call]
