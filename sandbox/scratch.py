"""Folders that raw rows lie in while a large release is made; none stays, also where a run is killed."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

from riskgraph.core.errors import StorageUnavailable

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # a system without POSIX locks
    flock = None  # type: ignore[assignment]

PREFIX = "riskgraph-raw-"
# 1.1 kB of an order in a chunk; its values in the history, or the features of its person, are up to 1.6 kB.
ROOM_PER_ORDER = 2_800
_LOCK = ".lock"


@contextmanager
def raw_folder(parent: Path | None = None) -> Iterator[Path]:
    """An empty folder that only its owner may enter; it is gone at the end.

    A run that is killed leaves its folder behind. A later run takes it away (see :func:`sweep`). Whatever
    cannot be removed at the end is told as a warning, and does not stop a release.

    Args:
        parent: Where it lies, by default in the folder of temporary files.

    Raises:
        StorageUnavailable: If no folder can be made there.
    """
    parent = parent or Path(tempfile.gettempdir())
    sweep(parent)
    # The lock comes before its folder and goes after it: a folder whose lock is free belongs to no run.
    try:
        lock = tempfile.NamedTemporaryFile(prefix=PREFIX, suffix=_LOCK, dir=parent, delete=False)
    except OSError as error:
        raise StorageUnavailable(f"--scratch: {error}", field="scratch") from error
    with lock:
        _is_free(lock)
        folder = Path(lock.name.removesuffix(_LOCK))
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            _remove(folder)


def sweep(parent: Path | None = None) -> None:
    """Take away the folders of runs that were killed: those whose lock no run holds.

    Raw rows are kept no longer than needed (GDPR Art. 5(1)(e); PIPL Art. 19). Where the system has no POSIX
    locks, nothing that was left behind is looked for.
    """
    if flock is None:
        return
    for folder in (parent or Path(tempfile.gettempdir())).glob(f"{PREFIX}*/"):
        # folders of other users are theirs to take away
        with suppress(OSError), folder.with_name(folder.name + _LOCK).open("r+") as held:
            if _is_free(held):
                _remove(folder)


def _remove(folder: Path) -> None:
    """The lock file stays with a folder that is not gone, so that a later run finds it."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        warnings.warn(f"raw rows are left in {folder}: remove it", stacklevel=2)
    else:
        folder.with_name(folder.name + _LOCK).unlink(missing_ok=True)


def _is_free(lock: IO[bytes] | IO[str]) -> bool:
    """Take a lock if nobody holds it."""
    if flock is None:
        return False
    try:
        flock(lock, LOCK_EX | LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def enough_room(folder: Path, rows: int) -> Iterator[None]:
    """What cannot be written or read in a folder of raw rows is told as a want of room.

    Raises:
        StorageUnavailable: In place of any ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(
            f"raw rows could not be kept in {folder}: {error.strerror or error}; {rows} orders need about"
            f" {rows * ROOM_PER_ORDER / 1e9:.1f} GB, in another folder with --scratch",
            field="scratch",
        ) from error


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does: folders are removed on the way. In the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
