"""The job of the page, and the import that it is about."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

from tests.beside.page import JOB
from tests.shop.models import Applied


class Import:
    """A CSV file; what is done with it stands in the ledger."""

    objects = SimpleNamespace(get=lambda pk: Import(pk))

    def __init__(self, pk: int) -> None:
        self.path = os.environ["BESIDE_CSV"]
        self.run = f"import {pk}"
        self.rows = Applied.objects.filter(run=self.run).exclude(item="published")

    def add(self, row: dict[str, Any]) -> None:
        Applied.objects.create(run=self.run, item=row["code"])

    def publish(self) -> None:
        Applied.objects.create(run=self.run, item="published")


exec(JOB)
