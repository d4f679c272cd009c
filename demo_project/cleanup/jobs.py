"""A loop that destroys: it needs no cursor, since what is gone is not found again."""

from __future__ import annotations

import time
from typing import ClassVar

from django.db import transaction

from continuations import ContinuableJob, Step

from .models import Sweep


class DeleteOldVisits(ContinuableJob):
    """Deletes the old visits of one sweep."""

    # Seconds that one farewell takes, so that there is something to watch.
    pace: ClassVar[float] = 0.01
    # Without a cursor a crash looks like no progress, however many visits are gone. After three the job would fail.
    max_crashes = 100

    def perform(self, sweep_pk: int) -> None:
        self.sweep = Sweep.objects.get(pk=sweep_pk)
        self.step(self.delete)

    def delete(self, step: Step) -> None:
        visits = self.sweep.old_visits()
        for done, visit in enumerate(visits, start=self.sweep.old - len(visits) + 1):
            time.sleep(self.pace)
            self.sweep.forget(visit)
            step.progress(done=done, total=self.sweep.old)
            step.checkpoint()  # nothing to remember but that one may stop here


@transaction.atomic
def start(old: int, recent: int) -> Sweep:
    """Prepare a sweep and enqueue its job: both or neither."""
    sweep = Sweep.prepare(old, recent)
    sweep.continuation_id = DeleteOldVisits.enqueue(sweep.pk).pk
    sweep.save(update_fields=["continuation_id"])
    return sweep
