from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from demo_project.stories.registry import Story, register

from .jobs import ProcessImport
from .plain import plain_import

STORY = register(
    Story(
        slug="imports",
        title=_("Import airports"),
        summary=_("28,000 rows, imported by a worker that you stop: no row is lost, and none is imported twice."),
        button=_("Import the world"),
        url_name="imports:home",
        jobs=(ProcessImport,),
        shows=(ProcessImport, plain_import),
    )
)
