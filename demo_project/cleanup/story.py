from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from demo_project.stories.registry import Story, register

from .jobs import DeleteOldVisits
from .models import Sweep

STORY = register(
    Story(
        slug="cleanup",
        title=_("Clean up"),
        summary=_(
            "A loop that deletes needs no cursor: what is gone is not found again. One call says where it may stop."
        ),
        button=_("Clean up"),
        url_name="cleanup:home",
        jobs=(DeleteOldVisits,),
        shows=(DeleteOldVisits, Sweep.forget),
    )
)
