from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from demo_project.stories.registry import Story, register

from .jobs import MakeReport

STORY = register(
    Story(
        slug="reports",
        title=_("Report on a document"),
        summary=_("A pipeline with an expensive call of a model, whose stored answer is never paid for twice."),
        button=_("Summarise a document"),
        url_name="reports:home",
        jobs=(MakeReport,),
        shows=(MakeReport,),
    )
)
