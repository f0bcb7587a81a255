"""A process that erases somebody, or what is over its period, and kills itself after so many steps.

Run as ``python -m tests.stores.erasing_child STORE ACCOUNT [STEPS]``, or with ``retention`` in the place of
the account; without a number of steps of the database it lives, and prints how many there were.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing
from itertools import count
from pathlib import Path

from riskgraph.stores import SqliteStore
from riskgraph.stores.crash import synthetic_secrets
from riskgraph.stores.retention import CLASSES

# Instructions of SQLite's machine between two steps.
INSTRUCTIONS = 10
AT, DAYS = 1_800_000_000.0, 100
PERIODS = {name: dict.fromkeys(("CN", "EU", "other"), DAYS) for name in CLASSES}


def erase(path: Path, whose: str, last: int | None) -> int:
    """Steps that all of it took, the wiping of the file included."""
    steps = count(1)

    def step() -> bool:
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    with closing(SqliteStore(path, synthetic_secrets())) as store:
        store._writer._connection.set_progress_handler(step, INSTRUCTIONS)
        if whose == "retention":
            store.retention.remove(store.retention.due(PERIODS, AT), AT)
        else:
            store.subjects.erase((bytes.fromhex(whose),), (), AT)
        store._writer._connection.set_progress_handler(None)
    return next(steps) - 1


if __name__ == "__main__":
    last = int(sys.argv[3]) if sys.argv[3:] else None
    sys.stdout.write(f"{erase(Path(sys.argv[1]), sys.argv[2], last)}\n")
