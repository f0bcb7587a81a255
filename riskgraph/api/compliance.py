"""Routes for compliance: the decision report in every audience, law, language and format."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from riskgraph.api.state import admit
from riskgraph.explainers.choices import Audience, Form, Lang, Law
from riskgraph.replaying import replay_stored
from riskgraph.service import visible_merchant

router = APIRouter(tags=["compliance"])


@router.get("/v1/decisions/{decision_id}/report", summary="The decision report")
async def get_report(
    decision_id: str,
    request: Request,
    audience: Audience = Audience.SUBJECT,
    law: Law = Law.BOTH,
    lang: Lang = Lang.EN,
    format: Form = Form.JSON,
) -> Response:
    """The report on one decision (GDPR Art. 13-15, 22; PIPL Art. 17, 24, 44-48)."""
    permission = "read_own" if audience is Audience.SUBJECT else "report_compliance"
    service, key = admit(request, permission)
    merchant = visible_merchant(key)
    content, media = await run_in_threadpool(
        service.reports.render, decision_id, merchant, audience.value, law.value, lang.value, format.value
    )
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
    return Response(content, media_type=media, headers=headers)


@router.get("/v1/decisions/{decision_id}/replay", summary="The decision, computed again and compared")
async def get_replay(decision_id: str, request: Request) -> JSONResponse:
    """Whether score, contributions, verdict, reasons and action come out as they were committed.

    ``first_difference`` names what does not. 409 ``version_missing`` when model, tree, catalogue or
    merchant.toml of the decision are no longer here (GDPR Art. 5(2); PIPL Art. 51, 54-56).
    """
    service, key = admit(request, "report_compliance")
    parts = service.store, service.profile, service.settings
    told = await run_in_threadpool(replay_stored, *parts, decision_id, visible_merchant(key))
    return JSONResponse(told, headers={"Cache-Control": "private, no-store"})
