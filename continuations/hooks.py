"""What a job class may override beside `perform`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .stopping import Stop


class Hooks:
    """The hooks of `ContinuableJob`, as they are when nobody overrides them."""

    def should_stop(self) -> bool | str | Stop | None:
        """Override to *add* a reason to leave. Asked about once a second, and between steps.

        Return something falsy to go on; True or a string, the reason, to leave and be resumed; or
        `Stop(reason, wait=30)` to rest so many seconds first.
        """
        return None

    def on_success(self, *args: Any, **kwargs: Any) -> None:
        """Override to follow up. Gets the arguments of `perform`, once, in the transaction that marks the success.

        So what it enqueues and writes to that database is there exactly when the success is. An exception is rolled
        back, noted and logged; the continuation stays succeeded, and its `follow_up()` runs this again. No steps here.
        """

    def on_failure(self, error: Exception, *args: Any, **kwargs: Any) -> None:
        """Override to follow up a final failure. Gets the error and the arguments of `perform`.

        Once for each failure, in the transaction that marks it; not for errors that are resumed, retried or
        discarded. An exception is rolled back, noted and logged. No steps here.
        """
