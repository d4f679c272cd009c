"""What somebody asks at three in the morning, in that order, with the answers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..querysets import SILENCE
from ..records import StepRecord
from ..transitions import FINISHED, OWNED, Status
from ..words import duration, is_limited, number, pace, reason_of, remaining
from . import words

if TYPE_CHECKING:
    from ..models import Continuation, Execution
    from .family import Family
    from .past import Past

Text = SafeString | str

# After so long without a sign of life nobody should be told that it moves, though much may be well.
QUIET = dt.timedelta(seconds=30)

# For nothing but a worker, now.
WAITS_FOR_WORKER = frozenset({Status.ENQUEUED, Status.INTERRUPTED})


@dataclass(frozen=True)
class Answer:
    """A question and its answer. `tone`: how it should make somebody feel."""

    question: str
    text: Text
    tone: str = ""


@dataclass(frozen=True)
class Facts:
    """What the answers are made of."""

    row: Continuation
    now: dt.datetime
    # The step in progress, or the last one that was completed.
    step: StepRecord | None
    # Its cursor, for people.
    cursor: str
    # The execution that owns it.
    owner: Execution | None
    # The last one that has ended.
    last: Execution | None
    family: Family
    # Whether a worker listens on its queue; None if Redis does not say.
    is_heard: bool | None
    # The error, without what is sensitive.
    error: str
    past: Past

    @property
    def in_progress(self) -> StepRecord | None:
        """The step, if it has not ended."""
        return self.step if self.step is not None and self.step.status == StepRecord.Status.RUNNING else None

    @property
    def is_stalled(self) -> bool:
        """An execution owns it and has given no sign of life for long."""
        step = self.in_progress
        return self.row.status in OWNED and step is not None and step.heartbeat_at < self.now - SILENCE

    @property
    def is_quiet(self) -> bool:
        """An execution owns it and has given no sign of life for a while."""
        step = self.in_progress
        return self.row.status in OWNED and step is not None and step.heartbeat_at < self.now - QUIET

    @property
    def can_force(self) -> bool:
        """What was asked of its execution has not been done for so long that it may be taken away."""
        after = self.row.force_after
        return after is not None and after <= self.now

    @property
    def place(self) -> str:
        """Where it goes on, in words."""
        if self.in_progress is None:
            return gettext("after the last completed step") if self.step is not None else gettext("at the beginning")
        if not self.cursor:
            return gettext("at the beginning of step “%s”") % self.in_progress.name
        return gettext("in step “%(step)s” at cursor %(cursor)s") % {
            "step": self.in_progress.name,
            "cursor": self.cursor[:80],
        }


def answers(facts: Facts) -> list[Answer]:
    """All of them."""
    found = [_moving(facts), _worker(facts), _why(facts), _safe(facts), _left(facts)]
    row = facts.row
    at_limit = row.status == Status.PAUSED and is_limited(row)
    went_wrong = at_limit or row.status in (Status.FAILED, Status.DISCARDED)
    return [*found, _before(facts)] if went_wrong else found


def _moving(facts: Facts) -> Answer:
    question, row, now = gettext("Is it moving?"), facts.row, facts.now
    if row.status in FINISHED:
        return Answer(question, format_html(gettext("No, it has ended: {when}"), when=words.when(row.finished_at, now)))
    if row.status in OWNED:
        return _alive(facts, question)
    if row.status == Status.PAUSED:
        return Answer(question, gettext("No, it is paused."), "waiting")
    if row.status == Status.WAITING:
        return Answer(question, gettext("No, it rests and holds no worker."), "waiting")
    return Answer(
        question,
        format_html(gettext("Not now. It waits for a worker; enqueued {when}"), when=words.when(row.enqueued_at, now)),
        "waiting",
    )


def _alive(facts: Facts, question: str) -> Answer:
    step, now = facts.in_progress, facts.now
    if step is None:
        since = facts.owner.started_at if facts.owner is not None else facts.row.started_at
        text = gettext("It runs code outside its steps; execution started {when}")
        return Answer(question, format_html(text, when=words.when(since, now)), "active")
    beat = words.when(step.heartbeat_at, now)
    if facts.is_stalled:
        return Answer(question, format_html(gettext("It is stalled. Last sign of life {when}"), when=beat), "bad")
    if facts.is_quiet:
        text = gettext("Perhaps: a step may take long without a checkpoint. Last sign of life {when}")
        return Answer(question, format_html(text, when=beat), "waiting")
    speed = pace(step)
    text = gettext("Yes, {rate}. Last sign of life {when}") if speed else gettext("Yes. Last sign of life {when}")
    return Answer(question, format_html(text, rate=speed, when=beat), "active")


def _worker(facts: Facts) -> Answer:
    question, row, owner = gettext("On which worker?"), facts.row, facts.owner
    if row.status in OWNED and owner is not None:
        values = {"worker": owner.worker, "pid": owner.pid, "host": owner.host, "queue": row.queue_name}
        place = gettext("process %(pid)s on %(host)s, queue “%(queue)s”") % values
        return Answer(question, ", ".join(filter(None, [owner.worker, place])), "active")
    if row.status in FINISHED:
        return Answer(question, gettext("None. It came from queue “%s”.") % row.queue_name)
    none = gettext("None. Its queue is “%s”.") % row.queue_name
    if row.status not in WAITS_FOR_WORKER:
        return Answer(question, none)
    if facts.is_heard is None:
        unknown = gettext("Redis did not answer, so nobody knows who listens.")
        return Answer(question, f"{none} {unknown}", "waiting")
    if facts.is_heard:
        heard = gettext("Workers listen there.")
        return Answer(question, f"{none} {heard}")
    start = format_html(
        "{} <code>manage.py rqworker {}</code>", gettext("No worker listens there; start one:"), row.queue_name
    )
    return Answer(question, format_html("{} {}", none, start), "bad")


def _why(facts: Facts) -> Answer:
    row = facts.row
    if row.status == Status.RUNNING:
        question = gettext("Why did it stop before?")
        if facts.last is None:
            return Answer(question, gettext("It did not; this is its first execution."))
        return Answer(question, words.ended(facts.last))
    question = gettext("Why does it stop?") if row.status in OWNED else gettext("Why did it stop?")
    if row.status == Status.ENQUEUED and not row.executions:
        return Answer(question, gettext("It has not started yet."))
    return Answer(question, *_WHY.get(Status(row.status), _why_last)(facts))


def _why_last(facts: Facts) -> tuple[Text, str]:
    asked = _asked(facts) if facts.row.status == Status.ENQUEUED else ""
    last = "" if facts.last is None else words.ended(facts.last)
    return " ".join(filter(None, [last, asked])) or reason_of(facts.row.reason), "waiting"


def _why_waiting(facts: Facts) -> tuple[Text, str]:
    row, step = facts.row, facts.in_progress
    until = words.when(row.run_after, facts.now)
    if step is not None and row.waiting_for and step.kind == StepRecord.Kind.CHILDREN:
        return gettext("It waits for its children: %s have ended.") % facts.family.text, "waiting"
    if row.waiting_for and not until:
        return gettext("It waits for event “%s”.") % row.waiting_for, "waiting"
    if row.waiting_for:
        text = gettext("It waits for event “{event}”; it gives up {when}")
        return format_html(text, event=row.waiting_for, when=until), "waiting"
    if row.reason == "waiting":
        return format_html(gettext("It sleeps and goes on {when}"), when=until), "waiting"
    because = facts.error if row.reason == "error" and facts.error else reason_of(row.reason)
    text = format_html(gettext("It rests and goes on {when}: {why}"), when=until, why=because)
    tries = max(row.attempts_json.values(), default=row.errors)
    if row.reason == "error" and tries:
        so_far = gettext("Tries at this place so far: %s") % number(tries)
        return format_html("{} ({})", text, so_far), "waiting"
    return text, "waiting"


def _why_asked(facts: Facts) -> tuple[Text, str]:
    later = gettext("It stops at its next checkpoint.")
    return f"{_asked(facts)} {later}", "waiting"


def _why_paused(facts: Facts) -> tuple[Text, str]:
    requested, last = facts.row.requested_at, facts.last
    # A request of before the last execution is another one.
    if requested and (last is None or requested >= last.started_at):
        # An edit of the cursor is a request, too, and may have come after that for the pause.
        return _asked(facts, gettext("It was paused. Last request by %(who)s, %(when)s.")), "waiting"
    return facts.error or gettext("It was paused."), "bad" if facts.error else "waiting"


def _why_cancelled(facts: Facts) -> tuple[Text, str]:
    return _asked(facts) or gettext("RQ was told to stop its job."), "quiet"


def _why_failed(facts: Facts) -> tuple[Text, str]:
    return facts.error or gettext("An error without a text."), "bad"


def _why_discarded(facts: Facts) -> tuple[Text, str]:
    return gettext("An error that the job discards: %s") % facts.error, "quiet"


def _why_succeeded(facts: Facts) -> tuple[Text, str]:
    if facts.row.follow_up_failed_at is not None:
        return gettext("It succeeded, but what follows its success failed."), "bad"
    return gettext("It came to its end."), "good"


_WHY = {
    Status.WAITING: _why_waiting,
    Status.PAUSING: _why_asked,
    Status.CANCELLING: _why_asked,
    Status.PAUSED: _why_paused,
    Status.CANCELLED: _why_cancelled,
    Status.FAILED: _why_failed,
    Status.DISCARDED: _why_discarded,
    Status.SUCCEEDED: _why_succeeded,
}


def _asked(facts: Facts, pattern: str = "") -> str:
    """Who asked for what is so now, and why; empty if nobody did."""
    row = facts.row
    if row.requested_at is None:
        return ""
    values = {"who": row.request_by or gettext("somebody"), "when": words.exact(row.requested_at)}
    text = (pattern or gettext("Asked by %(who)s, %(when)s.")) % values
    if not row.request_reason:
        return text
    reason = gettext("Reason: %s") % row.request_reason
    return f"{text} {reason}" if reason.endswith((".", "!", "?")) else f"{text} {reason}."


def _safe(facts: Facts) -> Answer:
    return Answer(gettext("What is safe now?"), _SAFE[Status(facts.row.status)](facts))


def _safe_running(facts: Facts) -> str:
    if facts.is_stalled:
        return gettext(
            "To look at its worker: a step may take long without a checkpoint. If the worker is dead, another takes "
            "over by itself. Pausing keeps all progress."
        )
    return gettext("To leave it alone. Pausing stops it at its next checkpoint and keeps all progress.")


def _safe_asked(facts: Facts) -> str:
    if facts.can_force:
        return gettext("To wait, or to take it away by force: what its process still does is then written nowhere.")
    return gettext("To wait for its next checkpoint. If it does not come, it can be forced after five minutes.")


def _safe_claimable(facts: Facts) -> str:
    return gettext("To leave it alone: a worker takes it, and it goes on %s.") % facts.place


def _safe_waiting(facts: Facts) -> str:
    if facts.row.is_told_only and facts.in_progress is not None and facts.in_progress.kind == StepRecord.Kind.EVENT:
        return gettext("To send event “%s”, if what it stands for has happened.") % facts.row.waiting_for
    kind = StepRecord.Kind.STEP if facts.in_progress is None else facts.in_progress.kind
    if kind == StepRecord.Kind.CHILDREN:
        return gettext("To leave it alone: it goes on by itself once its children have ended.")
    if kind != StepRecord.Kind.STEP:
        return gettext("To leave it alone: it goes on by itself once the time has come.")
    return gettext("To leave it alone: it goes on by itself, %s.") % facts.place


def _safe_paused(facts: Facts) -> str:
    return gettext("To resume it: it goes on %s.") % facts.place


def _safe_failed(facts: Facts) -> str:
    return gettext("To retry it once the cause is mended: it goes on %s.") % facts.place


def _safe_succeeded(facts: Facts) -> str:
    if facts.row.follow_up_failed_at is not None:
        return gettext("To follow up again: only what follows its success is run.")
    return gettext("Nothing needs to be done.")


def _safe_ended(facts: Facts) -> str:
    return gettext("Nothing needs to be done. It can be run again from a step; its steps are kept.")


_SAFE = {
    Status.ENQUEUED: _safe_claimable,
    Status.INTERRUPTED: _safe_claimable,
    Status.RUNNING: _safe_running,
    Status.WAITING: _safe_waiting,
    Status.PAUSING: _safe_asked,
    Status.CANCELLING: _safe_asked,
    Status.PAUSED: _safe_paused,
    Status.FAILED: _safe_failed,
    Status.SUCCEEDED: _safe_succeeded,
    Status.DISCARDED: _safe_ended,
    Status.CANCELLED: _safe_ended,
}


def _left(facts: Facts) -> Answer:
    question, row, step = gettext("How long left?"), facts.row, facts.in_progress
    if row.status in FINISHED:
        if row.started_at is None or row.finished_at is None:
            return Answer(question, gettext("It has ended."))
        text = gettext("It has ended. From its start to its end it took %s.")
        return Answer(question, text % duration(row.finished_at - row.started_at))
    if step is None or step.kind != StepRecord.Kind.STEP:
        return Answer(question, facts.family.text if facts.family.count else gettext("Nobody knows."))
    work = remaining(step)
    if work is None:
        return Answer(question, gettext("Nobody knows: step “%s” does not say how much there is.") % step.name)
    values = {"time": duration(work), "step": step.name}
    return Answer(question, gettext("%(time)s of work in step “%(step)s”") % values)


def _before(facts: Facts) -> Answer:
    question, past = gettext("Has it happened before?"), facts.past
    if past.last_success is None:
        return Answer(question, past.text)
    success = format_html(gettext("The last success was {when}"), when=words.when(past.last_success, facts.now))
    return Answer(question, format_html("{} {}", past.text, success))
