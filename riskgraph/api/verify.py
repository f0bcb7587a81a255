"""Whoever holds a report checks it here, without login and without script."""

from __future__ import annotations

import json
import math
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from riskgraph.api.body import check_depth, described, read_body
from riskgraph.api.contest import FORM, page_headers, page_language
from riskgraph.api.state import service_of
from riskgraph.core.errors import BadRequest, Invalid, RiskgraphError, TooLarge, TooManyRequests
from riskgraph.explainers.integrity import Finding, verdict
from riskgraph.explainers.verify_page import Checked, render_verify
from riskgraph.service import Service

router = APIRouter(tags=["shopper"])
# The largest report has some 300 KB; in a form each byte may take three.
MAX_REPORT_BYTES, MAX_FORM_BYTES = 1 << 20, 3 << 20
# Several times a report's own: what canonical JSON could not walk is refused before it is parsed.
MAX_DEPTH = 32
CHECKS, WINDOW_S = 120, 60.0
_PAGE: dict[str, Any] = {"content": {"text/html": {}}}
_DOCS: dict[int | str, dict[str, Any]] = {
    413: _PAGE | {"description": "Too long for a report"},
    422: _PAGE | {"description": "No report; the page says what is wrong, with what was pasted"},
    429: _PAGE | {"description": "Too often; `Retry-After` says when"},
}
_FORM_SCHEMA = {"type": "object", "required": ["report"], "properties": {"report": {"type": "string"}}}
_FORM_DOCS = described(_FORM_SCHEMA, FORM)
_JSON_DOCS = described({"type": "object"})


@router.get("/verify", summary="The page on which a report is checked", response_class=HTMLResponse)
async def get_page(request: Request, lang: str = "") -> Response:
    """For whoever holds a report as JSON (GDPR Art. 5(1)(f), 32; PIPL Art. 51)."""
    return _shown(Checked(), request, lang)


@router.post(
    "/verify",
    summary="Check a report",
    response_class=HTMLResponse,
    responses=_DOCS,
    openapi_extra=_FORM_DOCS,
)
async def post_page(request: Request, lang: str = "") -> Response:
    """Shows the page again with what holds; nothing of the report is kept."""
    service, text = service_of(request), ""
    try:
        _limit(service)
        text = await _form(request)
        report = parse_report(text)
        findings = await run_in_threadpool(service.reports.check, report)
    except RiskgraphError as failure:
        return _again(text, failure, request, lang)
    name = report.get("report_id")
    checked = Checked(text, verdict(findings), name if isinstance(name, str) else "", findings)
    return _shown(checked, request, lang)


@router.post("/v1/verify", summary="Check a report, for programs", openapi_extra=_JSON_DOCS)
async def post_report(request: Request) -> JSONResponse:
    """``result`` is ``holds``, ``fails`` or ``unknown``; ``findings`` say of what. Needs no key."""
    service = service_of(request)
    _limit(service)
    raw = await read_body(request, MAX_REPORT_BYTES)
    findings = await run_in_threadpool(service.reports.check, parse_report(raw))
    return JSONResponse({"result": verdict(findings), "findings": [_told(found) for found in findings]})


@router.get("/verify/keys", summary="Public keys of reports and of the log")
async def get_keys(request: Request) -> JSONResponse:
    """Every key that reports were ever signed with, the newest first, so that anyone can check them."""
    return JSONResponse({"keys": service_of(request).reports.public_keys()})


def parse_report(raw: str | bytes) -> dict[str, Any]:
    """A JSON object in which each name stands once, since readers differ in which of two they take.

    Half a character (a lone surrogate) is refused: it has no UTF-8, so no canonical JSON and no row.

    Raises:
        BadRequest: If it is none.
    """
    check_depth(raw.encode() if isinstance(raw, str) else raw, MAX_DEPTH)
    try:
        report = json.loads(raw, object_pairs_hook=_once, parse_constant=_refuse)
        json.dumps(report, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as wrong:
        raise BadRequest(f"this is no JSON: {wrong}") from None
    if not isinstance(report, dict):
        raise BadRequest("a report is a JSON object")
    return report


def _told(found: Finding) -> dict[str, str]:
    told = {"what": found.what, "result": found.result, "why": found.why}
    return told if found.retired_at is None else told | {"retired_at": found.retired_at}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name is given twice in one object")
    return made


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def _limit(service: Service) -> None:
    # For all callers together: behind a proxy all of them have one address.
    service.limiter.check("verify", CHECKS, service.line.clock.monotonic(), WINDOW_S)


async def _form(request: Request) -> str:
    """What was pasted.

    Raises:
        TooLarge: If it cannot be a report.
        BadRequest: If it is no form in UTF-8.
    """
    raw = await read_body(request, MAX_FORM_BYTES)
    try:
        text = parse_qs(raw.decode("ascii"), errors="strict", max_num_fields=10).get("report", [""])[-1]
    except (ValueError, UnicodeError):
        raise BadRequest("this is no form in UTF-8") from None
    if len(text.encode()) > MAX_REPORT_BYTES:
        raise TooLarge(f"a report has at most {MAX_REPORT_BYTES} bytes")
    return text


def _again(text: str, failure: RiskgraphError, request: Request, lang: str) -> Response:
    """The page once more, with why nothing was checked."""
    status, headers, key = failure.status, {}, "down"
    if isinstance(failure, TooManyRequests):
        key, headers = "often", {"Retry-After": str(math.ceil(failure.retry_after_s))}
    elif isinstance(failure, TooLarge):
        key = "wrong_length"
    elif isinstance(failure, BadRequest):
        key, status = "wrong_json" if text.strip() else "wrong_empty", 422
    elif isinstance(failure, Invalid):
        key = "wrong_report"
    answer = _shown(Checked(text, problem=key), request, lang, status)
    answer.headers.update(headers)
    return answer


def _shown(checked: Checked, request: Request, lang: str, status: int = 200) -> Response:
    lang = page_language(lang, request)
    headers = page_headers() | {"Content-Language": "zh-Hans" if lang == "zh" else "en"}
    page = render_verify(checked, lang, service_of(request).profile)
    return HTMLResponse(page, status_code=status, headers=headers)
