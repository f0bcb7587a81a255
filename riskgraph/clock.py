"""The clock of a process; tests and replays have others."""

from __future__ import annotations

import time


class SystemClock:
    """Wall time that never goes backwards within the process, and monotonic time."""

    def __init__(self) -> None:
        self._latest = 0.0

    def now(self) -> float:
        # A clock that is set back must not give a later decision an earlier time.
        self._latest = max(self._latest, time.time())
        return self._latest

    def monotonic(self) -> float:
        return time.monotonic()
