"""What the list says before its rows: jobs without a sign of life, queues without a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Subquery, Value
from django.utils.http import urlencode
from django.utils.translation import gettext, ngettext

from ..querysets import SILENCE, waits_on
from ..transitions import Status
from ..words import duration, number

if TYPE_CHECKING:
    from ..querysets import ContinuationQuerySet


@dataclass(frozen=True)
class Banner:
    """A sentence, how loud it is, and where it leads: the query of a list, or nothing."""

    text: str
    tone: str
    query: str = ""


def banners(rows: ContinuationQuerySet, unheard: list[str] | None) -> list[Banner]:
    """The banners above a list of `rows`, in one query. `unheard`: None if Redis does not say who listens."""
    found = _found(rows, unheard or [])
    shown: list[Banner] = []
    if stalled := found.count(""):
        text = ngettext(
            "%(count)s job is stalled: it has given no sign of life for %(time)s.",
            "%(count)s jobs are stalled: they have given no sign of life for %(time)s.",
            stalled,
        ) % {"count": number(stalled), "time": duration(SILENCE)}
        shown.append(Banner(text, "bad", urlencode({"attention": "stalled"})))
    for name in sorted(set(found) - {""}):
        text = gettext("No worker listens on queue “%s”, and jobs wait there.") % name
        shown.append(Banner(text, "bad", urlencode({"queue": name, "status__exact": Status.ENQUEUED})))
    if unheard is None:
        text = gettext("Redis did not answer, so nobody knows whether workers listen.")
        shown.append(Banner(text, "waiting"))
    return shown


def _found(rows: ContinuationQuerySet, unheard: list[str]) -> list[str]:
    """An empty text for each stalled continuation, and the name of each unheard queue on which one waits."""
    rows = rows.order_by()
    # One waiting row is enough; as a subquery, since SQLite slices no part of a union.
    waiting = [
        rows.filter(pk=Subquery(rows.filter(waits_on(name)).values("pk")[:1])).values_list(Value(name))
        for name in unheard
    ]
    return [name for (name,) in rows.stalled().values_list(Value("")).union(*waiting, all=True)]
