"""From the demo shop's forms to an order of contracts, section 2. Nothing that is typed is kept or logged."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec

from riskgraph.api.shop_pages import City, Pages, TestCard, parse_cart
from riskgraph.core.errors import Invalid

Form = Mapping[str, str]
CHANNEL = "demo_shop"
PURPOSES = ("behavior", "motion", "location", "device")
TIMEOUT_MS = 10_000
MAX_NAME, MAX_STREET, MAX_SESSION = 60, 120, 200
_BEIJING = timezone(timedelta(hours=8))
_PHONE = re.compile(r"1[3-9][0-9]{9}")
_ORDER = re.compile(r"S-[0-9A-F]{12}")
_VISIT = re.compile(r"([0-9]{10})-([0-9a-f]{12})")
_GAPS = re.compile(r"[\s-]")


def new_order() -> str:
    """A fresh order number; the form carries it, so that the same form sent twice is one order."""
    return f"S-{secrets.token_hex(6).upper()}"


def visit_name(now: float) -> str:
    """Stands for the account that this visit opens: the second at which it began, and a random number."""
    return f"{int(now)}-{secrets.token_hex(6)}"


def wrong_address(form: Form, cities: Mapping[str, City]) -> tuple[str, ...]:
    """Names of the fields of the address that have to be mended."""
    checks = {
        "name": 0 < len(form.get("name", "")) <= MAX_NAME,
        "phone": _phone(form) is not None,
        "city": form.get("city") in cities,
        "street": 0 < len(form.get("street", "")) <= MAX_STREET,
        "recipient": form.get("recipient") in ("same", "other"),
    }
    return tuple(name for name, right in checks.items() if not right)


def wrong_payment(form: Form, cards: Mapping[str, TestCard]) -> tuple[str, ...]:
    """Names of the fields of the payment page that have to be mended: only test cards are taken."""
    return () if form.get("method") == "wallet" or _card(form, cards) else ("card",)


def _phone(form: Form) -> str | None:
    number = _GAPS.sub("", form.get("phone", "")).removeprefix("+86")
    return number if _PHONE.fullmatch(number) else None


def _card(form: Form, cards: Mapping[str, TestCard]) -> TestCard | None:
    return cards.get(_GAPS.sub("", form.get("card", "")))


def check_hidden(form: Form, *, ordered: bool = False) -> None:
    """Whether the hidden fields are as the pages make them.

    Args:
        form: The fields of any page of the checkout.
        ordered: An order number must be there; where it need not be, it may be.

    Raises:
        Invalid: If one is missing or was tampered with.
    """
    for name, pattern, needed in (("visit", _VISIT, True), ("order_id", _ORDER, ordered)):
        text = form.get(name, "")
        if (needed or text) and not pattern.fullmatch(text):
            raise Invalid("this is not a form of this shop", field=name)


def body_of(form: Form, pages: Pages, merchant: str, now: float) -> dict[str, Any]:
    """The body of ``POST /v1/decisions`` for a form whose fields are right.

    Args:
        form: The fields of the payment page.
        pages: Goods, cities and test cards.
        merchant: Id of the simulated merchant.
        now: Epoch seconds.

    Raises:
        Invalid: If a hidden field was tampered with.
    """
    check_hidden(form, ordered=True)
    began, visit = form["visit"].split("-")
    consent = _consent(form.get("consent", ""))
    cart = parse_cart(form["cart"], pages.goods)
    city = pages.cities[form["city"]]
    total = sum(pages.goods[sku].cents * quantity for sku, quantity in cart)
    full = sum(pages.goods[sku].list_cents * quantity for sku, quantity in cart)
    session = form.get("session", "")
    return {
        "merchant_id": merchant,
        "order_id": form["order_id"],
        "channel_code": CHANNEL,
        "placed_at": datetime.fromtimestamp(now, _BEIJING).isoformat(timespec="milliseconds"),
        "jurisdiction": "CN",
        "lang": "zh" if form.get("lang") == "zh" else "en",
        "amount": {"value": f"{total / 100:.2f}", "currency": "CNY"},
        "list_total": f"{full / 100:.2f}",
        "items": [_item(pages, sku, quantity) for sku, quantity in cart],
        "account_created_at": datetime.fromtimestamp(min(int(began), now), UTC).isoformat(),
        "recipient": form["recipient"],
        "ship_to": {"region": city.region, "lat": city.lat, "lon": city.lon},
        "entities": _entities(form, pages, city, visit, consent),
        # Nobody else waits for the answer: the pages show it when it is there.
        "timeout_ms": TIMEOUT_MS,
        **({"consent": consent} if consent else {}),
        **({"session": session} if 0 < len(session) <= MAX_SESSION else {}),
    }


def _item(pages: Pages, sku: str, quantity: int) -> dict[str, Any]:
    good = pages.goods[sku]
    return {
        "sku": f"shop-{sku}",
        "category": good.category,
        "quantity": quantity,
        "price": f"{good.cents / 100:.2f}",
        "list_price": f"{good.list_cents / 100:.2f}",
    }


def _entities(form: Form, pages: Pages, city: City, visit: str, consent: Mapping[str, Any]) -> dict[str, str]:
    """Who ordered, by what means: of the device a random number, and that only with consent."""
    address = f"{city.name['zh']}{form['street']}"
    found = {"account": f"visit-{visit}", "address": address, "phone": f"+86{_phone(form)}"}
    card = _card(form, pages.cards)
    if form.get("method") != "wallet" and card is not None:
        found["card"] = card.name if card.shared else f"{card.name}-{visit}"
        found["card_bin"] = card.number[:6]
    if consent.get("purposes", {}).get("device"):
        found["device"] = f"visit-{visit}"
    return {name: f"shop-{value}" if name in ("account", "card", "device") else value
            for name, value in found.items()}  # fmt: skip


def _consent(text: str) -> dict[str, Any]:
    """The record that the page kept; none where nobody was asked, as without scripts.

    Raises:
        Invalid: If it is not what the page makes.
    """
    if not text:
        return {}
    try:
        record = msgspec.json.decode(text)
        purposes = {name: record["purposes"][name] is True for name in PURPOSES}
        named = {"record_id": record["id"], "policy_version": record["policyVersion"], "at": record["at"]}
    except (msgspec.DecodeError, LookupError, TypeError):
        raise Invalid("this is not a consent record of this shop", field="consent") from None
    return named | {"purposes": purposes}
