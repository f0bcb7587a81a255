"""Routes for objections and human review: from the merchant's server, and for reviewers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from riskgraph.api.body import described, parse_body, read_body
from riskgraph.api.state import admit
from riskgraph.core import review
from riskgraph.core.reader import Reader
from riskgraph.reviewing import (
    CONTEST_FIELDS,
    MAX_EVIDENCE,
    MAX_ITEM,
    MAX_NAME,
    MAX_WORDS,
    STEPS,
    Reviewer,
    moment,
    refuse_unknown,
)
from riskgraph.service import Service, visible_merchant

router = APIRouter(tags=["review"])
PRIVATE = {"Cache-Control": "private, no-store"}


class Listed(StrEnum):
    PENDING = "pending"
    OPEN = "open"
    CLAIMED = "claimed"
    CLOSED = "closed"
    ALL = "all"


def _body(required: list[str], **properties: Any) -> dict[str, Any]:
    schema = {
        "type": "object", "required": required, "properties": properties, "additionalProperties": False,
    }  # fmt: skip
    return described(schema)


_WORDS = {"type": "string", "minLength": 1, "maxLength": MAX_WORDS}
_CONTEST_DOCS = _body(
    ["decision_id", "wish"],
    decision_id={"type": "string"},
    wish={
        "enum": list(review.WISHES),
        "description": "person: have a person look. view: state an own view. correction: something is wrong.",
    },
    text=_WORDS | {"description": "The shopper's words, for the reviewer alone; needed but for `person`."},
    lang={"enum": ["zh", "en"], "description": "Language of the answer."},
)
_STEP_DOCS = _body(
    ["step", "reviewer"],
    step={"enum": list(STEPS)},
    reviewer={"type": "string", "maxLength": MAX_NAME, "description": "Name or number of the person."},
    note=_WORDS | {"description": "With `note`."},
    outcome={"enum": list(review.OUTCOMES), "description": "With `decide`."},
    verdict={"enum": list(review.ACTIONS_OF), "description": "What holds now; needed to overturn."},
    action={"enum": ["none", "step_up", "block"], "description": "What the checkout does now."},
    evidence={
        "type": "array", "minItems": 1, "maxItems": MAX_EVIDENCE,
        "items": {"type": "string", "maxLength": MAX_ITEM},
        "description": "What was looked at; needed with `decide`.",
    },
    reason=_WORDS | {"description": "Needed with `decide` and `extend`."},
)  # fmt: skip


async def _read(request: Request, service: Service) -> dict[str, Any]:
    raw = await read_body(request, service.settings.max_body_bytes)
    return parse_body(raw, service.settings.max_depth)


@router.post(
    "/v1/contests", status_code=201, summary="File a shopper's objection", openapi_extra=_CONTEST_DOCS
)
async def post_contest(request: Request) -> JSONResponse:
    """The shopper states a view, asks for a person, or for a correction (GDPR Art. 22(3); PIPL Art. 24(3)).

    ``due_at`` is until when it must be answered. The same words once more are the same objection (200).
    """
    service, key = admit(request, "contest")
    body = await _read(request, service)
    refuse_unknown(body, CONTEST_FIELDS)
    name = Reader(body).text("decision_id", required=True) or ""
    filed = await run_in_threadpool(service.reviews.contest, name, visible_merchant(key), body, "merchant")
    told = {
        "contest_id": filed.contest_id,
        "decision_id": name,
        "received_at": moment(filed.received_at),
        "due_at": moment(filed.due_at),
    }
    return JSONResponse(told, status_code=201 if filed.new else 200, headers=PRIVATE)


@router.get("/v1/reviews", summary="Cases of human review, what is due first before the rest")
async def get_reviews(
    request: Request,
    state: Listed = Listed.PENDING,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> JSONResponse:
    """``pending`` and ``overdue`` count all cases that are not closed, however few are listed."""
    service, key = admit(request, "review_list")
    told = await run_in_threadpool(service.reviews.queue, state.value, visible_merchant(key), limit)
    return JSONResponse(told, headers=PRIVATE)


@router.get("/v1/reviews/{decision_id}", summary="One case with objections and history")
async def get_review(decision_id: str, request: Request) -> JSONResponse:
    """All that the reviewer needs, the shopper's words among it."""
    service, key = admit(request, "review")
    told = await run_in_threadpool(service.reviews.one, decision_id, visible_merchant(key))
    return JSONResponse(told, headers=PRIVATE)


@router.post(
    "/v1/reviews/{decision_id}", summary="Claim, note, extend, decide, release", openapi_extra=_STEP_DOCS
)
async def post_review(decision_id: str, request: Request) -> JSONResponse:
    """One step of a reviewer; answers the case as it is then (GDPR Art. 22(3); GB/T 35273-2020, 7.7).

    409 when another has claimed it. ``decide`` closes it: what the reviewer decided stands from then on.
    """
    service, key = admit(request, "review")
    body = await _read(request, service)
    name = Reader(body).text("reviewer", required=True, most=MAX_NAME) or ""
    reviewer = Reviewer(key.key_id, name, visible_merchant(key), chief=key.allows("keys"))
    told = await run_in_threadpool(service.reviews.step, decision_id, reviewer, body)
    return JSONResponse(told, headers=PRIVATE)
