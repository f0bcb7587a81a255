"""Routes for the browser SDK: a session under consent, flushes, withdrawal (``docs/sdk.md``)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from riskgraph.api.body import parse_body, read_body
from riskgraph.api.state import service_of
from riskgraph.core.behavior import SCHEMA
from riskgraph.core.order import PURPOSES

_LOG = logging.getLogger("riskgraph.api")
router = APIRouter(tags=["browser SDK"])
PATHS = SESSIONS, BEHAVIOR = "/v1/sessions", "/v1/behavior"
OPENING_BYTES, FLUSH_BYTES = 2_048, 4_096
MAX_DEPTH = 6
PREFLIGHT_S = 600
ORIGINS_S = 0.5
_TEXT = {"type": "string", "minLength": 1, "maxLength": 200}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": properties,
    }


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """A body in either media type: text/plain needs no preflight."""
    content = {media: {"schema": schema} for media in ("text/plain", "application/json")}
    return {"requestBody": {"required": True, "content": content}}


_OPENING = _described(
    _closed(
        {
            "v": {"const": 1},
            "key": {"type": "string", "description": "publishable key, `pk_…`"},
            "consent": _closed(
                {
                    "record_id": _TEXT,
                    "policy_version": _TEXT,
                    "at": {"type": "string", "format": "date-time"},
                    "purposes": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": dict.fromkeys(PURPOSES, {"type": "boolean"}),
                    },
                }
            ),
        }
    )
)
_OPENED = _closed({"session": _TEXT, "nonce": _TEXT, "expires_in": {"type": "integer"}})


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a flush without references, which OpenAPI would look for elsewhere."""
    histogram = schema["$defs"]["histogram"]

    def inner(value: Any) -> Any:
        if isinstance(value, dict):
            return histogram if "$ref" in value else {key: inner(one) for key, one in value.items()}
        return value

    return {key: inner(value) for key, value in schema.items() if not key.startswith("$")}


def _answers(**told: str) -> dict[int | str, dict[str, Any]]:
    return {int(status.removeprefix("s")): {"description": text} for status, text in told.items()}


_REFUSED = {
    "s413": "Too large",
    "s422": "A field is wrong; `field` names it",
    "s429": "Too often; `Retry-After` says when",
    "s503": "It could not be kept",
}


@router.post(
    SESSIONS,
    status_code=201,
    summary="Open a session under a consent",
    openapi_extra=_OPENING,
    responses={
        201: {"description": "Opened", "content": {"application/json": {"schema": _OPENED}}},
        **_answers(
            s401="No valid publishable key",
            s403="The page's origin is not one of the key's, or this consent was withdrawn",
            **_REFUSED,
        ),
    },
)
async def post_session(request: Request) -> JSONResponse:
    """Token and nonce for one visit; nothing of the caller is kept but what the body says."""
    service = service_of(request)
    body = parse_body(await read_body(request, OPENING_BYTES), MAX_DEPTH)
    opened = await run_in_threadpool(service.collecting.open, body, request.headers.get("origin"))
    return JSONResponse(opened, status_code=201, headers={"Cache-Control": "no-store"})


@router.post(
    BEHAVIOR,
    status_code=202,
    summary="Add a flush to the sums of its session",
    openapi_extra=_described(_flat(SCHEMA)),
    responses=_answers(
        s403="Unknown session, wrong nonce or another origin; or the consent was withdrawn",
        s409="Another session sent these histograms, or this one sent too many flushes",
        s410="The session has expired",
        **_REFUSED,
    ),
)
async def post_behavior(request: Request) -> JSONResponse:
    """``counted`` is false for a flush that came before: each `(session, seq)` counts once."""
    service = service_of(request)
    body = parse_body(await read_body(request, FLUSH_BYTES), MAX_DEPTH)
    counted = await run_in_threadpool(service.collecting.take, body, request.headers.get("origin"))
    return JSONResponse({"counted": counted}, status_code=202)


@router.delete(
    f"{BEHAVIOR}/{{session}}",
    status_code=204,
    summary="Withdraw: erase what was gathered under the session's consent",
    openapi_extra=_described(_closed({"nonce": _TEXT})),
    responses=_answers(s403="Unknown session, wrong nonce or another origin", **_REFUSED),
)
async def delete_behavior(session: str, request: Request) -> Response:
    """GDPR Art. 7(3), 17; PIPL Art. 15, 47. A second time changes nothing."""
    service = service_of(request)
    body = parse_body(await read_body(request, OPENING_BYTES), MAX_DEPTH)
    await run_in_threadpool(service.collecting.withdraw, session, body, request.headers.get("origin"))
    return Response(status_code=204)


class ShopOrigins(CORSMiddleware):
    """CORS for the SDK's routes alone: pages of the origins of publishable keys, never with credentials.

    Refusals carry the headers too: a page that cannot read a status would send the same flush for ever.

    While the origins cannot be read, those that were known last hold.

    Args:
        app: The application behind.
        origins: Those of all publishable keys; asked at most twice a second.
    """

    def __init__(self, app: ASGIApp, origins: Callable[[], frozenset[str]]) -> None:
        super().__init__(
            app, allow_methods=("POST", "DELETE"), allow_headers=("content-type",), max_age=PREFLIGHT_S
        )
        self._origins, self._known, self._read = origins, frozenset[str](), -ORIGINS_S

    def is_allowed_origin(self, origin: str) -> bool:
        now = time.monotonic()
        if now - self._read >= ORIGINS_S:
            self._read = now
            try:
                self._known = self._origins()
            except Exception as failure:  # whatever it is, pages must be able to read answers
                _LOG.warning("origins of publishable keys cannot be read: %s", type(failure).__name__)
        return origin in self._known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PATHS):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)
