"""The page of the report's link: a shopper objects there without login, without script, in two languages."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from riskgraph.commands.serve import HideLinks
from riskgraph.core.errors import StorageUnavailable
from tests.api.conftest import order
from tests.stores.builders import DAY


@pytest.fixture
def link(shop):
    return link_of(shop, shop.decide(order()).json())


def link_of(shop, decision) -> str:
    """The link as it stands in the shopper's report."""
    told = shop.client.get(decision["report"]["json"], headers=shop.headers()).json()
    url = told["human_review"]["url"]
    return url[url.index("/contest/") :]


def send(shop, link, lang="en", **fields):
    return shop.client.post(link, params={"lang": lang}, data=fields, follow_redirects=False)


def waiting(shop) -> list:
    return shop.service.store.reviews.queue(("open",), None, 10)


class Outline(HTMLParser):
    """Tags with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, *names: str) -> list[dict]:
        return [attrs for tag, attrs in self.tags if tag in names]


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("form", ["html", "pdf"])
def test_the_shoppers_report_links_to_the_page(shop, lang, form):
    decision = shop.decide(order()).json()
    found = shop.client.get(
        f"/v1/decisions/{decision['decision_id']}/report",
        params={"lang": lang, "format": form},
        headers=shop.headers(),
    )
    path = link_of(shop, decision).encode()
    assert path in found.content


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_is_accessible_and_loads_nothing(shop, link, lang):
    page = shop.client.get(link, params={"lang": lang})
    outline = Outline(page.text)
    assert page.status_code == 200
    assert outline.all("html") == [{"lang": {"zh": "zh-Hans", "en": "en"}[lang]}]
    assert len(outline.all("h1")) == len(outline.all("main")) == len(outline.all("legend")) == 1
    ids = {attrs["id"] for _, attrs in outline.tags if "id" in attrs}
    labelled = {attrs["for"] for attrs in outline.all("label")}
    for field in outline.all("input", "textarea"):
        assert field["id"] in labelled
    for _, attrs in outline.tags:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(attrs.get(name, "").split()) <= ids
    assert not outline.all("script", "img", "link", "iframe")
    assert not [attrs for _, attrs in outline.tags if any(name.startswith("on") for name in attrs)]
    assert not re.findall(r"https?://", page.text)


def test_the_page_goes_into_no_cache_no_index_and_no_referrer(shop, link):
    headers = shop.client.get(link).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert "no-store" in headers["cache-control"]
    assert headers["x-robots-tag"] == "noindex"


@pytest.mark.parametrize(
    ("asked", "browser", "shown"),
    [
        ("zh", "en", "zh-Hans"), ("en", "zh-CN", "en"), ("", "fr, zh-CN;q=0.8, en", "zh-Hans"),
        ("", "fr", "zh-Hans"), ("fr", "", "zh-Hans"),
    ],
)  # fmt: skip
def test_the_language_is_the_one_asked_for_else_the_browsers_else_the_orders(shop, asked, browser, shown):
    link = link_of(shop, shop.decide(order(lang="zh-CN")).json())
    headers = {"Accept-Language": browser}
    assert shop.client.get(link, params={"lang": asked}, headers=headers).headers["content-language"] == shown


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_what_was_sent_is_kept_and_a_reload_sends_nothing_twice(shop, link, lang):
    sent = send(shop, link, lang, wish="view", text="It was me.\r\nPlease look.")
    assert sent.status_code == 303
    back = shop.client.get(link + sent.headers["location"])
    assert back.status_code == 200
    assert 'role="status"' in back.text
    (case,) = waiting(shop)
    (row,) = shop.service.store.reviews.contests(case.decision_id)
    assert (row["text"], row["wish"], row["via"], row["lang"]) == (
        "It was me.\nPlease look.", "view", "page", lang,
    )  # fmt: skip
    assert row["contest_id"] in back.text
    assert "It was me" not in back.text
    assert send(shop, link, lang, wish="view", text="It was me.\r\nPlease look.").status_code == 303
    assert len(shop.service.store.reviews.contests(case.decision_id)) == 1


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, "wish"),
        ({"wish": "money", "text": "x"}, "wish"),
        ({"wish": "view"}, "text"),
        ({"wish": "correction", "text": " \r\n "}, "text"),
        ({"wish": "view", "text": "x" * 2001}, "text"),
        ({"wish": "view", "text": "a\x00b"}, "text"),
    ],
)
def test_what_is_wrong_is_said_beside_what_was_typed(shop, link, fields, wrong, lang):
    answer = send(shop, link, lang, **fields)
    assert answer.status_code == 422
    outline = Outline(answer.text)
    assert [row for _, row in outline.tags if row.get("role") == "alert"]
    assert bool([row for row in outline.all("textarea") if "aria-invalid" in row]) == (wrong == "text")
    assert fields.get("text", "").strip() in answer.text.replace("&#0;", "\x00")
    assert waiting(shop) == []


def test_two_thousand_characters_with_line_ends_pass_as_the_browser_counts_them(shop, link):
    assert send(shop, link, wish="view", text="字\r\n" * 1000).status_code == 303


def test_what_was_typed_never_becomes_markup(shop, link):
    answer = send(shop, link, wish="money", text="</textarea><script>alert(1)</script>")
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


@pytest.mark.parametrize("raw", [b"wish=view&text=%FF", b"\xff", b"&".join(b"a=%d" % i for i in range(50))])
def test_a_body_that_is_no_form_is_refused_on_a_page(shop, link, raw):
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = shop.client.post(link, content=raw, headers=kind, follow_redirects=False)
    assert answer.status_code == 422
    assert answer.text.startswith("<!DOCTYPE html>")


def test_a_body_larger_than_any_is_refused_on_a_page(shop, link):
    answer = send(shop, link, wish="view", text="x" * 70_000)
    assert answer.status_code == 413
    assert "2000" in answer.text


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: t + "A", lambda t: "x" + t, lambda t: "x"])
def test_a_link_that_was_not_made_here_shows_no_form(shop, link, change):
    token = link.removeprefix("/contest/")
    for call in (shop.client.get, shop.client.post):
        answer = call(f"/contest/{change(token)}")
        assert answer.status_code == 404
        assert not Outline(answer.text).all("form")


def test_a_link_that_has_expired_says_so_and_where_to_go(shop, link):
    clock = shop.service.line.clock
    past = SimpleNamespace(now=lambda: clock.now() + 366 * DAY, monotonic=clock.monotonic)
    shop.service.line = replace(shop.service.line, clock=past)
    answer = shop.client.get(link, params={"lang": "en"})
    assert answer.status_code == 410
    assert "expired" in answer.text
    assert "privacy@shop.example" in answer.text
    assert send(shop, link, wish="person").status_code == 410


def test_a_link_is_used_only_so_often(shop, link):
    answers = [send(shop, link, wish="person", text=f"{i}") for i in range(6)]
    assert [a.status_code for a in answers] == [303] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    other = link_of(shop, shop.decide(order(order_id="A-2")).json())
    assert send(shop, other, wish="person").status_code == 303
    assert shop.client.get(link).status_code == 200


def test_what_cannot_be_kept_is_not_said_to_be_received(shop, link, monkeypatch):
    def full(*_):
        raise StorageUnavailable("the disk is full")

    monkeypatch.setattr(shop.service.store.reviews, "file", full)
    answer = send(shop, link, wish="view", text="my words")
    assert answer.status_code == 503
    assert "my words" in answer.text


def test_neither_words_nor_links_reach_a_log(shop, link, caplog):
    caplog.set_level(logging.DEBUG, "riskgraph")
    send(shop, link, wish="view", text="WORDS-OF-THE-SHOPPER")
    send(shop, link, wish="money", text="WORDS-OF-THE-SHOPPER")
    assert "WORDS" not in caplog.text
    record = logging.makeLogRecord(
        {"msg": '%s - "%s %s HTTP/%s" %d', "args": ("127.0.0.1:1", "GET", link, "1.1", 200)}
    )
    assert HideLinks().filter(record)
    assert record.getMessage() == '127.0.0.1:1 - "GET /contest/… HTTP/1.1" 200'
    other = logging.makeLogRecord({"msg": "%s %s %s", "args": ("a", "GET", "/v1/reviews")})
    assert HideLinks().filter(other)
    assert other.getMessage() == "a GET /v1/reviews"


def test_a_real_shop_without_a_public_address_links_nowhere(shop):
    decision = shop.decide(order()).json()
    shop.service.reviews = replace(shop.service.reviews, public_url="")
    shop.service.reports = replace(shop.service.reports, reviews=shop.service.reviews)
    told = shop.client.get(decision["report"]["json"], headers=shop.headers()).json()["human_review"]
    assert (told["url"], told["link_text"]) == (None, None)
