"""The opened service behind a request, and who is asking."""

from __future__ import annotations

from starlette.requests import Request

from riskgraph.governance.keys import ApiKey
from riskgraph.service import Service


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def admit(request: Request, permission: str) -> tuple[Service, ApiKey]:
    """Authenticate the caller and check limit and permission."""
    service = service_of(request)
    return service, service.admit(request.headers.get("authorization"), permission)
