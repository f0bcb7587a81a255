"""The demo shop: the pages of a small shop and the server behind them. Simulated merchants only."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from weakref import WeakValueDictionary

import msgspec
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from riskgraph.api.body import read_body
from riskgraph.api.checkout import decide_once
from riskgraph.api.contest import page_language
from riskgraph.api.shop_order import (
    body_of,
    check_hidden,
    new_order,
    visit_name,
    wrong_address,
    wrong_payment,
)
from riskgraph.api.shop_pages import Pages, changed, parse_cart
from riskgraph.api.state import service_of
from riskgraph.core.errors import BadRequest, Conflict, Invalid, NotFound, RiskgraphError, TooManyRequests
from riskgraph.core.order import order_key
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.choices import Audience, Lang, Law
from riskgraph.explainers.choices import Form as ReportForm
from riskgraph.explainers.render_html import csp
from riskgraph.governance.keys import create_key
from riskgraph.service import Service
from riskgraph.stores.sessions import SessionStore, order_name

router = APIRouter(prefix="/shop", include_in_schema=False)
# Metered under this name; it is no key, and nothing can be asked with it.
KEY_ID = "demo-shop"
MAX_FORM_BYTES = 16_384
MAX_ORDERS = 1000
MAX_ATTEMPTS = 10
ORDERS, WINDOW_S = 60, 60.0
KEY_DAYS = 30
MEDIA = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
# Scripts by their hash, and nothing from anywhere else.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    # Beacons and forms of the shop must tell their origin, others must not learn the page.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}


@dataclass
class DemoShop:
    """One run of the demo shop.

    Attributes:
        key: Publishable key of the pages; stored as a hash only.
        pages: Templates, words and goods.
        orders: By order id, the digests of the forms that were sent and what was decided on each, at most 10;
            the newest 1,000 orders.
        turns: Of an order one form at a time, so that a second press finds what the first one led to. A lock
            lasts while somebody holds it or waits.
    """

    key: str
    pages: Pages
    orders: OrderedDict[str, dict[str, str]] = field(default_factory=OrderedDict)
    turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @classmethod
    def open(cls, service: Service, origins: tuple[str, ...]) -> DemoShop:
        """Make the shop of a simulated merchant, with a key that works on its own pages alone.

        Raises:
            Invalid: If the merchant is a real one.
        """
        if not service.profile.simulated:
            raise Invalid("the demo shop sells for the simulated merchant only", field="merchant")
        pages = Pages.load()
        now = service.line.clock.now()
        merchant = str(service.profile.data["merchant_id"])
        key = create_key(
            service.store,
            roles=["publishable"],
            org=merchant,
            origins=origins,
            expires=now + 86_400.0 * KEY_DAYS,
        )
        return cls(key, pages)

    def close(self, service: Service) -> None:
        """The key ends with the run."""
        service.store.revoke_key(self.key.split("_")[1])

    def decided(self, decision_id: str) -> bool:
        """Whether this run of the shop has made that decision."""
        return any(decision_id in found.values() for found in self.orders.values())

    def keep(self, order_id: str, digest: str, decision_id: str) -> None:
        self.orders.setdefault(order_id, {})[digest] = decision_id
        while len(self.orders) > MAX_ORDERS:
            self.orders.popitem(last=False)


def shop_of(request: Request) -> DemoShop:
    shop: DemoShop = request.app.state.shop
    return shop


def shown(request: Request, page: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """A page in the language that was asked for, with the cart that its address tells."""
    shop = shop_of(request)
    lang = values.pop("lang", None) or page_language(request.query_params.get("lang", ""), request)
    cart = values.pop("cart", None)
    cart = parse_cart(request.query_params.get("cart", ""), shop.pages.goods) if cart is None else cart
    here = values.pop("here", request.url.path)
    html = shop.pages.render(page, lang, cart, here=here, key=shop.key, **values)
    headers = HEADERS | {"Content-Language": "zh-Hans" if lang == "zh" else "en"}
    return HTMLResponse(html, status_code=status, headers=headers)


def problem(request: Request, failure: RiskgraphError, lang: str | None = None) -> Response:
    """The page that says that it did not work; what was typed is not told back."""
    kinds = {
        NotFound: "gone",
        Conflict: "busy",
        TooManyRequests: "often",
        BadRequest: "form",
        Invalid: "form",
    }
    name = next((text for kind, text in kinds.items() if isinstance(failure, kind)), "down")
    name = "full" if failure.code == "order_full" else name
    page = shown(request, "problem", failure.status, lang=lang, problem=name)
    if isinstance(failure, TooManyRequests):
        page.headers["Retry-After"] = str(math.ceil(failure.retry_after_s))
    return page


def takes_form(
    handler: Callable[[Request, dict[str, str]], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """A route of the checkout: reads the form, checks its hidden fields, answers a failure with a page."""

    async def answer(request: Request) -> Response:
        lang = None
        try:
            form = await read_form(request)
            lang = _language(form)
            check_hidden(form)
            return await handler(request, form)
        except RiskgraphError as failure:
            return problem(request, failure, lang)

    return answer


@router.get("")
async def get_root() -> Response:
    return RedirectResponse("/shop/", status_code=308)


@router.get("/")
async def get_home(request: Request, q: str = "") -> Response:
    return shown(request, "home", q=q.strip()[:40])


@router.get("/product/{sku}")
async def get_product(sku: str, request: Request) -> Response:
    if sku not in shop_of(request).pages.goods:
        return problem(request, NotFound("no such product"))
    return shown(request, "product", sku=sku)


@router.get("/cart")
async def get_cart(request: Request) -> Response:
    """The cart lies in the address of the page: no cookie, no storage, and it works without scripts."""
    asked = request.query_params
    goods = shop_of(request).pages.goods
    cart = parse_cart(asked.get("cart", ""), goods)
    if "add" not in asked and "set" not in asked:
        return shown(request, "cart", cart=cart)
    text = changed(cart, goods, asked.get("add", ""), asked.get("quantity", "1"), asked.get("set", ""))
    lang = page_language(asked.get("lang", ""), request)
    return RedirectResponse(f"/shop/cart?lang={lang}&cart={text}", status_code=303, headers=HEADERS)


@router.get("/address")
async def get_address(request: Request) -> Response:
    now = service_of(request).line.clock.now()
    return _address(request, {"visit": visit_name(now), "cart": request.query_params.get("cart", "")})


@router.post("/address")
@takes_form
async def post_address(request: Request, form: dict[str, str]) -> Response:
    """Back from the payment page, or in the other language, with what was typed."""
    return _address(request, form, lang=_language(form))


def _address(
    request: Request, form: dict[str, str], lang: str | None = None, wrong: tuple[str, ...] = ()
) -> Response:
    cart = parse_cart(form.get("cart", ""), shop_of(request).pages.goods)
    if not cart:
        return shown(request, "cart", lang=lang, cart=cart)
    here = "/shop/address"
    return shown(
        request, "address", 422 if wrong else 200, lang=lang, cart=cart, v=form, wrong=wrong, here=here
    )


@router.post("/payment")
@takes_form
async def post_payment(request: Request, form: dict[str, str]) -> Response:
    """The payment page; what was typed before comes along in the form, and is kept nowhere."""
    lang, pages = _language(form), shop_of(request).pages
    wrong = wrong_address(form, pages.cities)
    if wrong or not parse_cart(form.get("cart", ""), pages.goods):
        return _address(request, form, lang, wrong)
    return _payment(request, form | {"order_id": form.get("order_id") or new_order()}, lang)


def _payment(request: Request, form: dict[str, str], lang: str, wrong: tuple[str, ...] = ()) -> Response:
    cart = parse_cart(form["cart"], shop_of(request).pages.goods)
    return shown(
        request, "payment", 422 if wrong else 200, lang=lang, cart=cart, v=form | {"card": "", "lang": lang},
        wrong=wrong, here="/shop/payment",
    )  # fmt: skip


@router.post("/orders")
@takes_form
async def post_order(request: Request, form: dict[str, str]) -> Response:
    """What the shop's own server does: builds the order, asks for a decision, and shows it.

    The same form sent twice is one order; a changed one is its next attempt.
    """
    check_hidden(form, ordered=True)
    shop, service, lang = shop_of(request), service_of(request), _language(form)
    pages = shop.pages
    wrong = wrong_address(form, pages.cities)
    if wrong or not parse_cart(form.get("cart", ""), pages.goods):
        return _address(request, form, lang, wrong)
    wrong = wrong_payment(form, pages.cards)
    if wrong:
        return _payment(request, form, lang, wrong)
    async with shop.turns.setdefault(form["order_id"], asyncio.Lock()):
        decision_id = await _decide(shop, service, form)
    return RedirectResponse(f"/shop/done/{decision_id}?lang={lang}", status_code=303, headers=HEADERS)


async def _decide(shop: DemoShop, service: Service, form: dict[str, str]) -> str:
    order_id, digest = form["order_id"], service.line.door.body(msgspec.json.encode(form))
    earlier = shop.orders.get(order_id, {})
    if digest in earlier:
        return earlier[digest]
    if len(earlier) >= MAX_ATTEMPTS:
        raise Conflict(f"an order may be tried {MAX_ATTEMPTS} times: begin a new one", code="order_full")
    service.limiter.check(KEY_ID, ORDERS, service.line.clock.monotonic(), WINDOW_S)
    merchant, now = str(service.profile.data["merchant_id"]), service.line.clock.now()
    body = body_of(form, shop.pages, merchant, now) | {"attempt": len(earlier) + 1}
    answer = await decide_once(service, body, msgspec.json.encode(body), KEY_ID)
    decision_id: str = msgspec.json.decode(bytes(answer.body))["decision_id"]
    shop.keep(order_id, digest, decision_id)
    return decision_id


@router.get("/done/{decision_id}")
async def get_done(decision_id: str, request: Request) -> Response:
    """Verdict, reasons, what was gathered, and where the report lies."""
    shop, service = shop_of(request), service_of(request)
    lang = page_language(request.query_params.get("lang", ""), request)
    try:
        if not shop.decided(decision_id):
            raise NotFound("not a decision of this run")
        told = await run_in_threadpool(_told, service, decision_id, lang)
    except RiskgraphError as failure:
        return problem(request, failure, lang)
    page = shown(request, "done", lang=lang, cart=(), told=told)
    page.headers["Cache-Control"] = "private, no-store"
    return page


def _told(service: Service, decision_id: str, lang: str) -> dict[str, Any]:
    """The answer as the shop's server got it, its reasons in the language of the page, and the subgraph."""
    found = service.reviews.found(decision_id, None)
    answer: dict[str, Any] = msgspec.json.decode(found.answer)
    graph = OrderSubgraph.unpack(found.report.subgraph)
    texts = service.line.writer.texts(found.report, graph, lang)
    reasons = [reason | {"text": text} for reason, text in zip(answer["reasons"], texts, strict=True)]
    contest = service.reviews.contest_url(decision_id, found.report.issued_at)
    return answer | {
        "order_id": found.report.order["order_id"],
        "reasons": reasons,
        "contest": contest,
        "subgraph": found.report.subgraph,
    }


@router.post("/withdraw/{decision_id}")
async def post_withdraw(decision_id: str, request: Request) -> Response:
    """Withdraw the consent of an order's sessions; after the order the page has no nonce to ask with itself.

    The decision stands, and what it rested on stays in its record (GDPR Art. 7(3); PIPL Art. 15).
    """
    service = service_of(request)
    if not shop_of(request).decided(decision_id):
        return Response(status_code=404, headers=HEADERS)
    found = await run_in_threadpool(service.reviews.found, decision_id, None)
    facts = found.report.order
    key = order_key(found.merchant_id, facts["channel_code"], facts["order_id"])
    names = [order_name(service.line.door, key)]
    await run_in_threadpool(_withdraw, service.subjects.sessions, names, service.line.clock.now())
    return Response(status_code=204, headers=HEADERS)


def _withdraw(store: SessionStore, names: Sequence[bytes], now: float) -> None:
    """Whatever was gathered under the consents of these orders goes, and nothing more is taken under them."""
    for session in store.of_orders(names):
        store.withdraw(session, now)
    store.erase(names)


@router.get("/report/{decision_id}")
async def get_report(
    decision_id: str, request: Request, lang: Lang = Lang.ZH, format: ReportForm = ReportForm.HTML
) -> Response:
    """The subject's report on a decision of this run, as the shop would hand it to its customer."""
    service = service_of(request)
    try:
        if not shop_of(request).decided(decision_id):
            raise NotFound("not a decision of this run")
        content, media = await run_in_threadpool(
            service.reports.render,
            decision_id, None, Audience.SUBJECT.value, Law.BOTH.value, lang.value, format.value,
        )  # fmt: skip
    except RiskgraphError as failure:
        return problem(request, failure, lang.value)
    headers = {
        "Content-Security-Policy": csp() if format is ReportForm.HTML else "default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "private, no-store",
    }
    return Response(content, media_type=media, headers=headers)


@router.get("/inventory")
async def get_inventory(request: Request) -> Response:
    """All fields that the SDK can send, by purpose."""
    return shown(request, "inventory")


@router.get("/{folder}/{name}")
async def get_file(folder: str, name: str, request: Request) -> Response:
    """Style, script, picture, and the built SDK."""
    content = shop_of(request).pages.files.get(f"{folder}/{name}")
    if content is None:
        return problem(request, NotFound("no such file"))
    # Their addresses hold their hashes.
    headers = HEADERS | {"Cache-Control": "public, max-age=86400, immutable"}
    return Response(content, media_type=MEDIA[name.rpartition(".")[2]], headers=headers)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, each once.

    Raises:
        TooLarge: If it has more than 16 KB.
        BadRequest: If it is no form in UTF-8.
    """
    raw = await read_body(request, MAX_FORM_BYTES)
    try:
        fields = parse_qs(raw.decode("ascii"), errors="strict", max_num_fields=40, keep_blank_values=True)
    except (ValueError, UnicodeError):
        raise BadRequest("this is no form in UTF-8") from None
    return {name: values[-1].strip() for name, values in fields.items()}


def _language(form: dict[str, str]) -> str:
    asked = form.get("switch") or form.get("lang")
    return "zh" if asked == "zh" else "en"
