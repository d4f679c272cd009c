"""What a page of the demo follows."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from continuations.models import Continuation


class Followed(models.Model):
    """Something that a continuation does."""

    # Not a foreign key: continuations are pruned, what they did stays.
    continuation_id = models.UUIDField(_("continuation"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    class Meta:
        abstract = True

    @property
    def continuation(self) -> Continuation | None:
        """The continuation that does this, read now; None once it was pruned."""
        return Continuation.objects.filter(pk=self.continuation_id).first() if self.continuation_id else None

    def follow(self, continuation: Continuation) -> None:
        """Remember the continuation that does this."""
        self.continuation_id = continuation.pk
        self.save(update_fields=["continuation_id"])
