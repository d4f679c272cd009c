"""System checks that look at settings and classes only. Those that ask servers are in `deployment`.

Their ids are public: silence one with `SILENCED_SYSTEM_CHECKS`. docs/checks.md is made from the docstrings here, of
which each paragraph that begins with an id is an entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from django_rq.settings import get_queues_map
from rq import Queue
from rq.exceptions import TimeoutFormatError
from rq.job import Job
from rq.utils import parse_timeout

from .conf import database, settings, unknown_keys, wrong_values
from .delivery import Delivery
from .loading import runnable
from .stopping import MARGIN, MARGIN_LIMIT

# Seconds: in a shorter time-out the margin before it is cut short.
ROOMY_TIMEOUT = MARGIN / MARGIN_LIMIT


def check_settings(**_: Any) -> list[CheckMessage]:
    """What `CONTINUATIONS` holds.

    continuations.E001: `CONTINUATIONS` is no dict, or has a key that this package does not know. The message names the
    near one.

    continuations.E002: A value in `CONTINUATIONS` is of a wrong type or out of range. [Settings](settings.md) says
    what is expected.
    """
    given = getattr(django_settings, "CONTINUATIONS", {})
    return [
        *(checks.Error(problem, id="continuations.E001") for problem in unknown_keys(given)),
        *(checks.Error(problem, id="continuations.E002") for problem in wrong_values(given)),
    ]


def check_delivery(**_: Any) -> list[CheckMessage]:
    """The class that `DELIVERY` names.

    continuations.E003: The class that `CONTINUATIONS["DELIVERY"]` names cannot be imported, or has not all methods of
    `continuations.delivery.Delivery`. Nothing that is enqueued would reach a worker.
    """
    try:
        path = settings().delivery
    except ImproperlyConfigured:
        return []
    try:
        delivery = import_string(path)
    except ImportError as error:
        return [checks.Error(f'CONTINUATIONS["DELIVERY"]: {error}', id="continuations.E003")]
    missing = [name for name in vars(Delivery) if not name.startswith("_") and not hasattr(delivery, name)]
    if not missing:
        return []
    return [
        checks.Error(
            f'CONTINUATIONS["DELIVERY"]: {path} has no method {", ".join(missing)}.',
            hint="Define what continuations.delivery.Delivery lists.",
            id="continuations.E003",
        )
    ]


def check_queues(**_: Any) -> list[CheckMessage]:
    """Queues of job classes.

    continuations.E004: `queue_name` or `resume_queue_name` of a job class is not in `RQ_QUEUES`, so that `enqueue`
    would raise `UnknownQueueError`. Seen are the job classes that are imported when the checks run, as by an app's
    `ready()` or its URLs.
    """
    known = get_queues_map()
    problems: list[CheckMessage] = []
    for job_class in runnable():
        for option in ("queue_name", "resume_queue_name"):
            name = getattr(job_class, option)
            if name is not None and name not in known:
                problems.append(
                    checks.Error(
                        f"{option} = {name!r} is not in RQ_QUEUES ({', '.join(map(repr, known)) or 'empty'}).",
                        obj=job_class,
                        id="continuations.E004",
                    )
                )
    return problems


def check_timeouts(**_: Any) -> list[CheckMessage]:
    """Time-outs of job classes.

    continuations.W002: RQ ends the jobs of a class after so short a time that the usual margin does not fit: an
    execution leaves 5 s before its time-out, or a third of it if that is less, and has to reach a checkpoint in what
    remains. Give `DEFAULT_TIMEOUT` of the queue, or `rq_options = {"job_timeout": ...}` of the class, 15 s or more. A
    job that needs longer than its time-out goes on in another execution.
    """
    problems: list[CheckMessage] = []
    for job_class in runnable():
        timeout = _timeout(job_class.queue_name, job_class.rq_options)
        if timeout is not None and 0 < timeout < ROOMY_TIMEOUT:
            problems.append(
                checks.Warning(
                    f"RQ ends this job after {timeout} s, so that an execution has to reach a checkpoint in its last "
                    f"{timeout * MARGIN_LIMIT:.1f} s.",
                    hint=f"Give it {ROOMY_TIMEOUT:.0f} s or more, by DEFAULT_TIMEOUT of queue "
                    f'{job_class.queue_name!r} or by rq_options = {{"job_timeout": ...}}.',
                    obj=job_class,
                    id="continuations.W002",
                )
            )
    return problems


def _timeout(queue_name: str, rq_options: Mapping[str, Any]) -> int | None:
    """Seconds that RQ gives a job of this queue; None if that cannot be said."""
    queue = getattr(django_settings, "RQ_QUEUES", {}).get(queue_name, {})
    try:
        return parse_timeout(rq_options.get("job_timeout") or queue.get("DEFAULT_TIMEOUT") or Queue.DEFAULT_TIMEOUT)
    except (TimeoutFormatError, TypeError):
        return None


def check_database(**_: Any) -> list[CheckMessage]:
    """The database's entry in `DATABASES`.

    continuations.W001: The continuations are on SQLite without immediate transactions. The site and the worker both
    write, and with `BEGIN DEFERRED` one of them gets "database is locked" at once. Set `"OPTIONS":
    {"transaction_mode": "IMMEDIATE", "timeout": 20}`.
    """
    try:
        alias = database()
    except ImproperlyConfigured:
        return []
    if not locks_itself_out(django_settings.DATABASES.get(alias, {})):
        return []
    return [
        checks.Warning(
            f"Database {alias!r} is SQLite without immediate transactions: a worker and a site that write at the same "
            'time get "database is locked".',
            hint=f'DATABASES[{alias!r}]["OPTIONS"] = {{"transaction_mode": "IMMEDIATE", "timeout": 20}}',
            id="continuations.W001",
        )
    ]


def locks_itself_out(configured: Mapping[str, Any]) -> bool:
    """Whether this entry of DATABASES is SQLite with transactions that begin by reading."""
    is_sqlite = str(configured.get("ENGINE", "")).endswith("sqlite3")
    return is_sqlite and str(configured.get("OPTIONS", {}).get("transaction_mode", "")).upper() != "IMMEDIATE"


def check_rq_classes(**_: Any) -> list[CheckMessage]:
    """The classes that `RQ` names.

    continuations.E005: `RQ["WORKER_CLASS"]` or `RQ["JOB_CLASS"]` cannot be imported.

    continuations.W003: `RQ["JOB_CLASS"]` replaces how a job is run. An interrupted job goes back to its queue because
    RQ's `Job.perform` hands on the `Retry` that its function returns. A class that drops it makes interrupted jobs
    count as finished; one that accepts functions of its own only, as `django_tasks_rq.Job` does, refuses every
    continuation. Serve such jobs on queues and by workers of their own (`--job-class`); see [Django
    tasks](django-tasks.md).
    """
    problems: list[CheckMessage] = []
    for key in ("WORKER_CLASS", "JOB_CLASS"):
        try:
            _rq_class(key)
        except ImportError as error:
            problems.append(checks.Error(f'RQ["{key}"]: {error}', id="continuations.E005"))
    problems += [
        checks.Warning(
            f'RQ["JOB_CLASS"] has {", ".join(names)} of its own: unless they hand on what the function returns, '
            "interrupted jobs count as finished.",
            hint="Leave RQ's own class to continuations, and serve others by a worker with --job-class.",
            id="continuations.W003",
        )
        for names in _replaced()
    ]
    return problems


def _replaced() -> Iterator[list[str]]:
    try:
        job_class = _rq_class("JOB_CLASS") or Job
    except ImportError:
        return
    names = [name for name in ("perform", "_execute", "func") if getattr(job_class, name, None) is not vars(Job)[name]]
    if names:
        yield names


def _rq_class(key: str) -> Any:
    """The class that `RQ[key]` names, or None. Raises `ImportError`."""
    named = getattr(django_settings, "RQ", {}).get(key)
    return import_string(named) if isinstance(named, str) else named


def check_worker(**_: Any) -> list[CheckMessage]:
    """The worker that `manage.py rqworker` starts.

    continuations.I001: `manage.py rqworker` starts a worker that does not know of continuations, because
    `continuations` stands behind `django_rq` in `INSTALLED_APPS`, or `RQ["WORKER_CLASS"]` names another. All jobs run
    all the same, but what is lost is found later; [guarantees](guarantees.md) compares the two.
    """
    why = stock_worker()
    if why is None:
        return []
    return [
        checks.Info(
            f"`manage.py rqworker` starts a stock worker, since {why}.",
            hint=(
                "All jobs run all the same. Without ContinuableWorker, a job whose worker or machine is lost is taken "
                "over after minutes instead of seconds, what Redis lost is found only in passing or by `manage.py "
                "recover_continuations`, rests over 30 s need `--with-scheduler`, and a shutdown takes a second to be "
                "seen."
            ),
            id="continuations.I001",
        )
    ]


def stock_worker() -> str | None:
    """Why `manage.py rqworker` starts a worker that does not know of continuations; None if it does not."""
    from .worker import ContinuableWorkerMixin

    try:
        worker_class = _rq_class("WORKER_CLASS")
    except ImportError:
        return None
    if worker_class is not None:
        ours = isinstance(worker_class, type) and issubclass(worker_class, ContinuableWorkerMixin)
        return None if ours else f'RQ["WORKER_CLASS"] is {worker_class.__module__}.{worker_class.__qualname__}'
    names = [config.name for config in apps.get_app_configs()]
    if "django_rq" not in names or names.index("continuations") < names.index("django_rq"):
        return None
    return "`continuations` stands behind `django_rq` in INSTALLED_APPS"


ALL = (
    check_settings,
    check_delivery,
    check_queues,
    check_timeouts,
    check_database,
    check_rq_classes,
    check_worker,
)
