"""Waiting for what comes about in the background."""

from __future__ import annotations

import time
from collections.abc import Callable

# A server that has just started takes its time for the first statements.
PATIENCE_S = 120.0


def until(holds: Callable[[], object], patience_s: float = PATIENCE_S, what: str = "it") -> None:
    """Wait until a condition holds; fail, and say what, if it does not in time."""
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, f"{what} did not come about within {patience_s:g} s"
        time.sleep(0.01)
