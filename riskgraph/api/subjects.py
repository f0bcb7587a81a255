"""Routes for compliance: a person's data erased or given out, and the check of the log."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from riskgraph.api.body import described, parse_body, read_body
from riskgraph.api.state import admit
from riskgraph.core.errors import Forbidden
from riskgraph.service import Service, visible_merchant
from riskgraph.subjects import Who, who_is

router = APIRouter(tags=["compliance"])
PRIVATE = {"Cache-Control": "private, no-store"}
_TEXT = {"type": "string"}
_WHO_DOCS: dict[str, Any] = described(
    {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {
            "account": _TEXT | {"description": "As the shop sends it."},
            "account_digest": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            "order": {
                "type": "object",
                "required": ["merchant_id", "channel_code", "order_id"],
                "properties": dict.fromkeys(("merchant_id", "channel_code", "order_id"), _TEXT),
            },
        },
    }
)


async def _asked(request: Request) -> tuple[Service, Who]:
    """Whose data are meant; only a key for all merchants may ask, since they share a person's history."""
    service, key = admit(request, "subjects")
    if visible_merchant(key) is not None:
        raise Forbidden("a person's data are the controller's: this needs a key for all merchants (*)")
    raw = await read_body(request, service.settings.max_body_bytes)
    return service, who_is(parse_body(raw, service.settings.max_depth), service.line.door)


@router.post("/v1/subjects/erase", summary="Erase a person's data", openapi_extra=_WHO_DOCS)
async def post_erase(request: Request) -> JSONResponse:
    """Takes the person out of the store at once (GDPR Art. 17; PIPL Art. 47); 409 ``legal_hold`` where kept.

    ``wiped`` false: journal or sessions are larger than 256 MiB, and free pages hold bytes of the person
    until ``riskgraph retention run``, those of the journal until the next start at most.
    """
    service, who = await _asked(request)
    return JSONResponse(await run_in_threadpool(service.subjects.erase, who), headers=PRIVATE)


@router.post("/v1/subjects/export", summary="Everything held about a person", openapi_extra=_WHO_DOCS)
async def post_export(request: Request) -> JSONResponse:
    """One JSON value (GDPR Art. 15, 20; PIPL Art. 45); ``withheld`` says what is left out and why."""
    service, who = await _asked(request)
    return JSONResponse(await run_in_threadpool(service.subjects.export, who), headers=PRIVATE)


@router.get("/v1/audit/verify", summary="The log of decisions, checked")
async def get_verify(request: Request) -> JSONResponse:
    """Leaves, tree, signature, sealed reports and erasures; ``first`` names the first bad record.

    GDPR Art. 5(1)(f), 5(2), 32; PIPL Art. 51. Reads the whole log: 20,000 decisions take about a second.
    """
    service, key = admit(request, "audit")
    if visible_merchant(key) is not None:
        raise Forbidden("the log is of all merchants: this needs a key for all of them (*)")
    found = await run_in_threadpool(service.subjects.store.verify)
    return JSONResponse(found.to_json(), headers=PRIVATE)
