from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from demo_project.stories.registry import Story, register

from .jobs import PostRecords
from .models import Record

STORY = register(
    Story(
        slug="accounts",
        title=_("Post records"),
        summary=_(
            "Every record of every account, with a cursor for both: no amount is posted twice, whatever happens to the "
            "worker."
        ),
        button=_("Post records"),
        url_name="accounts:home",
        jobs=(PostRecords,),
        shows=(PostRecords, Record.post),
    )
)
