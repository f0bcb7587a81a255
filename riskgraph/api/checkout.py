"""Routes for the checkout: decide, read back, report outcomes."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from riskgraph.api.body import described, parse_body, read_body
from riskgraph.api.state import admit
from riskgraph.core.door import Door
from riskgraph.core.errors import Conflict, Forbidden, Invalid, NotFound
from riskgraph.core.order import parse_outcome
from riskgraph.core.outcome import KINDS
from riskgraph.core.schema import decision_request_schema
from riskgraph.governance.keys import ApiKey, may_see
from riskgraph.pipeline import decide
from riskgraph.service import Service

router = APIRouter(tags=["checkout"])
DECIDE = "/v1/decisions"
MAX_KEY = 255
_DECISION_DOCS: dict[str, Any] = {
    **described(decision_request_schema()),
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "maxLength": MAX_KEY},
        }
    ],
}
_TIME = {"type": "string", "format": "date-time"}
_OUTCOME_DOCS: dict[str, Any] = described(
    {
        "type": "object",
        "required": [
            "outcome_id",
            "merchant_id",
            "channel_code",
            "order_id",
            "kind",
            "effective_at",
            "reported_at",
        ],
        "properties": {
            **dict.fromkeys(("outcome_id", "merchant_id", "channel_code", "order_id"), {"type": "string"}),
            "kind": {"enum": list(KINDS)},
            "effective_at": _TIME,
            "reported_at": _TIME,
            **dict.fromkeys(("reason", "source", "reverses"), {"type": "string"}),
        },
    }
)


@router.post(DECIDE, summary="Decide on an order", openapi_extra=_DECISION_DOCS)
async def post_decision(request: Request) -> Response:
    """Accept, review or reject, with at most four reasons; committed before it is answered."""
    service, key = admit(request, "decide")
    raw = await read_body(request, service.settings.max_body_bytes)
    body = parse_body(raw, service.settings.max_depth)
    request.state.body = body
    _check_merchant(body, key)
    return await decide_once(service, body, raw, key.key_id, request.headers.get("idempotency-key"))


async def decide_once(
    service: Service, body: dict[str, Any], raw: bytes, key_id: str, header: str | None = None
) -> Response:
    """Decide on a body, or answer as before if the same was decided already.

    Args:
        service: The opened service.
        body: The decoded body.
        raw: Its bytes.
        key_id: Who asks; metered.
        header: Idempotency key that came with it.

    Raises:
        Invalid: If a field is wrong, or the key was used with another body.
        Conflict: If the same is being decided at this moment.
        StorageUnavailable: If nothing could be committed.
    """
    name = idempotency_key(header, body, service.line.door)
    digest = service.line.door.body(raw)
    replayed = _replay(service, name, digest)
    if replayed is not None:
        return replayed
    service.running.add(name)
    try:
        answer = await decide(body, service.line, key_id=key_id, idempotency_key=name, body_sha256=digest)
    finally:
        service.running.discard(name)
    timing = ", ".join(f"{stage};dur={ms:g}" for stage, ms in answer.stage_ms.items())
    return Response(answer.body, media_type="application/json", headers={"Server-Timing": timing})


def idempotency_key(header: str | None, body: dict[str, Any], door: Door) -> str:
    """The header within its merchant, else merchant, channel, order, attempt and phase.

    Raises:
        Invalid: If the header is longer than 255 characters.
    """
    merchant = body.get("merchant_id")
    if header is not None:
        if not 0 < len(header) <= MAX_KEY:
            raise Invalid(f"Idempotency-Key must have 1 to {MAX_KEY} characters", field="Idempotency-Key")
        # hashed, because shops put order data into it
        return "key|" + door.digest("idempotency", f"{merchant}|{header}").hex()
    parts = ("channel_code", "order_id")
    attempt, phase = body.get("attempt", 1), body.get("phase", "pre_auth")
    return "|".join(str(p) for p in ("order", merchant, *(body.get(p) for p in parts), attempt, phase))


def _check_merchant(body: dict[str, Any], key: ApiKey) -> None:
    merchant = body.get("merchant_id")
    if isinstance(merchant, str) and not may_see(key, merchant):
        raise Forbidden("this key may not act for that merchant", field="merchant_id")


def _replay(service: Service, name: str, digest: str) -> Response | None:
    if name in service.running:
        raise Conflict("the same request is being decided; retry in a moment")
    earlier = service.line.ledger.replay(name)
    if earlier is None:
        return None
    if earlier[0] != digest:
        raise Invalid(
            "this idempotency key (or order attempt) was used with another body; "
            "send a new key or raise attempt",
            field="Idempotency-Key",
            code="idempotency_mismatch",
        )
    return Response(earlier[1], media_type="application/json", headers={"Idempotent-Replayed": "true"})


@router.get("/v1/decisions/{decision_id}", summary="A decision as it was answered, and what stands now")
async def get_decision(decision_id: str, request: Request) -> Response:
    """The stored bytes of the answer; once there was a review, ``review`` says beside it what stands now."""
    service, key = admit(request, "read_own")
    answer = await run_in_threadpool(_standing_answer, service, decision_id, key)
    return Response(answer, media_type="application/json")


def _standing_answer(service: Service, decision_id: str, key: ApiKey) -> bytes:
    """The answer of the decision as stored, with its review beside it where there was one."""
    row = service.decision(decision_id, key)
    if row is None:
        raise NotFound(f"no decision {decision_id[:64]}", field="decision_id")
    answer: bytes = row["answer"]
    review = service.reviews.stands(decision_id)
    return answer if review is None else msgspec.json.encode(msgspec.json.decode(answer) | {"review": review})


@router.post(
    "/v1/outcomes", status_code=202, summary="Report what became of an order", openapi_extra=_OUTCOME_DOCS
)
async def post_outcome(request: Request) -> JSONResponse:
    """Paid, shipped, chargeback …; reversible by an outcome that names it in ``reverses``."""
    service, key = admit(request, "outcome")
    raw = await read_body(request, service.settings.max_body_bytes)
    body = parse_body(raw, service.settings.max_depth)
    _check_merchant(body, key)
    outcome = parse_outcome(body)
    stored = await run_in_threadpool(service.line.ledger.append_outcomes, [outcome])
    return JSONResponse({"outcome_id": outcome.outcome_id, "stored": bool(stored)}, status_code=202)
