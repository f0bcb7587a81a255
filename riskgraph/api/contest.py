"""The page that a report links to: a shopper objects there, without login and without script."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from riskgraph.api.body import described, read_body
from riskgraph.api.state import service_of
from riskgraph.core.errors import Conflict, Invalid, NotFound, RiskgraphError, TooLarge, TooManyRequests
from riskgraph.core.review import WISHES
from riskgraph.explainers.afterwards import answered, day, received, stands, words
from riskgraph.explainers.contest_page import Page, blank, contest_csp, render_contest
from riskgraph.governance.contest_links import EXPIRED
from riskgraph.reviewing import MAX_WORDS
from riskgraph.service import Service

router = APIRouter(tags=["shopper"])
LOOKS, SENDS, WINDOW_S = 60, 5, 60.0
FORM = "application/x-www-form-urlencoded"
_PAGE: dict[str, Any] = {"content": {"text/html": {}}}
_DOCS: dict[int | str, dict[str, Any]] = {
    200: _PAGE | {"description": "The page"},
    404: _PAGE | {"description": "The link was not made here"},
    410: _PAGE | {"description": "The link has expired"},
    429: _PAGE | {"description": "Too often; `Retry-After` says when"},
}
_SENT_DOCS: dict[int | str, dict[str, Any]] = {
    **{status: row for status, row in _DOCS.items() if status != 200},
    303: {"description": "Kept; leads back to the page, which says until when there will be an answer"},
    409: _PAGE | {"description": "Ten objections wait for an answer already"},
    422: _PAGE | {"description": "Something is missing or too long; the page says what, with what was typed"},
    503: _PAGE | {"description": "It could not be kept"},
}
_FORM_DOCS = described(
    {
        "type": "object",
        "required": ["wish"],
        "properties": {
            "wish": {"enum": list(WISHES)},
            "text": {"type": "string", "maxLength": MAX_WORDS},
        },
    },
    FORM,
)


@dataclass(frozen=True, slots=True)
class Visit:
    """A shopper with a valid link."""

    service: Service
    decision_id: str
    lang: str
    page: Page


@router.get(
    "/contest/{token}",
    summary="The page for a shopper's objection",
    response_class=HTMLResponse,
    responses=_DOCS,
)
async def get_contest(token: str, request: Request, lang: str = "", sent: str = "") -> Response:
    """Says what was received and how it was answered, and takes an objection (GDPR Art. 12(2), 22(3))."""
    try:
        visit = await run_in_threadpool(_visit, token, request, lang, LOOKS)
    except RiskgraphError as failure:
        return _refused(request, lang, failure)
    page = visit.page
    if sent and page.received:
        told = await run_in_threadpool(visit.service.reviews.told, visit.decision_id)
        last = told["received"][-1]
        page = replace(
            page,
            sent=_say("sent", visit.lang, due=day(last["due"], visit.lang), reference=last["contest_id"]),
        )
    return _shown(page, visit.lang)


@router.post(
    "/contest/{token}",
    summary="Send an objection",
    status_code=303,
    response_class=HTMLResponse,
    responses=_SENT_DOCS,
    openapi_extra=_FORM_DOCS,
)
async def post_contest(token: str, request: Request, lang: str = "") -> Response:
    """Keeps the objection, then leads back to the page, so that a reload sends nothing twice."""
    try:
        visit = await run_in_threadpool(_visit, token, request, lang, SENDS)
    except RiskgraphError as failure:
        return _refused(request, lang, failure)
    sent: dict[str, str] = {}
    try:
        sent = await _form(request, visit.service)
        body = {key: value for key, value in sent.items() if value} | {"lang": visit.lang}
        reviews = visit.service.reviews
        await run_in_threadpool(reviews.contest, visit.decision_id, None, body, "page")
    except RiskgraphError as failure:
        return _again(visit, sent, failure)
    return RedirectResponse(f"?lang={visit.lang}&sent=1", status_code=303, headers=page_headers())


def _visit(token: str, request: Request, lang: str, calls: int) -> Visit:
    """Check the link before anything else is done, and the limit of the decision that it is for.

    Raises:
        NotFound: If the link is not valid, has expired, or its decision is gone.
        TooManyRequests: If it was used too often.
    """
    service = service_of(request)
    clock = service.line.clock
    decision_id = service.reviews.links.decision(token, clock.now())
    name = f"contest:{request.method}:{decision_id}"
    service.limiter.check(name, calls, clock.monotonic(), WINDOW_S)
    record = service.reviews.found(decision_id, None).report
    order, observed = record.order, record.score["mode"] == "observe"
    lang = page_language(lang, request, str(order["lang"]))
    told, page = service.reviews.told(decision_id), blank(service.profile, lang)
    page = replace(
        page,
        intro=_say("intro", lang, order=order["order_id"], controller=page.controller),
        hint=_say("hint", lang, most=MAX_WORDS),
        received=received(told, lang),
        answered=answered(told, lang),
        stands=stands(told, lang, observed),
    )
    return Visit(service, decision_id, lang, page)


def _say(key: str, lang: str, **values: object) -> str:
    return words(f"text.{key}", lang, **values)


def page_language(asked: str, request: Request, else_: str = "") -> str:
    """The language that was asked for, else the browser's, else the order's."""
    if asked in ("zh", "en"):
        return asked
    for part in request.headers.get("accept-language", "").split(","):
        tag = part.strip().lower()[:2]
        if tag in ("zh", "en"):
            return tag
    return "zh" if else_.lower().startswith("zh") else "en"


async def _form(request: Request, service: Service) -> dict[str, str]:
    """The fields that were sent.

    Raises:
        TooLarge: If the body is larger than any body may be.
        Invalid: If it is no form in UTF-8.
    """
    raw = await read_body(request, service.settings.max_body_bytes)
    try:
        fields = parse_qs(raw.decode("ascii"), errors="strict", max_num_fields=10)
    except (ValueError, UnicodeError):
        raise Invalid("this is no form in UTF-8", field="text") from None
    # Browsers send a line end as two characters, and count it as one.
    return {key: fields.get(key, [""])[-1].replace("\r\n", "\n") for key in ("wish", "text")}


def _again(visit: Visit, sent: dict[str, str], failure: RiskgraphError) -> Response:
    """The page once more, with what was typed and what has to be mended."""
    lang, text = visit.lang, sent.get("text", "")
    wrong = failure.field if isinstance(failure, Invalid) and failure.field in ("wish", "text") else ""
    if isinstance(failure, TooLarge) or len(text) > MAX_WORDS:
        wrong, problem = "text", _say("wrong_length", lang, most=MAX_WORDS)
    elif isinstance(failure, Conflict):
        problem = _say("many", lang, contact=visit.page.contact)
    elif not wrong:
        problem = _say("down", lang)
    elif wrong == "wish":
        problem = _say("wrong_wish", lang)
    else:
        problem = _say("wrong_words" if not text.strip() else "wrong_characters", lang)
    title = _say("wrong_title", lang)
    wish = sent.get("wish", "")
    page = replace(visit.page, wish=wish, text=text, wrong=wrong or "", problem=problem, problem_title=title)
    return _shown(page, lang, failure.status)


def _refused(request: Request, lang: str, failure: RiskgraphError) -> Response:
    """The page without its form: the link does not serve, or serves not now."""
    lang = page_language(lang, request)
    page, status = blank(service_of(request).profile, lang), failure.status
    title, key = _say("wrong_title", lang), "down"
    if isinstance(failure, TooManyRequests):
        key = "often"
    elif isinstance(failure, NotFound):
        key = "expired" if failure.code == EXPIRED else "invalid"
        title, status = _say(f"{key}_title", lang), 410 if failure.code == EXPIRED else 404
    problem = _say(key, lang, contact=page.contact)
    page = replace(page, form=False, problem_title=title, problem=problem)
    answer = _shown(page, lang, status)
    if isinstance(failure, TooManyRequests):
        answer.headers["Retry-After"] = str(math.ceil(failure.retry_after_s))
    return answer


def _shown(page: Page, lang: str, status: int = 200) -> Response:
    headers = page_headers() | {"Content-Language": "zh-Hans" if lang == "zh" else "en"}
    return HTMLResponse(render_contest(page, lang, MAX_WORDS), status_code=status, headers=headers)


def page_headers() -> dict[str, str]:
    """The link is a secret of the shopper: it goes into no cache, no index and no referrer."""
    return {
        "Content-Security-Policy": contest_csp(),
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }
