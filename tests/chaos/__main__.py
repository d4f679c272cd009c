"""python -m tests.chaos [--seed N] [--faults N] [--seconds S] [--database KIND] [--workers N]"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from . import plan
from .databases import KINDS, default_kind, make
from .servers import Valkey

# Fewer would leave out the stock worker.
LEAST_WORKERS = 3


def main() -> int:
    options = _options()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    count, seconds = _extent(options.faults, options.seconds)
    # SIGTERM ends like Ctrl-C: everything that was started ends, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="continuations-chaos-"))
    print(f"seed {seed}, {count} faults in {seconds:.0f} s on {options.database}, in {folder}", flush=True)
    valkey = Valkey()
    database = make(options.database, folder)
    clean = False
    try:
        valkey.start()
        faults = plan.draw(seed, count=count, seconds=seconds, without=database.spared)
        _set_up_django(database.url, valkey.url)
        from . import report, session

        result = session.run(folder.name, folder, database, valkey, faults, seed=seed, workers=options.workers)
        report.show(result, seed=seed, kind=options.database, logs=folder / "logs")
        clean = result.is_clean
    finally:
        valkey.kill()
        database.remove()
        if clean and not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"kept: {folder}", flush=True)
    print("clean" if clean else "NOT CLEAN")
    return 0 if clean else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Real workers, real servers, faults.")
    parser.add_argument("--seed", type=int, help="Replays the faults of a run; drawn and printed without it.")
    parser.add_argument("--faults", type=int, help="How many.")
    parser.add_argument("--seconds", type=float, help="For how long.")
    parser.add_argument("--database", choices=KINDS, default=default_kind())
    parser.add_argument("--workers", type=int, default=4, help=f"At least {LEAST_WORKERS}; one is a stock rq.Worker.")
    parser.add_argument("--keep", action="store_true", help="Keep the folder with the logs.")
    options = parser.parse_args()
    options.workers = max(options.workers, LEAST_WORKERS)
    return options


def _extent(faults: int | None, seconds: float | None) -> tuple[int, float]:
    """How many faults in how many seconds, if only one of them is given, or none."""
    if faults is None:
        seconds = seconds or 60.0
        return max(1, round(seconds / plan.GAP)), seconds
    return faults, seconds or faults * plan.GAP


def _set_up_django(database_url: str, redis_url: str) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TEST_DELIVERY": "continuations.delivery.RQDelivery",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
    }
    import django

    django.setup()


if __name__ == "__main__":
    sys.exit(main())
