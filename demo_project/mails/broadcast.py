"""A newsletter as its page shows it: how far it is, what was sent, and what the report says."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from continuations.models import Continuation

from ..stories.live import etag
from ..stories.progress import Progress
from .newsletters import NAMES, Sent

if TYPE_CHECKING:
    from .newsletters import Newsletter
    from .outbox import Mail

# Mails that are shown.
SHOWN = 5


class Broadcast:
    """One newsletter with its continuation and the one that reports, read at one moment."""

    def __init__(self, newsletter: Newsletter) -> None:
        self.newsletter = newsletter
        # The follow-up last: it is there as soon as the newsletter has succeeded.
        self.progress = Progress(newsletter.continuation, steps=["send"], describe_cursor=_person)
        self.sent = Sent.of(newsletter)
        self.report = Continuation.objects.filter(parent=newsletter.continuation_id).first()

    @cached_property
    def report_progress(self) -> Progress | None:
        return Progress(self.report, steps=["count", "tell"]) if self.report else None

    @property
    def is_finished(self) -> bool:
        """Nothing will change any more, unless somebody retries it."""
        return self.progress.is_finished and (self.report is None or self.report.is_finished)

    @property
    def numbers(self) -> list[tuple[str, int, str]]:
        """Name, number, and what it means: what is in the outbox first, what our records made of it after that."""
        meanings = {
            "people": _("who were there when it began"),
            "mails": _("counted there, whatever our records say"),
            "missing": _("once it has ended"),
            "twice": _("the same mail to the same person"),
            "in_doubt": _("begun by a process that died: one at most for each crash"),
            "skipped": _("sent before a crash: the cursor alone would repeat them"),
        }
        return [(str(NAMES[field]), getattr(self.sent, field), text) for field, text in meanings.items()]

    @property
    def mails(self) -> list[Mail]:
        return self.newsletter.outbox.mails(SHOWN)

    @property
    def etag(self) -> str:
        facts: list[Any] = [*self.progress.facts, *vars(self.sent).values()]
        facts += self.report_progress.facts if self.report_progress else [None]
        return etag(*facts)


def _person(cursor: Any) -> str:
    return "" if cursor is None else _("after person %(pk)s") % {"pk": cursor}
