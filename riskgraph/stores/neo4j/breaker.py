"""A circuit breaker: when the shared history does not answer, no order waits for it.

It opens after some failures in a row, or at once where the server refuses, and only a probe in the
background closes it: no shopper's order is one (M. Nygard, Release It!, 2007).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock

_LOG = logging.getLogger("riskgraph.stores")
FAILURES = 3
PROBE_EVERY_S = 2.0


class Breaker:
    """Open until the first probe succeeds; safe to share between threads.

    Args:
        clock: Monotonic seconds.
        failures: How many failures in a row open it.
        every_s: Seconds from one probe to the next.
    """

    def __init__(
        self, clock: Callable[[], float], failures: int = FAILURES, every_s: float = PROBE_EVERY_S
    ) -> None:
        self._clock, self._most, self._every_s = clock, failures, every_s
        self._lock = Lock()
        self._failed = 0
        self._opened: float | None = clock()
        self._next_probe = self._opened
        self.last_error: str | None = None

    @property
    def closed(self) -> bool:
        """Whether an order may ask."""
        return self._opened is None

    @property
    def open_s(self) -> float | None:
        """Seconds since it opened; None while it is closed."""
        opened = self._opened
        return None if opened is None else self._clock() - opened

    def succeeded(self) -> None:
        """An order was answered; one that asked before the breaker opened does not close it."""
        with self._lock:
            self._failed = 0

    def failed(self, cause: str, *, refused: bool = False) -> None:
        """An order was not answered in time, or not at all.

        Args:
            cause: Why, in words for the log.
            refused: Whether the server turned it away, so that others need not try.
        """
        with self._lock:
            self.last_error = cause
            self._failed += 1
            if self._opened is None and (refused or self._failed >= self._most):
                self._opened = self._clock()
                self._next_probe = self._opened + self._every_s
                _LOG.warning("the shared history is not asked any more: %s", cause)

    def probe_due(self) -> bool:
        """Whether a probe is to be made now; it is the caller's then."""
        with self._lock:
            now = self._clock()
            if self._opened is None or now < self._next_probe:
                return False
            self._next_probe = now + self._every_s
            return True

    def probed(self, cause: str | None) -> None:
        """A probe was answered in time (None), or failed for a cause."""
        with self._lock:
            if cause is not None:
                self.last_error = cause
            elif self._opened is not None:
                self._opened, self._failed = None, 0
                _LOG.warning("the shared history answers")
