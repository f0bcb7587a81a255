"""Waiting for what comes about in the background."""

from __future__ import annotations

import time
from collections.abc import Callable

# A server that has just started takes its time for the first statements.
PATIENCE_S = 120.0


def until(holds: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds; fail if it does not in time."""
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)
