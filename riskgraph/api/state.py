"""What the routes work on: one opened service, authentication and limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import Request

from riskgraph.governance.keys import ApiKey, Authenticator, require
from riskgraph.governance.limits import RateLimiter
from riskgraph.pipeline import Line
from riskgraph.settings import Settings

DEFAULT_PER_SECOND = 50


class ReportReader(Protocol):
    """Renders a stored record for a reader."""

    def render(
        self, decision_id: str, merchant: str | None, audience: str, law: str, lang: str, form: str
    ) -> tuple[bytes, str]:
        """``(content, media type)``; NotFound if this merchant has no such decision."""


@dataclass
class Service:
    """An opened service; ``close`` drains the store."""

    settings: Settings
    line: Line
    reports: ReportReader
    authenticator: Authenticator
    problems: Callable[[], list[str]]
    close: Callable[[], None]
    limiter: RateLimiter = field(default_factory=RateLimiter)
    running: set[str] = field(default_factory=set)

    def admit(self, request: Request, permission: str) -> ApiKey:
        """Authenticate, count against the key's limit, and check the permission.

        Raises:
            Unauthenticated, TooManyRequests, Forbidden: In this order.
        """
        clock = self.line.clock
        key = self.authenticator.authenticate(request.headers.get("authorization"), clock.now())
        per_second = key.limits.get("per_second", DEFAULT_PER_SECOND)
        self.limiter.check(key.key_id, per_second, clock.monotonic())
        require(key, permission)
        return key

    def decision(self, decision_id: str, key: ApiKey) -> dict[str, Any] | None:
        merchant = None if key.org == "*" else key.org
        return self.line.ledger.decision(decision_id, merchant)


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service
