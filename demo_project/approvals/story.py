"""The story of this app."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from ..stories.registry import Story, register
from .jobs import ImportPrices
from .models import PriceList

APPROVAL = register(
    Story(
        slug="approval",
        title=_("Approval"),
        summary=_("An import that waits for a person, for as long as it takes, and holds no worker meanwhile."),
        button=_("Hand in prices"),
        url_name="approvals:home",
        jobs=(ImportPrices,),
        shows=(ImportPrices, PriceList.answer),
    )
)
