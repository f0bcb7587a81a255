"""Rate limits: GCRA per key, on a monotonic clock."""

from __future__ import annotations

import threading

from riskgraph.core.errors import TooManyRequests

MAX_KNOWN = 10_000


class RateLimiter:
    """Generic cell rate algorithm: so many calls in any window, all of them at once at most."""

    def __init__(self) -> None:
        self._ready: dict[str, float] = {}
        self._lock = threading.Lock()

    def check(self, key_id: str, calls: int, now: float, window_s: float = 1.0) -> None:
        """Count one call.

        Args:
            key_id: Whose bucket.
            calls: Allowed in any window.
            now: Monotonic seconds.
            window_s: Length of the window.

        Raises:
            TooManyRequests: With the seconds to wait.
        """
        step = window_s / calls
        with self._lock:
            ready = max(self._ready.get(key_id, now), now)
            # A window's worth may come at once: a checkout sends in clumps, not at even distances.
            wait = ready + step - now - window_s
            # Room for float noise, or the last call allowed in a second would be refused at random.
            if wait > 1e-9:
                raise TooManyRequests(
                    f"more than {calls} calls in {window_s:g} s for this key; retry in {wait:.2f} s",
                    retry_after_s=wait,
                )
            self._ready[key_id] = ready + step
            if len(self._ready) > MAX_KNOWN:
                # Whoever has waited long enough starts anew, so that names come and go without end.
                self._ready = {name: at for name, at in self._ready.items() if at > now}
