"""What `step.iterate` walks: sources, which give each item with the cursor after it."""

from __future__ import annotations

from .batching import Batches, batches
from .files import CsvFormat, CsvRows, Lines, csv_rows, lines
from .keyset import Keyset, keyset
from .nesting import Nested, nested
from .paging import Pages, pages
from .sharding import shard, shards
from .walking import GAP, Items, Source, as_source

__all__ = [
    "GAP",
    "Batches",
    "CsvFormat",
    "CsvRows",
    "Items",
    "Keyset",
    "Lines",
    "Nested",
    "Pages",
    "Source",
    "as_source",
    "batches",
    "csv_rows",
    "keyset",
    "lines",
    "nested",
    "pages",
    "shard",
    "shards",
]
