"""The jobs that follow a sign-up, as its page shows them: those that are there, and those to come."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db.models import Q, prefetch_related_objects
from django.utils.translation import gettext as _

from continuations import words
from continuations.admin.words import state
from continuations.models import Continuation

from ..stories.live import etag
from ..stories.progress import Progress
from .jobs import CountPerson, TellAdministrators, TipsMail, WelcomeMail
from .metrics import Metric
from .signups import DeliberateError

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

    from continuations import ContinuableJob

    from .outbox import Mail
    from .signups import SignUp

# Mails that are shown.
SHOWN = 10


@dataclass(frozen=True)
class Link:
    """One job of the chain."""

    job: type[ContinuableJob]
    # What it follows; None for the first.
    after: type[ContinuableJob] | None
    continuation: Continuation | None

    @property
    def name(self) -> str:
        return self.job.__name__

    @property
    def follows(self) -> str:
        return self.after.__name__ if self.after else ""

    @cached_property
    def progress(self) -> Progress | None:
        return Progress(self.continuation) if self.continuation else None

    @property
    def state(self) -> SafeString:
        return self.progress.state if self.progress else state("to_come", _("to come"))

    @property
    def why(self) -> str:
        """Why it does not go on, or what has failed after it."""
        if self.progress is None or self.continuation is None:
            return ""
        if self.follow_up_failed:
            return _("Its follow-up failed: %(error)s") % {"error": _message(self.continuation.follow_up_error)}
        return self.progress.error or ("" if self.progress.is_finished else self.progress.why)

    @property
    def follow_up_failed(self) -> bool:
        return bool(self.continuation and self.continuation.follow_up_failed_at)

    @property
    def failed(self) -> bool:
        return bool(self.continuation and self.continuation.status == Continuation.Status.FAILED)

    @property
    def needs_attention(self) -> bool:
        return self.failed or self.follow_up_failed

    def run_again(self, *, by: str) -> None:
        """What helps: `follow_up()` if only that has failed, `retry()` if the job itself has."""
        if self.continuation and self.follow_up_failed:
            self.continuation.follow_up()
        elif self.continuation and self.failed:
            self.continuation.retry(by=by)


class Chain:
    """All of it, read at one moment."""

    def __init__(self, sign_up: SignUp) -> None:
        self.sign_up = sign_up
        pk = sign_up.continuation_id
        # In one query: a success and what it enqueues are seen together or not at all.
        rows = Continuation.objects.filter(Q(pk=pk) | Q(parent=pk) | Q(parent__parent=pk))
        self._by_name = {row.job_name: row for row in rows.order_by("created_at")}
        prefetch_related_objects(list(self._by_name.values()), "steps", "execution_records")
        self.counts = sign_up.outbox.counts()

    @cached_property
    def links(self) -> list[Link]:
        return [
            self._link(WelcomeMail, None),
            self._link(TellAdministrators, WelcomeMail),
            self._link(TipsMail, WelcomeMail),
            self._link(CountPerson, TipsMail),
        ]

    @property
    def is_finished(self) -> bool:
        """Nothing will change any more, unless somebody runs something again."""
        return all(row.is_finished for row in self._by_name.values())

    @property
    def state(self) -> str:
        """In words, for those who do not see the table."""
        return ", ".join(
            f"{link.name}: {link.continuation.get_status_display()}" for link in self.links if link.continuation
        )

    @property
    def broken(self) -> list[Link]:
        return [link for link in self.links if link.needs_attention]

    @property
    def mails(self) -> list[Mail]:
        return self.sign_up.outbox.mails(SHOWN)

    @property
    def welcomed(self) -> int:
        """How many people were counted by now."""
        return sum(Metric.objects.filter(name="welcomed").values_list("value", flat=True))

    @property
    def etag(self) -> str:
        facts: list[Any] = [sorted(self.counts.items()), self.sign_up.counted, self.sign_up.fault]
        for link in self.links:
            facts += [link.follow_up_failed, link.progress.facts if link.progress else None]
        return etag(*facts)

    def _link(self, job: type[ContinuableJob], after: type[ContinuableJob] | None) -> Link:
        return Link(job, after, self._by_name.get(job.__name__))


def _message(traceback: str) -> str:
    """The error at the end, without the path of its class."""
    lines = traceback.strip().splitlines()
    return words.shorten(lines[-1].rpartition(f"{DeliberateError.__name__}: ")[2]) if lines else ""
