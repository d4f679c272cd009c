"""A newsletter as its page shows it: how far it is, what was sent, and what the report says."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from continuations.models import Continuation

from ..stories.live import etag
from ..stories.progress import Progress
from .newsletters import Sent

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        """Name, number, and what it means."""
        return numbers(vars(self.sent))

    @property
    def mails(self) -> list[Mail]:
        return self.newsletter.outbox.mails(SHOWN)

    @property
    def etag(self) -> str:
        facts: list[Any] = [*self.progress.facts, *vars(self.sent).values()]
        facts += self.report_progress.facts if self.report_progress else [None]
        return etag(*facts)


def numbers(sent: Mapping[str, int]) -> list[tuple[str, int, str]]:
    """What `Sent` counts, with the books first and the outbox after them."""
    return [
        (_("People"), sent["people"], _("who were there when it began")),
        (_("Mails in the outbox"), sent["mails"], _("counted there, whatever our records say")),
        (_("People without a mail"), sent["missing"], ""),
        (_("Mails repeated"), sent["twice"], _("the same mail to the same person, of those in doubt")),
        (_("In doubt"), sent["in_doubt"], _("begun when a process died: at most one for each crash")),
        (_("Skipped by the record"), sent["skipped"], _("sent before a crash; the cursor alone would repeat them")),
    ]


def _person(cursor: Any) -> str:
    return "" if cursor is None else _("after person %(pk)s") % {"pk": cursor}
