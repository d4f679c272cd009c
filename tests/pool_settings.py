"""Settings of the tests with psycopg's connection pool, for workers of such a project."""

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES["default"]["OPTIONS"] = {"pool": {"min_size": 1, "max_size": 1}}
