"""Rate limits: GCRA per key or person, on a monotonic clock."""

from __future__ import annotations

import threading

from riskgraph.core.errors import TooManyRequests
from riskgraph.core.report import DecisionReport
from riskgraph.ports import Clock

MANY = 10_000
# Enough to read a few decisions in each language and form, too few to feel one's way along a threshold.
SUBJECT_REPORTS, HOUR_S = 20, 3600.0
# What stands for the person of an order, the best first.
_PERSON = ("account", "phone", "device", "card", "address")


class RateLimiter:
    """Generic cell rate algorithm: so many calls a period, all of them at once at most."""

    def __init__(self) -> None:
        self._ready: dict[str, float] = {}
        self._room = MANY
        self._lock = threading.Lock()

    def check(self, key_id: str, per_second: int, now: float) -> None:
        """Count one call of a key; see :meth:`count`."""
        self.count(key_id, per_second, 1.0, now, "for this key")

    def count(self, key: str, calls: int, period_s: float, now: float, whose: str) -> None:
        """Count one call.

        Args:
            key: Whose bucket.
            calls: Allowed in any one period.
            period_s: The period in seconds.
            now: Monotonic seconds.
            whose: What the refusal says of the bucket, for instance ``for this key``.

        Raises:
            TooManyRequests: With the seconds to wait.
        """
        step = period_s / calls
        with self._lock:
            self._forget(now)
            ready = max(self._ready.get(key, now), now)
            # A period's worth may come at once: a checkout sends in clumps, not at even distances.
            wait = ready + step - now - period_s
            # Room for float noise, or the last call allowed in a period would be refused at random.
            if wait > 1e-9:
                per = "a second" if period_s == 1.0 else f"in {period_s:g} seconds"
                raise TooManyRequests(
                    f"more than {calls} calls {per} {whose}; retry in {wait:.2f} s", retry_after_s=wait
                )
            self._ready[key] = ready + step

    def _forget(self, now: float) -> None:
        """Drop full buckets once there are many: shoppers come and go, and most come once."""
        if len(self._ready) >= self._room:
            self._ready = {key: ready for key, ready in self._ready.items() if ready > now}
            self._room = max(MANY, 2 * len(self._ready))


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
        whose = "of reports that say what would have changed a decision, for one person"
        self._limiter.count(person, SUBJECT_REPORTS, HOUR_S, self._clock.monotonic(), whose)


def _person(record: DecisionReport) -> str:
    entities = record.order["entities"]
    return next((f"{kind}:{entities[kind]}" for kind in _PERSON if kind in entities), record.decision_id)
