"""This package, with a long history in its tables."""

from __future__ import annotations

import time

from .process import serve, set_up_django

set_up_django()

from django.contrib.auth.models import User  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import reverse  # noqa: E402

from benchmarks import history, jobs  # noqa: E402
from continuations.models import Continuation  # noqa: E402
from continuations.transitions import Status  # noqa: E402

LIST = "admin:continuations_continuation_changelist"
DETAIL = "admin:continuations_continuation_change"


def grow(n: int) -> float:
    """Seconds in which the history has become `n` continuations."""
    began = time.perf_counter()
    history.grow(n)
    return time.perf_counter() - began


def beat(n: int) -> float:
    """Microseconds for a movement of a cursor that is durable."""
    jobs.Beat.perform_now(n)
    return jobs.taken[-1] / n * 1e6


def look() -> float:
    """Milliseconds for a look of recovery that finds nothing lost."""
    began = time.perf_counter()
    recovered = Continuation.objects.recover()
    assert recovered == []
    return (time.perf_counter() - began) * 1e3


def list_page() -> float:
    """Milliseconds for the first page of the admin's list."""
    return _get(reverse(LIST))


def detail_page() -> float:
    """Milliseconds for one continuation in the admin."""
    row = Continuation.objects.filter(status=Status.SUCCEEDED, job_path=history.JOBS[0]).latest("created_at")
    return _get(reverse(DETAIL, args=[row.pk]))


def _get(path: str) -> float:
    client = Client()
    user, _ = User.objects.get_or_create(username="admin", is_staff=True, is_superuser=True)
    client.force_login(user)
    client.get(path)
    began = time.perf_counter()
    response = client.get(path)
    taken = time.perf_counter() - began
    assert response.status_code == 200, response.status_code
    return taken * 1e3


if __name__ == "__main__":
    serve(grow, beat, look, list_page, detail_page)
