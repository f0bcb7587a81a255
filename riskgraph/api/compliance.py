"""Routes for compliance: the decision report in every audience, law, language and format."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from riskgraph.api.state import admit
from riskgraph.explainers.choices import Audience, Form, Lang, Law
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
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
    return Response(content, media_type=media, headers=headers)
