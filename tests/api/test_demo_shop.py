"""The demo shop over HTTP, as a browser without scripts uses it, and as its script does."""

from __future__ import annotations

import asyncio
import html
import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from riskgraph import bootstrap
from riskgraph.api.app import create_app
from riskgraph.api.shop import DemoShop
from riskgraph.api.shop_order import body_of, new_order, visit_name, wrong_address, wrong_payment
from riskgraph.api.shop_pages import Pages, changed, parse_cart
from riskgraph.cli import app
from riskgraph.commands.serve import HideLinks, first_key, shop_origins
from riskgraph.core.errors import Invalid
from riskgraph.core.order import parse_order
from riskgraph.settings import Settings
from tests.models.helpers import random_model

ORIGIN = "http://127.0.0.1:8137"
ADDRESS = {
    "lang": "en", "cart": "teapot.1-lamp.2", "name": "Lin Yue", "phone": "138 1234 5678", "city": "hangzhou",
    "street": "Xihu, Wensan Road 9", "note": "", "recipient": "same",
}  # fmt: skip
CARD = {"method": "card", "card": "6228 4800 0000 0007", "session": "", "consent": ""}
REFUSED = dict.fromkeys(("behavior", "motion", "location", "device"), False)
PAGES = Pages.load()


def record(**purposes: bool) -> str:
    return json.dumps(
        {
            "id": "c-1",
            "policyVersion": "demo-2026-11",
            "at": "2026-11-27T10:00:00+00:00",
            "purposes": REFUSED | purposes,
        }
    )


@pytest.fixture
def opened(tmp_path):
    random_model(tmp_path / "model", seed=3)
    settings = replace(Settings(), home=tmp_path / "home", model=tmp_path / "model", deadline_ms=60_000)
    service = bootstrap.open_service(settings, bootstrap.demo_profile())
    shop = DemoShop.open(service, (ORIGIN,))
    served = create_app(service, shop)
    with TestClient(served, base_url=ORIGIN, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client, service, shop


@pytest.fixture
def client(opened):
    return opened[0]


def fields(page: str) -> dict[str, str]:
    """Hidden fields of a page's last form, as a browser would send them."""
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in hidden}


def payment(client, **changes: str) -> dict[str, str]:
    """The fields of the payment page, filled in."""
    start = client.get("/shop/address", params={"lang": "en", "cart": ADDRESS["cart"]})
    sent = ADDRESS | {"visit": fields(start.text)["visit"]} | changes
    page = client.post("/shop/payment", data=sent)
    assert page.status_code == 200, page.text
    return fields(page.text) | CARD


def order(client, form: dict[str, str]) -> str:
    """The id of the decision on a form."""
    answer = client.post("/shop/orders", data=form)
    assert answer.status_code == 303, answer.text
    return re.search("/shop/done/([0-9a-f]{32})", answer.headers["location"])[1]


def facts(client, decision_id: str, lang: str = "en") -> dict:
    page = client.get(f"/shop/done/{decision_id}", params={"lang": lang})
    assert page.status_code == 200
    return json.loads(html.unescape(re.search('data-facts="([^"]*)"', page.text)[1]))


def test_the_shop_is_not_there_unless_it_is_asked_for(tmp_path):
    random_model(tmp_path / "model", seed=3)
    settings = replace(Settings(), home=tmp_path / "home", model=tmp_path / "model")
    with TestClient(create_app(bootstrap.open_service(settings, bootstrap.demo_profile()))) as client:
        assert client.get("/shop/").status_code == 404


def test_a_real_merchant_is_refused(opened):
    _, service, _ = opened
    real = replace(
        service, profile=replace(service.profile, data=service.profile.data | {"provenance": "merchant"})
    )
    with pytest.raises(Invalid, match="simulated"):
        DemoShop.open(real, (ORIGIN,))


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(
    "path",
    ["/", "/product/tea", "/cart?cart=tea.1", "/cart", "/address?cart=tea.1", "/inventory", "/?q=lamp"],
)
def test_each_page_says_that_it_is_simulated_and_carries_its_policy(client, path, lang):
    page = client.get(f"/shop{path}", headers={"Accept-Language": lang})
    assert page.status_code == 200
    assert {"zh": "模拟", "en": "simulated"}[lang] in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in policy
    assert "trusted-types 'none'" in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page.text)
    assert not re.search(r'(?:src|href)="https?:', page.text)


def test_scripts_of_the_sdk_are_pinned_by_their_hash(client):
    page = client.get("/shop/").text
    pinned = dict(re.findall(r'src="(/shop/sdk/[^"]+)" integrity="([^"]+)"', page))
    assert len(pinned) == 6
    for path in pinned:
        assert client.get(path).headers["content-type"].startswith("text/javascript")
    assert client.get("/shop/sdk/../../../etc/passwd").status_code == 404
    assert client.get("/shop/sdk/unknown.js").status_code == 404


def test_an_order_without_scripts_is_decided_and_its_report_shown(client):
    decision = order(client, payment(client))
    told = facts(client, decision)
    assert told["provenance"] == "simulated"
    assert told["availability_class"] == "pre_auth/no_front_end"
    page = client.get(f"/shop/report/{decision}", params={"lang": "zh", "format": "html"})
    assert page.status_code == 200
    assert page.headers["cache-control"] == "private, no-store"
    report = client.get(f"/shop/report/{decision}", params={"lang": "en", "format": "json"}).json()
    assert report["audience"] == "subject"
    assert f"/contest/{decision}" in client.get(f"/shop/done/{decision}").text


def test_reasons_are_told_in_the_language_of_the_page(client):
    decision = order(client, payment(client))
    zh, en = facts(client, decision, "zh"), facts(client, decision, "en")
    assert [r["code"] for r in zh["reasons"]] == [r["code"] for r in en["reasons"]]
    assert all(re.search("[一-鿿]", r["text"]) for r in zh["reasons"])
    assert not any(re.search("[一-鿿]", r["text"]) for r in en["reasons"])


def test_reports_of_decisions_that_others_asked_for_are_not_told(opened):
    client, service, shop = opened
    decision = order(client, payment(client))
    shop.orders.clear()
    assert service.reviews.found(decision, None)
    for path in (f"/shop/report/{decision}", f"/shop/done/{decision}"):
        page = client.get(path, params={"lang": "en"})
        assert page.status_code == 404
        assert decision not in page.text.replace(f"/shop/done/{decision}", "").replace(
            f"/shop/report/{decision}", ""
        )


def test_the_same_form_twice_is_one_order_and_a_changed_one_its_next_attempt(opened):
    client, service, _ = opened
    form = payment(client)
    first = order(client, form)
    assert order(client, form) == first
    second = order(client, form | {"method": "wallet", "card": ""})
    assert second != first
    attempts = [service.reviews.found(name, None).report.order["order_id"] for name in (first, second)]
    assert attempts == [form["order_id"]] * 2


def test_two_presses_at_one_time_are_one_order(client):
    form = payment(client)
    with ThreadPoolExecutor() as pool:
        assert len(set(pool.map(lambda _: order(client, form), range(4)))) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("name", ""), ("name", "x" * 61), ("phone", "12345"), ("city", "atlantis"), ("street", ""),
     ("recipient", "nobody")],
)  # fmt: skip
def test_a_wrong_address_is_shown_again_with_what_is_wrong(client, name, value):
    page = client.post("/shop/payment", data=ADDRESS | {"visit": visit_name(1_790_000_000), name: value})
    assert page.status_code == 422
    assert f'href="#{name}"' in page.text
    assert "Xihu" in page.text or name == "street"


def test_a_card_number_that_is_no_test_card_is_refused_and_not_told_back(opened):
    client, service, _ = opened
    form = payment(client) | {"card": "4111 1111 1111 1111"}
    page = client.post("/shop/orders", data=form)
    assert page.status_code == 422
    assert "4111" not in page.text
    assert service.store.decision_of(f"m-demo|demo_shop|{form['order_id']}") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("visit", "x"), ("visit", None), ("order_id", "A-1"), ("order_id", None), ("consent", "{"),
     ("consent", "[]"), ("consent", '{"id": 1}')],
)  # fmt: skip
@pytest.mark.parametrize("card", [CARD["card"], "1"])
def test_a_tampered_form_is_no_order(client, name, value, card):
    form = payment(client) | {"card": card, name: value}
    page = client.post("/shop/orders", data={key: text for key, text in form.items() if text is not None})
    assert page.status_code == 422
    assert "not a form of this shop" in page.text or (card == "1" and name == "consent")


@pytest.mark.parametrize("path", ["/shop/address", "/shop/payment"])
@pytest.mark.parametrize(
    "changes", [{}, {"visit": "x"}, {"visit": visit_name(1_790_000_000), "order_id": "A-1"}]
)
def test_a_tampered_form_leads_to_no_next_page(client, path, changes):
    page = client.post(path, data=ADDRESS | changes)
    assert page.status_code == 422
    assert "not a form of this shop" in page.text


@pytest.mark.parametrize("path", ["/shop/address", "/shop/payment", "/shop/orders"])
def test_any_subset_of_a_forms_fields_is_answered(client, path):
    form = payment(client)
    for missing in form:
        kept = {name: text for name, text in form.items() if name != missing}
        assert client.post(path, data=kept).status_code < 500, missing


def test_an_order_has_ten_attempts(opened):
    client, _, shop = opened
    form = payment(client)
    sent = [form | {"note": f"ring {n} times"} for n in range(11)]
    first, *_ = [order(client, one) for one in sent[:10]]
    page = client.post("/shop/orders", data=sent[10])
    assert page.status_code == 409
    assert "ten times" in page.text
    assert len(shop.orders[form["order_id"]]) == 10
    assert order(client, sent[0]) == first
    assert not shop.turns


def test_the_shop_decides_at_most_sixty_orders_a_minute(opened):
    client, service, _ = opened
    form = payment(client)
    for _ in range(60):
        service.limiter.check("demo-shop", 60, service.line.clock.monotonic(), 60.0)
    page = client.post("/shop/orders", data=form)
    assert page.status_code == 429
    assert int(page.headers["retry-after"]) >= 1
    assert service.store.decision_of(f"m-demo|demo_shop|{form['order_id']}") is None


def test_an_order_that_takes_long_holds_up_no_other(opened):
    client, _, shop = opened
    slow, other = payment(client), payment(client)

    async def held() -> asyncio.Lock:
        lock = shop.turns.setdefault(slow["order_id"], asyncio.Lock())
        await lock.acquire()
        return lock

    lock = client.portal.call(held)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(order, client, slow)
        assert order(client, other)
        assert not waiting.done()
        client.portal.call(lock.release)
        assert waiting.result()


@pytest.mark.parametrize(("path", "stage"), [("/shop/address", "address"), ("/shop/payment", "payment")])
def test_enter_in_a_field_goes_on(client, path, stage):
    page = client.post(path, data=ADDRESS | {"visit": visit_name(1_790_000_000)}).text
    form = re.search(f'<form id="{stage}-form".*?</form>', page, re.DOTALL)
    buttons = re.findall(f'<button[^>]*type="submit"[^>]*form="{stage}-form"', page[: form.start()])
    assert buttons == []
    default = re.search('<button type="submit"[^>]*>', form[0])[0]
    assert f'id="{dict(address="to-payment", payment="order")[stage]}"' in default


def test_what_describes_a_field_is_on_the_page(client):
    start = ADDRESS | {"visit": visit_name(1_790_000_000)}
    wrong = dict.fromkeys(("name", "phone", "city", "street", "recipient"), "")
    pages = [
        client.post("/shop/payment", data=start | wrong).text,
        client.post("/shop/orders", data=payment(client) | {"card": "1"}).text,
    ]
    for page, fields_wrong in zip(pages, (5, 1), strict=True):
        described = [names.split() for names in re.findall('aria-describedby="([^"]*)"', page)]
        assert sum(name.startswith("wrong-") for names in described for name in names) == fields_wrong
        for name in (name for names in described for name in names):
            assert f'id="{name}"' in page


def test_what_is_no_form_is_answered_with_a_page(client):
    for content in (b"\xff\xfe", b"x=" + b"1" * 20_000, "&".join(f"f{i}=1" for i in range(60)).encode()):
        page = client.post("/shop/orders", content=content)
        assert page.status_code in (400, 413)
        assert "Back to the shop" in page.text


def test_what_was_typed_cannot_leave_its_place_in_the_page(client):
    evil = '"><script>alert(1)</script>'
    page = client.post("/shop/payment", data=ADDRESS | {"visit": visit_name(1_790_000_000), "street": evil})
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "<script>alert" not in client.get("/shop/", params={"q": evil}).text


@pytest.mark.parametrize("path", ["/shop/address", "/shop/payment"])
def test_the_other_language_keeps_what_was_typed(client, path):
    form = ADDRESS | {"visit": visit_name(1_790_000_000), "switch": "zh"}
    page = client.post(path, data=form)
    assert 'lang="zh-Hans"' in page.text
    assert ADDRESS["street"] in page.text
    assert fields(page.text)["lang"] == "zh"


@pytest.mark.parametrize(
    ("text", "cart"),
    [("", []), ("tea.1", [("tea", 1)]), ("tea.0-lamp.6-ghost.1-tea.12-watch.", []),
     ("tea.1-tea.3", [("tea", 3)]), ("x" * 5000, []), ("tea.²", [])],
)  # fmt: skip
def test_a_cart_holds_known_goods_in_numbers_of_one_to_five(text, cart):
    assert parse_cart(text, PAGES.goods) == cart


def test_buttons_of_the_cart_change_it(client):
    def go(**asked: str) -> str:
        return client.get("/shop/cart", params=asked).headers["location"].partition("cart=")[2]

    assert go(cart="tea.1", add="lamp", quantity="2") == "tea.1-lamp.2"
    assert go(cart="tea.4", add="tea", quantity="5") == "tea.5"
    assert go(cart="tea.1-lamp.2", set="lamp.1") == "tea.1-lamp.1"
    assert go(cart="tea.1-lamp.2", set="tea.0") == "lamp.2"
    assert go(cart="tea.1", add="ghost", quantity="1") == "tea.1"
    assert changed([("tea", 1)], PAGES.goods, "tea", "12", "tea.12") == "tea.1"


def body(consent: str = "", **changes: str) -> dict:
    form = ADDRESS | CARD | {"visit": visit_name(1_790_000_000), "order_id": new_order(), "consent": consent}
    return body_of(form | changes, PAGES, "m-demo", 1_790_000_100.0)


def test_the_order_is_one_that_the_door_takes(opened):
    _, service, _ = opened
    parsed = parse_order(body(record(behavior=True, device=True), session="s-1"), service.line.door)
    assert parsed.merchant_id == "m-demo"
    assert parsed.amount == pytest.approx(268 + 2 * 339)
    assert parsed.list_total == pytest.approx(268 + 2 * 399)
    assert parsed.session == "s-1"
    assert parsed.entities.card_bin == "622848"
    assert parsed.account_created_at == 1_790_000_000.0


@pytest.mark.parametrize(("consent", "named"), [("", False), (record(), False), (record(device=True), True)])
def test_a_device_is_named_only_with_consent(consent, named):
    assert ("device" in body(consent)["entities"]) is named


def test_without_an_answer_there_is_no_record_of_one():
    assert "consent" not in body()
    assert body(record(behavior=True))["consent"]["purposes"] == REFUSED | {"behavior": True}


def test_one_test_card_is_of_the_visit_and_the_other_of_everybody():
    own = {body()["entities"]["card"] for _ in range(2)}
    shared = {body(card="4000 0000 0000 0002")["entities"]["card"] for _ in range(2)}
    assert (len(own), len(shared)) == (2, 1)
    assert "card" not in body(method="wallet", card="")["entities"]


def test_only_test_cards_pay():
    assert wrong_payment({"method": "card", "card": "6228480000000007"}, PAGES.cards) == ()
    assert wrong_payment({"method": "card", "card": ""}, PAGES.cards) == ("card",)
    assert wrong_payment({"method": "wallet"}, PAGES.cards) == ()
    assert wrong_address({}, PAGES.cities) == ("name", "phone", "city", "street", "recipient")


def test_the_pages_key_opens_sessions_of_the_shop_and_nothing_else(opened):
    client, service, shop = opened
    key = re.search('name="riskgraph-key" content="([^"]+)"', client.get("/shop/").text)[1]
    assert key == shop.key
    consent = {"record_id": "c-1", "policy_version": "1", "at": "2026-11-27T10:00:00+00:00",
               "purposes": {"behavior": True}}  # fmt: skip
    asked = json.dumps({"v": 1, "key": key, "consent": consent})
    assert client.post("/v1/sessions", content=asked, headers={"Origin": ORIGIN}).status_code == 201
    assert (
        client.post("/v1/sessions", content=asked, headers={"Origin": "https://x.example"}).status_code == 403
    )
    refused = client.post("/v1/decisions", json=body(), headers={"Authorization": f"Bearer {key}"})
    assert refused.status_code in (401, 403)
    assert not any(key in Path(path).read_bytes().decode("latin-1")
                   for path in service.settings.home.iterdir() if path.is_file())  # fmt: skip


def test_consent_that_is_withdrawn_after_the_order_takes_what_was_sent(opened):
    client, service, shop = opened
    consent = {"record_id": "c-1", "policy_version": "1", "at": "2026-11-27T10:00:00+00:00",
               "purposes": {"behavior": True}}  # fmt: skip
    asked = json.dumps({"v": 1, "key": shop.key, "consent": consent})

    def opening():
        return client.post("/v1/sessions", content=asked, headers={"Origin": ORIGIN})

    session, sibling = opening().json()["session"], opening().json()["session"]
    decision = order(client, payment(client) | {"session": session, "consent": record(behavior=True)})
    sessions = service.subjects.sessions
    assert sessions.find(session) is not None
    assert client.post(f"/shop/withdraw/{'0' * 32}").status_code == 404
    assert client.post(f"/shop/withdraw/{decision}").status_code == 204
    assert sessions.find(session) is None
    assert sessions.find(sibling) is None
    assert opening().json()["error"]["code"] == "consent_withdrawn"
    assert client.get(f"/shop/done/{decision}").status_code == 200


def test_the_key_ends_with_the_run_and_hides_no_first_key(tmp_path):
    random_model(tmp_path / "model", seed=3)
    settings = replace(Settings(), home=tmp_path / "home", model=tmp_path / "model")
    service = bootstrap.open_service(settings, bootstrap.demo_profile())
    shop = DemoShop.open(service, (ORIGIN,))
    assert (first_key(service.store) or "").startswith("rk_")
    shop.close(service)
    (row,) = [row for row in service.store.list_keys() if row["roles"] == ["publishable"]]
    assert row["revoked"]
    service.close()


def test_the_command_takes_no_other_merchant_beside_the_shop(tmp_path):
    (tmp_path / "merchant.toml").write_text(bootstrap.example_merchant())
    asked = ["serve", "--demo-shop", "--merchant", str(tmp_path / "merchant.toml")]
    ended = CliRunner().invoke(app, asked)
    assert isinstance(ended.exception, Invalid)
    assert ended.exception.field == "merchant"
    ended = CliRunner().invoke(app, ["serve", "--demo-shop"], env={"RISKGRAPH_MERCHANT": asked[-1]})
    assert isinstance(ended.exception, Invalid)
    assert "RISKGRAPH_MERCHANT" in str(ended.exception)


def test_origins_are_where_a_browser_finds_the_pages():
    assert shop_origins(replace(Settings(), port=8137)) == ("http://127.0.0.1:8137", "http://localhost:8137")
    assert shop_origins(replace(Settings(), host="::1", port=80)) == (
        "http://[::1]", "http://127.0.0.1", "http://localhost",
    )  # fmt: skip
    public = replace(Settings(), host="0.0.0.0", port=8137)
    for url, origin in [
        ("https://Shop.example/risk", "https://shop.example"),
        ("http://192.0.2.7:8137", "http://192.0.2.7:8137"),
        ("https://shop.example:443", "https://shop.example"),
    ]:
        assert shop_origins(replace(public, public_url=url))[-1] == origin
    assert shop_origins(replace(public, public_url="http://localhost:8137")) == shop_origins(public)


@pytest.mark.parametrize("path", ["/shop/done/abc?lang=en", "/shop/report/abc?format=json"])
def test_no_log_holds_a_decision_of_the_shop(path):
    row = logging.LogRecord("uvicorn.access", 20, "", 0, "", ("127.0.0.1:1", "GET", path, "1.1", 200), None)
    assert HideLinks().filter(row)
    assert "abc" not in str(row.args)


def test_each_text_of_the_shop_is_there_in_both_languages():
    for texts in (PAGES.words, PAGES.script):
        for name, row in texts.items():
            assert set(row) == {"zh", "en"}, name
            assert re.findall(r"\{\w+\}", row["zh"]) == re.findall(r"\{\w+\}", row["en"]), name
