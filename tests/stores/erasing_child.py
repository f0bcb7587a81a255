"""A process that erases somebody, and kills itself after so many steps of the database.

Run as ``python -m tests.stores.erasing_child STORE ACCOUNT [STEPS]``; without a number of steps it
lives, and prints how many there were.
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

# Instructions of SQLite's machine between two steps.
INSTRUCTIONS = 10


def erase(path: Path, account: bytes, last: int | None) -> int:
    """Steps that the whole erasure took, the wiping of the file included."""
    steps = count(1)

    def step() -> bool:
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    with closing(SqliteStore(path, synthetic_secrets())) as store:
        store._writer._connection.set_progress_handler(step, INSTRUCTIONS)
        store.subjects.erase((account,), (), 1_800_000_000.0)
        store._writer._connection.set_progress_handler(None)
    return next(steps) - 1


if __name__ == "__main__":
    last = int(sys.argv[3]) if sys.argv[3:] else None
    sys.stdout.write(f"{erase(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), last)}\n")
