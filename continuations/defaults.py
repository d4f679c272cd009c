"""Which worker class `manage.py rqworker` takes."""

from __future__ import annotations

from django.conf import settings

CONTINUABLE_WORKER = "continuations.worker.ContinuableWorker"


def worker_class() -> str | None:
    """Ours, unless the project names one: `RQ["WORKER_CLASS"]` wins, and so does `--worker-class`."""
    named = getattr(settings, "RQ", {}).get("WORKER_CLASS")
    return None if named else CONTINUABLE_WORKER
