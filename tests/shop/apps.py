import os

from django.apps import AppConfig
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created


class ShopConfig(AppConfig):
    name = "tests.shop"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        if "TEST_DATABASE_AWAY" in os.environ:
            connection_created.connect(_refuse)


def _refuse(connection: BaseDatabaseWrapper, **_: object) -> None:
    """While the file exists, every new connection fails, as with a server that is restarted."""
    if os.path.exists(os.environ["TEST_DATABASE_AWAY"]):
        connection.close()
        raise OperationalError("the database system is starting up")
