"""Functions that plain RQ runs."""

from __future__ import annotations


def one_query(pk: int) -> bool:
    """What even the smallest job of a Django site does."""
    from .models import Record

    return Record.objects.filter(pk=pk).exists()
