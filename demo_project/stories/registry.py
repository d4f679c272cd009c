"""The stories that the demo tells. Each app declares its own, in its module `story`."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.urls import reverse

from continuations.loading import paths_of
from continuations.models import Continuation

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.utils.functional import _StrPromise

    from continuations import ContinuableJob
    from continuations.querysets import ContinuationQuerySet


class Source:
    """The code of a class or a function, read from the module that runs: nothing that is shown was copied."""

    def __init__(self, shown: Callable[..., Any]) -> None:
        self._lines, self._first = inspect.getsourcelines(shown)
        self.name = shown.__qualname__
        path = Path(inspect.getfile(shown))
        base = Path(settings.BASE_DIR)
        self.path = path.relative_to(base) if path.is_relative_to(base) else Path(path.name)

    @property
    def text(self) -> str:
        return textwrap.dedent("".join(self._lines)).rstrip()

    @property
    def place(self) -> str:
        """File and line, as an editor takes them."""
        return f"{self.path}:{self._first}"


@dataclass(frozen=True, kw_only=True)
class Story:
    """One thing that continuations are good for: a page with a button, a job to watch, and the code of the job.

    `url_name` is the page where it starts. `jobs` are the classes whose continuations belong to the story. `shows` are
    the classes and functions whose source stands on the page.
    """

    slug: str
    title: _StrPromise
    # One sentence.
    summary: _StrPromise
    # What its button on the first page says.
    button: _StrPromise
    url_name: str
    jobs: tuple[type[ContinuableJob], ...]
    shows: tuple[Callable[..., Any], ...]

    @property
    def url(self) -> str:
        return reverse(self.url_name)

    @cached_property
    def sources(self) -> list[Source]:
        return [Source(shown) for shown in self.shows]

    @property
    def job_paths(self) -> list[str]:
        """Under which the continuations of this story are stored."""
        return [path for job in self.jobs for path in paths_of(job)]

    @property
    def continuations(self) -> ContinuationQuerySet:
        """All of this story, the newest first."""
        return Continuation.objects.filter(job_path__in=self.job_paths).order_by("-created_at", "-pk")


_stories: dict[str, Story] = {}


def register(story: Story) -> Story:
    """Put a story on the first page, below those of the apps before it in `INSTALLED_APPS`."""
    if story.slug in _stories:
        raise ValueError(f"There is a story {story.slug!r} already.")
    _stories[story.slug] = story
    return story


def stories() -> list[Story]:
    """All stories, in the order of their apps."""
    return list(_stories.values())
