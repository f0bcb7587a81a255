"""Templates, words and goods of the demo shop, read once at the start."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from riskgraph.core.catalog import catalog
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.explainers.sections import TAG

POLICY_VERSION = "demo-2026-11"
OTHER = {"zh": "en", "en": "zh"}
MOST = 5
_QUANTITIES = {str(number): number for number in range(MOST + 1)}
PAGES: dict[str, dict[str, str | None]] = {
    "home": {"page": "home"},
    "product": {"page": "product"},
    "cart": {"page": "cart", "step": "cart"},
    "address": {"page": "checkout", "stage": "address", "step": "address", "switch_form": "address-form"},
    "payment": {"page": "checkout", "stage": "payment", "step": "payment", "switch_form": "payment-form"},
    "done": {"page": "other", "step": "done"},
    "inventory": {"page": "other"},
    "problem": {"page": "other"},
}
Cart = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Good:
    """One product; money in hundredths of a yuan."""

    name: Mapping[str, str]
    text: Mapping[str, str]
    category: str
    cents: int
    list_cents: int


@dataclass(frozen=True, slots=True)
class City:
    """Where the shop delivers: GB/T 2260 code, and the middle of the city in degrees."""

    name: Mapping[str, str]
    region: str
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class TestCard:
    """A number of no bank; ``shared`` is the same card for all who take it."""

    name: str
    number: str
    shared: bool
    text: Mapping[str, str]


def parse_cart(text: str, goods: Mapping[str, Good]) -> list[tuple[str, int]]:
    """``tea.1-lamp.2`` as SKUs with quantities of 1 to 5; what is no such line is left out."""
    found: dict[str, int] = {}
    for line in text.split("-")[: len(goods)]:
        sku, _, number = line.partition(".")
        if sku in goods and _QUANTITIES.get(number):
            found[sku] = _QUANTITIES[number]
    return list(found.items())


def cart_text(cart: Cart) -> str:
    return "-".join(f"{sku}.{quantity}" for sku, quantity in cart)


def changed(cart: Cart, goods: Mapping[str, Good], add: str, quantity: str, set_: str) -> str:
    """The cart after a press of a button: ``add`` names a SKU, ``set_`` a line with its new quantity."""
    lines = dict(cart)
    if add in goods:
        lines[add] = min(MOST, lines.get(add, 0) + _QUANTITIES.get(quantity, 0))
    sku, _, number = set_.partition(".")
    if sku in lines and number in _QUANTITIES:
        lines[sku] = _QUANTITIES[number]
    return cart_text([(name, many) for name, many in lines.items() if many])


@dataclass(frozen=True)
class Pages:
    """What the demo shop shows.

    Attributes:
        words, script: Texts of the pages and of the script, by name and language.
        goods, cities: By id.
        cards: Test cards by their number.
        files: Style, script, picture and SDK by ``folder/name``.
        inventory: Fields of the SDK by key, with text, form and purpose.
    """

    words: Mapping[str, Mapping[str, str]]
    script: Mapping[str, Mapping[str, str]]
    goods: Mapping[str, Good]
    cities: Mapping[str, City]
    cards: Mapping[str, TestCard]
    files: Mapping[str, bytes]
    inventory: Mapping[str, Mapping[str, str]]

    @classmethod
    def load(cls) -> Pages:
        """Read what ships with the package."""
        root = resources.files("riskgraph.shop")
        words = tomllib.loads(root.joinpath("data", "words.toml").read_text("utf-8"))
        sold = tomllib.loads(root.joinpath("data", "goods.toml").read_text("utf-8"))
        files = {
            f"{folder}/{path.name}": path.read_bytes()
            for folder in ("static", "sdk")
            for path in root.joinpath(folder).iterdir()
        }
        cards = [
            TestCard(name, row["number"], row.get("shared", False), row["name"])
            for name, row in sold["cards"].items()
        ]
        return cls(
            words=words["page"],
            script=words["script"],
            goods={sku: _good(row) for sku, row in sold["goods"].items()},
            cities={name: City(**row) for name, row in sold["cities"].items()},
            cards={card.number: card for card in cards},
            files=files,
            inventory=json.loads(files["sdk/inventory.json"]),
        )

    @cached_property
    def scripts(self) -> list[dict[str, str]]:
        """The SDK's scripts with their published hashes, which browsers check (Subresource Integrity)."""
        published: dict[str, str] = json.loads(self.files["sdk/sri.json"])["files"]
        return [{"name": name, "integrity": integrity} for name, integrity in published.items()]

    def asset(self, name: str) -> str:
        """Address of a file that changes with its content, so that browsers may keep it."""
        return f"/shop/{name}?v={hashlib.sha256(self.files[name]).hexdigest()[:12]}"

    @cached_property
    def environment(self) -> Environment:
        folder = resources.files("riskgraph.shop").joinpath("templates")
        return Environment(
            loader=FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, page: str, lang: str, cart: Cart, *, here: str, key: str, **values: Any) -> str:
        """A page as HTML.

        Args:
            page: Which one.
            lang: ``zh`` or ``en``.
            cart: SKUs with quantities.
            here: Path of the page, for the link to the other language.
            key: Publishable key, for the SDK.
            values: What this page shows besides.
        """
        text = cart_text(cart)

        def link(path: str, lang: str = lang, cart: str = text) -> str:
            return f"{path}?lang={lang}" + (f"&cart={cart}" if cart else "")

        shown = getattr(self, f"_{page}", lambda lang, cart, **values: values)(lang, cart, **values)
        base = dict.fromkeys(("stage", "step", "switch_form", "category", "q"), None) | PAGES[page]
        t = {name: row[lang] for name, row in self.words.items()}
        return self.environment.get_template(f"{page}.html.j2").render(
            base
            | {"title": t.get(page, t["tagline"]), "wrong": (), "q": "", "most": MOST}
            | self._cart_lines(lang, cart)
            | shown
            | {"t": t, "lang": lang, "tag": TAG[lang], "other": OTHER[lang], "other_tag": TAG[OTHER[lang]]}
            | {"script": {name: row[lang] for name, row in self.script.items()}}
            | {"scripts": self.scripts, "asset": self.asset}
            | {"here": here, "key": key, "link": link, "cart_text": text, "policy_version": POLICY_VERSION}
        )

    def _cart_lines(self, lang: str, cart: Cart) -> dict[str, Any]:
        lines = [self._line(sku, lang, quantity) for sku, quantity in cart]
        total = sum(self.goods[sku].cents * quantity for sku, quantity in cart)
        return {"cart": lines, "total": _money(total), "count": sum(quantity for _, quantity in cart)}

    def _line(self, sku: str, lang: str, quantity: int = 1) -> dict[str, Any]:
        good = self.goods[sku]
        return {
            "sku": sku,
            "name": good.name[lang],
            "text": good.text[lang],
            "category": good.category,
            "price": _money(good.cents),
            "list_price": _money(good.list_cents) if good.list_cents > good.cents else None,
            "quantity": quantity,
            "total": _money(good.cents * quantity),
        }

    def _home(self, lang: str, cart: Cart, *, q: str) -> dict[str, Any]:
        found = [
            self._line(sku, lang)
            for sku, good in self.goods.items()
            if q.lower() in f"{' '.join(good.name.values())} {' '.join(good.text.values())}".lower()
        ]
        return {"goods": found, "q": q}

    def _product(self, lang: str, cart: Cart, *, sku: str) -> dict[str, Any]:
        good = self._line(sku, lang)
        return {"good": good, "title": good["name"], "category": good["category"]}

    def _address(
        self, lang: str, cart: Cart, *, v: Mapping[str, str], wrong: Sequence[str] = ()
    ) -> dict[str, Any]:
        cities = [{"id": name, "name": city.name[lang]} for name, city in self.cities.items()]
        blank = dict.fromkeys(
            ("visit", "order_id", "name", "phone", "city", "street", "note", "recipient"), ""
        )
        return {"v": blank | dict(v), "wrong": wrong, "cities": cities}

    def _payment(
        self, lang: str, cart: Cart, *, v: Mapping[str, str], wrong: Sequence[str] = ()
    ) -> dict[str, Any]:
        cards = [
            {"shown": " ".join(card.number[at : at + 4] for at in range(0, 16, 4)), "name": card.text[lang]}
            for card in self.cards.values()
        ]
        blank = {"note": "", "method": "card"}
        return {
            "v": blank | dict(v),
            "wrong": wrong,
            "cards": cards,
            "city_name": self.cities[v["city"]].name[lang],
        }

    def _done(self, lang: str, cart: Cart, *, told: Mapping[str, Any]) -> dict[str, Any]:
        nodes = gathered(OrderSubgraph.unpack(told["subgraph"]), lang)
        d = {
            "id": told["decision_id"],
            "order_id": told["order_id"],
            "verdict": told["verdict"],
            "score": told["score"],
            "action": told["action"],
            "model": told["versions"]["model"],
        }
        hidden = ("subgraph", "contest")
        known = {name: value for name, value in told.items() if name not in hidden}
        facts = json.dumps(known | {"nodes": nodes}, ensure_ascii=False)
        return {
            "d": d,
            "reasons": told["reasons"],
            "contest": told["contest"],
            "nodes": nodes,
            "facts": facts,
        }

    def _inventory(self, lang: str, cart: Cart) -> dict[str, Any]:
        by_purpose: dict[str, list[dict[str, str]]] = {}
        for key, row in self.inventory.items():
            by_purpose.setdefault(row["purpose"], []).append({"key": key, **row})
        return {"inventory": list(by_purpose.items())}

    def _problem(self, lang: str, cart: Cart, *, problem: str) -> dict[str, Any]:
        return {"message": self.words[f"problem_{problem}"][lang]}


def gathered(subgraph: OrderSubgraph, lang: str) -> dict[str, Any]:
    """Nodes of the browser: those that are there, and how many are absent, by cause."""
    mine = [node for node in catalog() if node.computed_by == "sdk"]
    states = {node.id: State(int(subgraph.states[node.index])) for node in mine}
    present = [
        {"id": node.id, "name": node.name_zh if lang == "zh" else node.name.replace("_", " ")}
        for node in mine
        if states[node.id] is State.PRESENT
    ]
    causes = (State.REFUSED, State.NOT_DELIVERED, State.NOT_APPLICABLE)
    absent = {cause.word: sum(state is cause for state in states.values()) for cause in causes}
    return {"all": len(mine), "present": present, "absent": absent}


def _good(row: Mapping[str, Any]) -> Good:
    cents = _cents(row["price"])
    full = _cents(row.get("list_price", row["price"]))
    return Good(row["name"], row["text"], row["category"], cents, full)


def _cents(text: str) -> int:
    whole, _, part = text.partition(".")
    return int(whole) * 100 + int(part)


def _money(cents: int) -> str:
    return f"{cents / 100:,.2f}"
