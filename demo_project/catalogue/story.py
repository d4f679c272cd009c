from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from demo_project.stories.registry import Story, register

from .client import fetch
from .jobs import PullCatalogue

STORY = register(
    Story(
        slug="catalogue",
        title=_("Pull a catalogue"),
        summary=_(
            "Page by page from a web API that fails now and then: the cursor is the token of the next page, and an "
            "error costs one more request."
        ),
        button=_("Pull a catalogue"),
        url_name="catalogue:home",
        jobs=(PullCatalogue,),
        shows=(PullCatalogue, fetch),
    )
)
