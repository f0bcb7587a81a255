"""Rate limits: GCRA per key, on a monotonic clock."""

from __future__ import annotations

import threading

from riskgraph.core.errors import TooManyRequests


class RateLimiter:
    """Generic cell rate algorithm: ``per_second`` calls, all of them at once at most."""

    def __init__(self) -> None:
        self._ready: dict[str, float] = {}
        self._lock = threading.Lock()

    def check(self, key_id: str, per_second: int, now: float) -> None:
        """Count one call.

        Args:
            key_id: Whose bucket.
            per_second: Allowed calls in any one second.
            now: Monotonic seconds.

        Raises:
            TooManyRequests: With the seconds to wait.
        """
        step = 1.0 / per_second
        with self._lock:
            ready = max(self._ready.get(key_id, now), now)
            # A second's worth may come at once: a checkout sends in clumps, not at even distances.
            wait = ready + step - now - 1.0
            # Room for float noise, or the last call allowed in a second would be refused at random.
            if wait > 1e-9:
                raise TooManyRequests(
                    f"more than {per_second} calls a second for this key; retry in {wait:.2f} s",
                    retry_after_s=wait,
                )
            self._ready[key_id] = ready + step
