"""Deleting: what is said before, from the database that holds the continuations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import NestedObjects
from django.utils.text import capfirst

if TYPE_CHECKING:
    from django.http import HttpRequest

    from ..models import Continuation

    Base = admin.ModelAdmin[Continuation]
else:
    Base = object


class DeletionMixin(Base):
    """Django's own asks the router, which need not know where continuations are when it sees none."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Names of what is asked for, counts of what goes with it, permissions that lack, and what protects it."""
        rows = list(objs)
        if not rows:
            return [], {}, set(), []
        collector = NestedObjects(using=rows[0]._state.db, origin=rows)
        collector.collect(rows)
        registry = self.admin_site._registry
        found: dict[Any, set[Any]] = collector.model_objs
        lacking = {
            model._meta.verbose_name
            for model, instances in found.items()
            if model in registry
            if not all(registry[model].has_delete_permission(request, each) for each in instances)
        }
        counts = {model._meta.verbose_name_plural: len(each) for model, each in found.items()}
        names = [f"{capfirst(self.opts.verbose_name)}: {row}" for row in rows]
        return names, counts, lacking, [str(each) for each in collector.protected]
