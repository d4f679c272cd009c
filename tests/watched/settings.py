"""Settings of the tests, and `WATCHED`, the folder into which what would be sent is written."""

import os
from pathlib import Path

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS
from tests.watched.files import init_sentry

WATCHED = Path(os.environ["WATCHED"])
INSTALLED_APPS = [*INSTALLED_APPS, "tests.watched.apps.WatchedConfig"]

init_sentry(WATCHED)
