"""One order as a picture and as data, at the command line."""

from __future__ import annotations

import asyncio
import json
import re
from copy import deepcopy
from pathlib import Path
from xml.etree import ElementTree

import pytest

from riskgraph import bootstrap
from riskgraph.core.catalog import NODE_COUNT
from riskgraph.core.errors import ExtraMissing
from riskgraph.core.links import LinkedEntity, LinkedOrder, OrderLinks, short_name
from riskgraph.core.outcome import Outcome
from riskgraph.explainers.links_svg import CLOSEST, MOST, ORDER_RADIUS, _places
from riskgraph.explainers.order_picture import heading
from riskgraph.order_graph import find_order
from riskgraph.pipeline import decide
from riskgraph.settings import Settings
from tests.support.cli import riskgraph

NOW = 1_790_000_000.0
ORDER = Path(__file__).parents[1] / "golden/order.json"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, str]:
    """A home with three orders of one device, the first a fraud, the body of the last, its decision's id."""
    home = tmp_path_factory.mktemp("graph")
    service = bootstrap.open_service(Settings(home=home, deadline_ms=60_000), bootstrap.demo_profile())
    body = json.loads(ORDER.read_text("utf-8"))
    try:
        for i in range(3):
            sent = deepcopy(body) | {"order_id": f"G-{i}"}
            sent["entities"]["account"] = f"person-{i}"
            key = f"k{i}"
            work = decide(sent, service.line, key_id="k", idempotency_key=key, body_sha256="0" * 64)
            answer = json.loads(asyncio.run(work).body)
        fraud = key_of(body | {"order_id": "G-0"})
        service.store.append_outcomes([Outcome("x", fraud, "chargeback_fraud", NOW, NOW)])
    finally:
        service.close()
    return home, sent, answer["decision_id"]


def key_of(body: dict) -> str:
    return "|".join(body[name] for name in ("merchant_id", "channel_code", "order_id"))


def test_an_order_prints_as_node_link_data_that_networkx_reads(shop):
    networkx = pytest.importorskip("networkx")
    home, body, decision = shop
    data = riskgraph("graph", "order", decision, "--json", home=home).json()
    graph = networkx.node_link_graph(data, edges="edges")
    labels = [facts["label"] for _, facts in graph.nodes(data=True)]
    assert labels.count("Behavior") == NODE_COUNT
    assert labels.count("Order") == 3
    kinds = [kind for _, _, kind in graph.edges(keys=True)]
    assert kinds.count("HAS") == NODE_COUNT
    assert kinds.count("ON_DEVICE") == 3
    assert kinds.count("PLACED_BY") == 1
    present = {name for name, facts in graph.nodes(data=True) if facts.get("state") == "present"}
    typed = [(a, b) for a, b, kind in graph.edges(keys=True) if kind in ("CAUSAL", "SAME_PAGE")]
    assert typed
    assert all({a, b} <= present for a, b in typed)


def test_each_order_is_told_with_its_verdict_and_whether_it_was_a_fraud(shop):
    home, body, decision = shop
    told = riskgraph("graph", "order", decision, "--json", home=home).json()
    with bootstrap.open_keys(Settings(home=home)) as store:
        verdicts = {row["order_key"]: row["verdict"] for row in store.decisions(limit=10)}
    expected = {
        short_name(key_of(body | {"order_id": name})): (
            verdicts[key_of(body | {"order_id": name})],
            name == "G-0",
        )
        for name in ("G-0", "G-1", "G-2")
    }
    orders = [node for node in told["nodes"] if node["label"] == "Order"]
    assert {node["id"]: (node["verdict"], node["fraud"]) for node in orders} == expected


def test_an_order_is_found_by_its_key_too(shop):
    home, body, decision = shop
    by_id, by_key = (
        riskgraph("graph", "order", asked, "--json", home=home).json() for asked in (decision, key_of(body))
    )
    assert by_id == by_key


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("what", ["behavior", "links", "both"])
def test_a_picture_is_sound_in_both_languages_and_names_nobody(what, lang, shop, tmp_path):
    home, body, decision = shop
    out = tmp_path / "order.svg"
    draw = ("graph", "order", decision, "--what", what, "--lang", lang, "--out", out)
    riskgraph(*draw, home=home)
    svg = out.read_text("utf-8")
    ElementTree.fromstring(svg)
    raw = [body["order_id"], *(v for v in body["entities"].values() if isinstance(v, str))]
    assert [text for text in raw if text in svg] == []
    assert len(re.findall(r"<g><title>B\d{3} ", svg)) == (0 if what == "links" else NODE_COUNT)
    assert ('class="ent device"' in svg) == (what != "behavior")
    riskgraph(*draw, home=home)
    assert out.read_text("utf-8") == svg


@pytest.mark.parametrize(("lang", "word"), [("en", "fraud on record"), ("zh", "确认欺诈")])
def test_a_heading_says_that_fraud_is_on_record_with_and_without_a_decision(lang, word, shop):
    home, body, _ = shop
    with bootstrap.open_keys(Settings(home=home)) as store:
        decided, fine = (find_order(store, key_of(body | {"order_id": name}), 0) for name in ("G-0", "G-1"))
    for record in (decided.record, None):
        assert word in heading(record, decided.links, lang)[1]
        assert word not in heading(record, fine.links, lang)[1]


def test_a_png_is_as_large_as_the_picture(shop, tmp_path):
    home, _, decision = shop
    out = tmp_path / "order.png"
    ran = riskgraph("graph", "order", decision, "--what", "links", "--out", out, home=home)
    assert ran.code == 0, ran.err
    content = out.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert int.from_bytes(content[16:20]) == 2500


@pytest.mark.parametrize(
    ("asked", "named"), [("nothing", "no decision nothing"), ("m|web|none", "no order m|web|none")]
)
def test_an_order_that_is_not_there_is_named(asked, named, shop):
    ran = riskgraph("graph", "order", asked, home=shop[0])
    assert (ran.code, ran.out) == (1, b"")
    assert named in ran.error


def test_a_picture_of_another_kind_is_refused_before_any_work(tmp_path):
    ran = riskgraph("graph", "order", "x", "--out", tmp_path / "order.jpg", home=tmp_path)
    assert ran.code == 2
    assert ".svg or .png" in ran.error


def test_data_without_networkx_name_the_extra(shop, monkeypatch):
    import riskgraph.order_graph as module

    def missing(subgraph):
        raise ExtraMissing("the networkx export", "lab")

    monkeypatch.setattr(module, "to_networkx", missing)
    ran = riskgraph("graph", "order", shop[2], "--json", home=shop[0])
    assert ran.code != 0
    assert "lab" in ran.error


@pytest.mark.parametrize("count", [1, 2, 24, MOST])
def test_marks_of_orders_never_lie_upon_one_another(count):
    kinds = ("account", "device", "card", "address", "phone")
    entities = [LinkedEntity(kind, "0" * 8, count + 1, 0) for kind in kinds]
    orders = [
        LinkedOrder(f"{i:08x}", float(i), 1.0, "CNY", False, None, kinds[: 1 + i % 5]) for i in range(count)
    ]
    links = OrderLinks(orders[0], tuple(entities), tuple(orders))
    turns = {e.kind: i * 1.2566 for i, e in enumerate(links.entities)}
    places = sorted(turn % 6.283185307 for turn in _places(links.orders, turns))
    gaps = [b - a for a, b in zip(places, [*places[1:], places[0] + 6.283185307], strict=True)]
    assert min(gaps) * ORDER_RADIUS > 0.9 * CLOSEST
