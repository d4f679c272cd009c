"""What a verb keeps, repeats and does not undo, said before it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.text import get_text_list
from django.utils.translation import gettext

from . import verbs

if TYPE_CHECKING:
    from .page import Page
    from .verbs import Verb


@dataclass(frozen=True)
class Consequences:
    """Three sentences; an empty one is not shown."""

    kept: str = ""
    repeated: str = ""
    not_undone: str = ""


def of(verb: Verb, page: Page, step: str = "") -> Consequences:
    """For one continuation. `step`: from which it is run again."""
    match verb:
        case verbs.RERUN:
            return _rerun(page, step)
        case verbs.EDIT_CURSOR:
            return _edit_cursor(page)
        case verbs.CANCEL:
            return cancelling()
        case verbs.FORCE_PAUSE | verbs.FORCE_CANCEL:
            return forcing()
        case verbs.RETRY | verbs.RESUME:
            return Consequences(
                kept=gettext("All completed steps and the cursor: it goes on %s.") % page.facts.place,
                repeated=gettext("Nothing but the code outside steps."),
            )
        case verbs.PAUSE:
            return Consequences(
                kept=gettext("All completed steps and the cursor."),
                repeated=gettext("Nothing: it stops at its next checkpoint, and goes on there once it is resumed."),
            )
        case verbs.SEND:
            return Consequences(
                not_undone=gettext("The first event of a name counts, for ever; another of that name changes nothing.")
            )
        case verbs.FOLLOW_UP:
            return Consequences(
                repeated=gettext("on_success of its job, here and now, in one transaction. No step is run again."),
                not_undone=gettext("What it does outside the database."),
            )
    return Consequences()


def of_many(verb: Verb) -> Consequences:
    """For many continuations, which are not looked at one by one."""
    match verb:
        case verbs.CANCEL:
            return cancelling()
        case verbs.RERUN:
            return Consequences(
                kept=gettext("The steps before that step, with their results."),
                repeated=gettext("That step and all after it."),
                not_undone=gettext(
                    "What those steps have done already. Those without such a step are left as they are."
                ),
            )
        case verbs.RETRY | verbs.RESUME:
            return Consequences(
                kept=gettext("All completed steps and cursors: each goes on where it stood."),
                repeated=gettext("Nothing but the code outside steps."),
            )
        case verbs.PAUSE:
            return Consequences(
                kept=gettext("All completed steps and cursors."),
                repeated=gettext("Nothing: each stops at its next checkpoint."),
            )
        case verbs.SEND:
            return Consequences(
                not_undone=gettext("The first event of a name counts, for ever; another of that name changes nothing.")
            )
    return Consequences()


def cancelling() -> Consequences:
    """Ending it."""
    return Consequences(
        kept=gettext("Completed steps and the cursor: it can be run again from a step."),
        repeated=gettext("Nothing. It stops at its next checkpoint, or at once where nothing runs."),
        not_undone=gettext("What its steps have done already. Its unfinished children are cancelled with it."),
    )


def forcing() -> Consequences:
    """Taking it away from its execution."""
    return Consequences(
        kept=gettext("Completed steps and the last stored cursor."),
        repeated=gettext("What its process did since then, if it is run again."),
        not_undone=gettext(
            "Its process may still run: what it does outside the database happens, and is not recorded."
        ),
    )


def _rerun(page: Page, step: str) -> Consequences:
    names = [record.name for record in page.records]
    at = names.index(step) if step in names else 0
    kept, repeated = names[:at], names[at:]
    return Consequences(
        kept=gettext("%s, with results.") % _listed(kept) if kept else gettext("Nothing: this is the first step."),
        repeated=gettext("%s, from the start.") % _listed(repeated),
        not_undone=gettext(
            "What those steps have done already. Events that they waited for are forgotten, and unfinished children "
            "that they enqueued are cancelled."
        ),
    )


def _edit_cursor(page: Page) -> Consequences:
    return Consequences(
        kept=gettext("Completed steps, their results, and the counts of this step."),
        repeated=gettext("What lies between the new cursor and the old one, if the new one is before it."),
        not_undone=gettext(
            "What was done already. If the new cursor is after the old one, what lies between is skipped."
        ),
    )


def _listed(names: list[str]) -> str:
    shown = [gettext("“%s”") % name for name in names[:10]]
    if len(names) > len(shown):
        shown.append(gettext("%d more") % (len(names) - len(shown)))
    return get_text_list(shown, gettext("and"))
