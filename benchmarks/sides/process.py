"""A side's end of the conversation: a line of JSON says what to measure, another one gives the readings."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any


def serve(*measures: Callable[..., Any]) -> None:
    """Answer until standard input ends. A measure takes keywords and gives one reading or a list of them."""
    answers = os.fdopen(os.dup(1), "w")
    # What libraries print is no answer.
    os.dup2(2, 1)
    by_name = {measure.__name__: measure for measure in measures}
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            found = by_name[asked["measure"]](**asked["options"])
            answer = {"readings": found if isinstance(found, list) else [found]}
        except Exception:  # noqa: BLE001 - the other end tells
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)
    # Threads of a library must not keep the process.
    os._exit(0)


def set_up_django() -> None:
    """For sides that use Django."""
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    django.setup()
