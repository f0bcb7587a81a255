"""One opened service: what the routes work on, with authentication and limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from riskgraph.collecting import Collecting
from riskgraph.explainers.integrity import Finding
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.governance.keys import ApiKey, Authenticator, require
from riskgraph.governance.limits import RateLimiter
from riskgraph.pipeline import Line
from riskgraph.reviewing import Reviews
from riskgraph.settings import Settings
from riskgraph.stores import SqliteStore
from riskgraph.subjects import Subjects

DEFAULT_PER_SECOND = 50


class ReportReader(Protocol):
    """Renders a stored record for a reader."""

    def render(
        self, decision_id: str, merchant: str | None, audience: str, law: str, lang: str, form: str
    ) -> tuple[bytes, str]:
        """``(content, media type)``; NotFound if this merchant has no such decision."""

    def check(self, report: Any) -> list[Finding]:
        """What holds of a report that somebody has; Invalid if it is none."""

    def public_keys(self) -> list[dict[str, Any]]:
        """Keys that reports were ever signed with, the newest first."""


@dataclass
class Service:
    """An opened service; ``close`` drains the store."""

    settings: Settings
    line: Line
    reports: ReportReader
    store: SqliteStore
    profile: MerchantProfile
    reviews: Reviews
    subjects: Subjects
    collecting: Collecting
    authenticator: Authenticator
    problems: Callable[[], list[str]]
    close: Callable[[], None]
    limiter: RateLimiter = field(default_factory=RateLimiter)
    running: set[str] = field(default_factory=set)

    def admit(self, authorization: str | None, permission: str) -> ApiKey:
        """Authenticate, count against the key's limit, and check the permission.

        Raises:
            Unauthenticated: No valid key.
            TooManyRequests: The key's limit is used up.
            Forbidden: The key lacks the permission.
        """
        clock = self.line.clock
        key = self.authenticator.authenticate(authorization, clock.now())
        per_second = key.limits.get("per_second", DEFAULT_PER_SECOND)
        self.limiter.check(key.key_id, per_second, clock.monotonic())
        require(key, permission)
        return key

    def decision(self, decision_id: str, key: ApiKey) -> dict[str, Any] | None:
        """A stored decision; rows of other organisations are absent."""
        return self.line.ledger.decision(decision_id, visible_merchant(key))


def visible_merchant(key: ApiKey) -> str | None:
    """The one merchant whose rows a key may see; None for all."""
    return None if key.org == "*" else key.org
