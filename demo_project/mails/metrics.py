"""Numbers that jobs count."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Metric(models.Model):
    """A number that grows."""

    name = models.CharField(_("name"), max_length=50, unique=True)
    value = models.PositiveIntegerField(_("value"), default=0)

    class Meta:
        verbose_name = _("metric")
        verbose_name_plural = _("metrics")

    def __str__(self) -> str:
        return f"{self.name}: {self.value}"

    @classmethod
    def increment(cls, name: str) -> int:
        """Add one, and return what it is then. For inside a transaction."""
        metric, _is_new = cls.objects.select_for_update().get_or_create(name=name)
        metric.value += 1
        metric.save(update_fields=["value"])
        return metric.value
