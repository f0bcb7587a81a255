"""A lock that processes hold in turn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # a system without POSIX locks: let one process at a time do what is locked
    flock = None  # type: ignore[assignment]


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Held by one process at a time, until the block or the process ends.

    Args:
        path: A file that stands for what is locked; made, for its owner alone, and left there.
        wait: Whether to wait for who holds it.

    Raises:
        BlockingIOError: If another process holds it and nobody is to wait.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if flock is not None:
            flock(descriptor, LOCK_EX if wait else LOCK_EX | LOCK_NB)
        yield
    finally:
        os.close(descriptor)
