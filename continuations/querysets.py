"""Named questions about continuations."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.db import connections, models
from django.db.models import Max, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce, Concat
from django.db.models.lookups import LessThan
from django.utils import timezone
from django.utils.module_loading import import_string

from . import codec
from .conf import settings
from .errors import BusyError, ContinuationError, CrashLimitError, ResumeLimitError
from .loading import paths_of
from .records import Execution, StepRecord
from .transitions import CLAIMABLE, FINISHED, OWNED, Status

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Collection, Iterable

    from .models import Continuation
    from .patient import Recovered

# Seconds for which a verb waits for somebody else who changes the same continuation.
LOCK_PATIENCE = 2.0
# Continuations that a verb on a queryset changes at most, unless it is told another number.
LIMIT = 1000
# Without a sign of life of an execution, or since a request: then a person should look.
SILENCE = dt.timedelta(minutes=10)
UNHEEDED = dt.timedelta(minutes=5)
# Errors with which `on_limit = "pause"` pauses; a person who pauses knows of it.
LIMITS = [f"{error.__module__}.{error.__qualname__}" for error in (CrashLimitError, ResumeLimitError)]


@dataclass
class Changed:
    """What a verb on a queryset did, row by row."""

    changed: list[Continuation] = field(default_factory=list)
    # Those whose status did not allow it, or which somebody else kept locked, each with the error.
    refused: list[tuple[Continuation, ContinuationError]] = field(default_factory=list)
    # There were more than the limit; call it again for the rest.
    more: bool = False


class ContinuationQuerySet(models.QuerySet["Continuation"]):
    """`Continuation.objects`."""

    @property
    def db(self) -> str:
        """The alias on which this is asked: as chosen by `using`, or by the setting `DATABASE`, or by the router."""
        chosen: str | None = vars(self)["_db"]
        return chosen or settings().database or super().db

    def for_job(self, job_class: type[Any]) -> ContinuationQuerySet:
        """Those of `job_class` and its subclasses, under the paths in their `aliases` too."""
        classes = (job_class, *_descendants(job_class))
        return self.filter(job_path__in=[path for each in classes for path in paths_of(each)])

    def active(self) -> ContinuationQuerySet:
        """Those that have not ended."""
        return self.exclude(status__in=FINISHED)

    def waiting_to_run(self) -> ContinuationQuerySet:
        """Those that a worker will claim, due or not, oldest first."""
        return self.filter(status__in=CLAIMABLE).order_by("created_at", "pk")

    def unchanged(self, row: Continuation, *names: str) -> ContinuationQuerySet:
        """That row, unless its status, or one of these attributes, is not what it was when `row` was read.

        Found by its primary key. With the bare status to choose from, planners think that few rows have it, and read
        the thousands that may; and MySQL locks that index before the row, which ends in deadlocks.
        """
        values = {name: getattr(row, name) for name in names}
        return self.alias(its_status=Concat("status", Value(""))).filter(pk=row.pk, its_status=row.status, **values)

    def needing_attention(self, *, unheard_queues: Collection[str] = ()) -> ContinuationQuerySet:
        """Those a person should look at: failed, paused by a limit, follow-up failed, silent, or deaf to a request.

        `unheard_queues`: names of queues on which no worker listens; what waits there counts, too.
        """
        return self.filter(
            Q(status=Status.FAILED)
            | Q(status=Status.PAUSED, error_class__in=LIMITS)
            | Q(follow_up_failed_at__isnull=False)
            | Q(status__in=(Status.PAUSING, Status.CANCELLING), requested_at__lt=timezone.now() - UNHEEDED)
            | self._stalled
            | (waits_on(*unheard_queues) if unheard_queues else Q())
        )

    def stalled(self) -> ContinuationQuerySet:
        """Those that an execution owns which gave no sign of life for `SILENCE`."""
        return self.filter(self._stalled)

    @property
    def _stalled(self) -> Q:
        # Single values instead of `Exists`: PostgreSQL would read all steps at once where many rows have failed.
        alias, silent_since = self.db, timezone.now() - SILENCE
        begun = Execution.objects.using(alias).filter(pk=OuterRef("owner")).values("started_at")
        steps = StepRecord.objects.using(alias).filter(continuation=OuterRef("pk")).order_by()
        last_beat = steps.values("continuation").annotate(last=Max("heartbeat_at")).values("last")
        # In this order: MySQL looks for the steps of a row only if the row is owned.
        return (
            Q(status__in=OWNED)
            & Q(LessThan(Subquery(begun), silent_since))
            & Q(LessThan(Coalesce(Subquery(last_beat), silent_since - SILENCE), silent_since))
        )

    def pause(self, *, by: str = "", reason: str = "", force: bool = False, limit: int = LIMIT) -> Changed:
        """`pause()` for each, in a transaction of its own, oldest first."""
        return self._each(lambda row: row.pause(by=by, reason=reason, force=force), limit)

    def resume(self, *, by: str = "", reason: str = "", limit: int = LIMIT) -> Changed:
        """`resume()` for each, in a transaction of its own, oldest first."""
        return self._each(lambda row: row.resume(by=by, reason=reason), limit)

    def cancel(self, *, by: str = "", reason: str = "", force: bool = False, limit: int = LIMIT) -> Changed:
        """`cancel()` for each, in a transaction of its own, oldest first."""
        return self._each(lambda row: row.cancel(by=by, reason=reason, force=force), limit)

    def retry(self, *, by: str = "", reason: str = "", limit: int = LIMIT) -> Changed:
        """`retry()` for each, in a transaction of its own, oldest first."""
        return self._each(lambda row: row.retry(by=by, reason=reason), limit)

    def rerun_from(
        self, step: str, *, keep_cursor: bool = False, by: str = "", reason: str = "", limit: int = LIMIT
    ) -> Changed:
        """`rerun_from()` for each, in a transaction of its own, oldest first."""
        return self._each(lambda row: row.rerun_from(step, keep_cursor=keep_cursor, by=by, reason=reason), limit)

    def send(self, name: str, payload: Any = None, *, key: str | None = None, limit: int = LIMIT) -> Changed:
        """`send()` to each; with `key`, to the unfinished one of that key, as a webhook does.

        Raises `Continuation.DoesNotExist` if there is no unfinished one of that key, and `SerializationError`.
        """
        codec.check(payload, what=f"payload of event {name!r}")
        if key is None:
            return self._each(lambda row: row.send(name, payload), limit)
        row = self.filter(active_key=key).first()
        if row is None:
            raise self.model.DoesNotExist(f"no unfinished continuation has the key {key!r}, so event {name!r} is lost")
        row.send(name, payload)
        return Changed([row])

    async def asend(self, name: str, payload: Any = None, *, key: str | None = None, limit: int = LIMIT) -> Changed:
        """`send`, for async code."""
        return await sync_to_async(self.send)(name, payload, key=key, limit=limit)

    def lock(self, pk: uuid.UUID, *, patience: float | None = None) -> Continuation:
        """The row, locked for the rest of the transaction. Waits a moment at most, and never in the database.

        `patience`: that moment, in seconds.

        Raises `BusyError` if somebody else keeps it locked, and `Continuation.DoesNotExist`.
        """
        locking = self.filter(pk=pk).free()
        end = time.monotonic() + (LOCK_PATIENCE if patience is None else patience)
        while (row := locking.first()) is None:
            if not self.filter(pk=pk).exists():
                raise self.model.DoesNotExist(f"there is no continuation {pk}")
            if time.monotonic() >= end:
                raise BusyError(f"continuation {pk} is being changed by somebody else just now; try again")
            time.sleep(0.02)
        return row

    def free(self) -> ContinuationQuerySet:
        """Those that nobody else keeps locked, locked for the rest of the transaction."""
        features = connections[self.db].features
        return self.select_for_update(
            skip_locked=features.has_select_for_update_skip_locked,
            # Rows that refer to this one are inserted by open blocks, which must not keep verbs waiting.
            no_key=features.has_select_for_no_key_update,
        )

    def _each(self, verb: Callable[[Continuation], object], limit: int) -> Changed:
        rows = self if self.query.is_sliced else self.order_by("created_at", "pk")
        # The verbs read what they need under the row's lock.
        chosen = list(rows.only("pk", "job_path")[: limit + 1])
        done = Changed(more=len(chosen) > limit)
        for row in chosen[:limit]:
            try:
                verb(row)
            except ContinuationError as error:
                done.refused.append((row, error))
            except self.model.DoesNotExist:
                # Pruned meanwhile.
                continue
            else:
                done.changed.append(row)
        return done

    def recover(self, *, limit: int = 200, dry_run: bool = False) -> list[Recovered]:
        """Put back what was lost, of all continuations: see `continuations.recovery.recover`."""
        # By name, as a delivery names its runner: the models know nothing of running.
        run: Callable[..., list[Recovered]] = import_string("continuations.recovery.recover")
        return run(limit=limit, dry_run=dry_run)

    def prunable(
        self, older_than: dt.timedelta | dt.datetime, *, states: Iterable[str] | None = None
    ) -> ContinuationQuerySet:
        """Those that `prune` would delete."""
        # By name, as in `recover`.
        retention: Any = import_module("continuations.retention")
        found: ContinuationQuerySet = retention.prunable(self, retention.cutoffs(older_than, states))
        return found

    def prune(self, older_than: dt.timedelta | dt.datetime, *, states: Iterable[str] | None = None) -> int:
        """Delete those that ended before `older_than` (an age, or a moment), with all that belongs to them.

        `states`: the statuses they ended in; without it succeeded, discarded and cancelled, while failed ones and
        those whose follow-up failed are kept. What is kept whatever its age: see `continuations.retention.prunable`.
        Deletes in transactions of a hundred, passing over what is locked, so do not call it inside one. Returns
        how many went. Raises `ValueError` for the name of a status that is no end, and `ProtectedError` if a model
        of yours protects one of them.
        """
        retention: Any = import_module("continuations.retention")
        return sum(retention.prune(self, retention.cutoffs(older_than, states)))

    def due(self, now: Any) -> ContinuationQuerySet:
        """Those without a time to wait for, or whose time has come at `now`."""
        return self.filter(Q(run_after__isnull=True) | Q(run_after__lte=now))


def waits_on(*queue_names: str) -> Q:
    """Waiting for a worker of one of these queues, and for nothing else."""
    return Q(queue_name__in=queue_names, status__in=(Status.ENQUEUED, Status.INTERRUPTED))


def _descendants(job_class: type[Any]) -> list[type[Any]]:
    found: list[type[Any]] = []
    for subclass in job_class.__subclasses__():
        found += [subclass, *_descendants(subclass)]
    return found
