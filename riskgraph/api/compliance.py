"""Routes for compliance: the decision report in every audience, law, language and format."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from riskgraph.api.state import admit
from riskgraph.explainers.choices import Audience, Form, Lang, Law
from riskgraph.explainers.render_html import csp
from riskgraph.explainers.render_json import schema
from riskgraph.replaying import replay_stored
from riskgraph.service import visible_merchant

router = APIRouter(tags=["compliance"])
PERMISSIONS = {
    Audience.SUBJECT: "read_own",
    Audience.COMPLIANCE: "report_compliance",
    Audience.AUTHORITY: "report_authority",
    Audience.FRAUD_TEAM: "report_fraud_team",
}


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
    service, key = admit(request, PERMISSIONS[audience])
    merchant = visible_merchant(key)
    content, media = await run_in_threadpool(
        service.reports.render, decision_id, merchant, audience.value, law.value, lang.value, format.value
    )
    headers = {
        "Content-Security-Policy": csp() if format is Form.HTML else "default-src 'none'",
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


@router.get("/v1/schemas/decision_report-1.json", summary="The schema of the JSON report")
async def get_schema() -> JSONResponse:
    """``decision_report/1`` as JSON Schema (draft 2020-12); public, as what it describes is not."""
    return JSONResponse(dict(schema()), media_type="application/schema+json")
