"""Model fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    # For type checkers it is what it extends: the stubs know only their own as generic.
    NameField = models.CharField
else:

    class NameField(models.CharField):
        """Names that are told apart as Python does: MySQL's usual collations take "a" for "A" and "á"."""

        def db_parameters(self, connection: Any) -> dict[str, Any]:
            parameters = super().db_parameters(connection)
            if connection.vendor == "mysql":
                parameters["collation"] = "utf8mb4_bin"
            return parameters
