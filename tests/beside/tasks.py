"""The tasks of the page."""

from __future__ import annotations

import csv
import sys

from django.tasks import task

from tests.beside import jobs
from tests.beside.jobs import Import
from tests.beside.page import FETCH_FEED, TASK

__all__ = ["Import", "csv", "download", "task"]


def download(url: str) -> int:
    return len(url)


# The page's project is called so.
sys.modules["shop.jobs"] = jobs
exec(FETCH_FEED)
exec(TASK)
