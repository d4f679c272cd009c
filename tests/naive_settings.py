"""Settings of the tests without time zones, for workers of such a project."""

import datetime as dt

from tests.settings import *  # noqa: F403
from tests.settings import CONTINUATIONS

USE_TZ = False
CONTINUATIONS = {**CONTINUATIONS, "RETENTION": dt.timedelta(days=30)}
