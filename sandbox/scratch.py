"""Folders that raw rows lie in while a large release is made; none stays, also where a run is killed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # a system without POSIX locks
    flock = None  # type: ignore[assignment]

PREFIX = "riskgraph-raw-"
_LOCK = ".lock"


@contextmanager
def raw_folder(parent: Path | None = None) -> Iterator[Path]:
    """An empty folder that only its owner may enter; it is gone at the end.

    A run that is killed leaves its folder behind. The next run takes away every folder of its parent that
    no run holds the lock of (GDPR Art. 5(1)(e); PIPL Art. 19: raw rows are kept no longer than needed). Where
    the system has no POSIX locks, nothing that was left behind is looked for.

    Args:
        parent: Where it lies, by default in the folder of temporary files.
    """
    parent = parent or Path(tempfile.gettempdir())
    _sweep(parent)
    # The lock comes before its folder and goes after it: a folder whose lock is free belongs to no run.
    with tempfile.NamedTemporaryFile(prefix=PREFIX, suffix=_LOCK, dir=parent) as lock:
        _is_free(lock)
        folder = Path(lock.name.removesuffix(_LOCK))
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def _sweep(parent: Path) -> None:
    if flock is None:
        return
    for folder in parent.glob(f"{PREFIX}*/"):
        lock = folder.with_name(folder.name + _LOCK)
        # folders of other users are theirs to take away
        with suppress(OSError), lock.open("r+") as held:
            if _is_free(held):
                shutil.rmtree(folder)
                lock.unlink()


def _is_free(lock: IO[bytes] | IO[str]) -> bool:
    """Take a lock if nobody holds it."""
    if flock is None:
        return False
    try:
        flock(lock, LOCK_EX | LOCK_NB)
    except OSError:
        return False
    return True
