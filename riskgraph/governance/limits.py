"""Rate limits: GCRA per key, on a monotonic clock."""

from __future__ import annotations

import threading

from riskgraph.core.errors import TooManyRequests
from riskgraph.core.report import DecisionReport
from riskgraph.ports import Clock

MAX_KNOWN = 10_000
# Enough to read a few decisions in each language and form, too few to feel one's way along a threshold.
SUBJECT_REPORTS, HOUR_S = 20, 3600.0
# What stands for the person of an order, the best first.
_PERSON = ("account", "phone", "device", "card", "address")


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
                    f"more than {calls} calls in {window_s:g} s; retry in {wait:.2f} s",
                    retry_after_s=wait,
                )
            self._ready[key_id] = ready + step
            if len(self._ready) > MAX_KNOWN:
                # Whoever has waited long enough starts anew, so that names come and go without end.
                self._ready = {name: at for name, at in self._ready.items() if at > now}


class SubjectReports:
    """How often one person may be told what would have changed a verdict.

    Reports for the subject that carry a counterfactual are counted by the order's account, else by the next
    entity that it has; other reports are not (GDPR Art. 12(5), 15(4): the right to a copy does not extend to
    probing).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self._limiter = clock, RateLimiter()

    def count(self, record: DecisionReport) -> None:
        """Count one report for the subject.

        Raises:
            TooManyRequests: If the person had 20 of them within the hour.
        """
        if "counterfactual" not in record.score:
            return
        person = f"{record.order['merchant_id']}|{_person(record)}"
        self._limiter.check(person, SUBJECT_REPORTS, self._clock.monotonic(), HOUR_S)


def _person(record: DecisionReport) -> str:
    entities = record.order["entities"]
    return next((f"{kind}:{entities[kind]}" for kind in _PERSON if kind in entities), record.decision_id)
