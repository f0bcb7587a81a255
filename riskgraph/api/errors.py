"""One translator from errors to the one error shape of the wire (contracts, section 2)."""

from __future__ import annotations

import logging
import math

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from riskgraph.core.errors import RiskgraphError, TooManyRequests
from riskgraph.core.order import trace_of

_LOG = logging.getLogger("riskgraph.api")
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def error_response(
    status: int, code: str, message: str, field: str | None = None, trace_id: str | None = None
) -> JSONResponse:
    error = {"code": code, "message": message, "field": field, "trace_id": trace_id}
    return JSONResponse({"error": error}, status_code=status)


def known(request: Request, failure: RiskgraphError) -> JSONResponse:
    """The answer to an error that was raised on purpose."""
    trace_id = trace_of(getattr(request.state, "body", {}))
    answer = error_response(failure.status, failure.code, failure.message, failure.field, trace_id)
    if isinstance(failure, TooManyRequests):
        answer.headers["Retry-After"] = str(max(1, math.ceil(failure.retry_after_s)))
    if failure.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def template(request: Request) -> str:
    """The path of a request as its route writes it: paths have tokens of sessions and contest links."""
    return str(getattr(request.scope.get("route"), "path", f"{request.method} before its route"))


def install(app: FastAPI) -> None:
    """Register the handlers. Nothing of a request's body is ever logged."""

    @app.exception_handler(RiskgraphError)
    async def _known(request: Request, failure: RiskgraphError) -> JSONResponse:
        return known(request, failure)

    @app.exception_handler(RequestValidationError)
    async def _query(request: Request, failure: RequestValidationError) -> JSONResponse:
        first = failure.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        return error_response(422, "invalid", f"{field}: {first['msg']}", field)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, failure: HTTPException) -> JSONResponse:
        code = _CODES.get(failure.status_code, "http_error")
        return error_response(failure.status_code, code, str(failure.detail))

    @app.exception_handler(Exception)
    async def _unknown(request: Request, failure: Exception) -> JSONResponse:
        _LOG.error("unexpected %s on %s", type(failure).__name__, template(request))
        return error_response(500, "internal", "an internal error; it was logged without the request's data")
