"""The HTML report: escaping, languages, accessibility, self-containment."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from riskgraph.core.report import DecisionReport
from riskgraph.core.verdict import Verdict, Walk
from riskgraph.explainers.bars_svg import bars_svg
from riskgraph.explainers.graph_svg import graph_svg
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_html import csp, moment, render_html, stylesheet
from riskgraph.explainers.texts import table
from tests.explainers.helpers import degraded_record, random_subgraph, some_order, some_record

DEMO = MerchantProfile.demo()
VOID = {"meta", "br", "link", "img", "hr", "input"}
HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}"


class Page(HTMLParser):
    """Collects tags, attributes and headings, and checks that tags nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def page(
    record: DecisionReport, audience: str = "subject", lang: str = "en", merchant: MerchantProfile = DEMO
) -> str:
    return render_html(record, audience=audience, law="both", lang=lang, merchant=merchant)


@pytest.mark.parametrize("audience", ["subject", "compliance"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_is_well_formed_in_its_language_and_fetches_nothing(audience: str, lang: str) -> None:
    html = page(some_record(1), audience, lang)
    parsed = Page(html)
    assert parsed.open == []
    assert parsed.all("html") == [{"lang": "zh-Hans" if lang == "zh" else "en"}]
    assert not [tag for tag, _ in parsed.tags if tag in ("script", "img", "link", "iframe", "form")]
    assert "url(" not in stylesheet()
    assert len(parsed.all("h1")) == 1


@pytest.mark.parametrize("audience", ["subject", "compliance"])
def test_no_style_or_event_attribute_breaks_the_content_security_policy(audience: str) -> None:
    for _, attrs in Page(page(some_record(1), audience)).tags:
        assert not [name for name in attrs if name == "style" or name.startswith("on")]


def test_the_policy_allows_exactly_the_style_on_the_page() -> None:
    html = page(some_record(1), "compliance")
    assert html.count("<style>") == 1
    assert stylesheet() in html
    assert "'unsafe-inline'" not in csp()


@pytest.mark.parametrize("audience", ["subject", "compliance"])
def test_every_table_header_has_a_scope_and_every_section_a_heading(audience: str) -> None:
    parsed = Page(page(some_record(1), audience))
    assert all(attrs.get("scope") in ("col", "row") for attrs in parsed.all("th"))
    ids = {attrs.get("id") for attrs in parsed.all("h2")}
    sections = [attrs["aria-labelledby"] for attrs in parsed.all("section")]
    assert len(sections) > 8
    assert set(sections) == ids


@pytest.mark.parametrize("audience", ["subject", "compliance"])
def test_hostile_text_is_escaped_wherever_it_comes_from(audience: str) -> None:
    order = some_order(order_id=HOSTILE, channel_code=HOSTILE, currency=HOSTILE, placed_text=HOSTILE)
    merchant = MerchantProfile(
        {
            **DEMO.data,
            "controller": {"name": HOSTILE, "contact": HOSTILE},
            "rights": {"url": f"javascript:{HOSTILE}"},
        }
    )
    record = some_record(
        1,
        order=order,
        decision_id=HOSTILE,
        versions={HOSTILE: HOSTILE},
        walk=Walk(Verdict.REVIEW, "hold", (HOSTILE,)),
    )
    html = page(record, audience, merchant=merchant)
    parsed = Page(html)
    assert not [tag for tag, _ in parsed.tags if tag in ("script", "img")]
    assert "&lt;script&gt;" in html
    assert "{{7*7}}" in html
    assert not [a for a in parsed.all("a") if (a["href"] or "").startswith("javascript")]


@pytest.mark.parametrize("audience", ["subject", "compliance"])
def test_chinese_and_english_pages_have_the_same_structure(audience: str) -> None:
    first, second = (Page(page(some_record(2), audience, lang)) for lang in ("zh", "en"))
    skeleton = [tag for tag, _ in first.tags]
    assert skeleton == [tag for tag, _ in second.tags]


def test_a_subject_page_shows_no_graph_and_no_contribution() -> None:
    html = page(some_record(1))
    assert "<svg" not in html
    assert "φ" not in re.sub(r"<style>.*?</style>", "", html, flags=re.S)


def test_a_compliance_page_shows_all_nodes_bars_and_graph() -> None:
    html = page(some_record(1), "compliance")
    assert html.count("<svg") == 3
    assert "B137" in html
    assert "thresholds" in html


@pytest.mark.parametrize("audience", ["subject", "compliance"])
def test_a_degraded_decision_has_a_page(audience: str) -> None:
    assert "No automated score could be used" in page(degraded_record(), audience)


def test_simulated_stands_at_the_top_of_the_page() -> None:
    assert 'class="banner"' in page(some_record(1))
    real = MerchantProfile({**DEMO.data, "provenance": "merchant"})
    assert 'class="banner"' not in page(some_record(1, provenance="merchant"), merchant=real)


@pytest.mark.parametrize("audience", ["subject", "compliance", "authority"])
def test_chinese_pages_name_places_and_cite_in_chinese(audience: str) -> None:
    html = page(some_record(1), audience, "zh")
    assert "监管机关（欧盟）" in html
    assert "监管机关（中国）" in html
    assert "序言第 63 条" in html
    assert re.findall(r"（(?:EU|CN)）|Recital|¶", html) == []


def test_everything_cited_but_by_the_number_of_an_article_has_words() -> None:
    law = table("law")
    cited = {text for row in law["refs"].values() for texts in row.values() for text in texts}
    assert {text for text in cited if not re.fullmatch(r"\d+(\(\w\))*(-(\(\w\)|\d+))?", text)} == set(
        law["citation"]
    )


def test_the_graph_draws_each_node_once_and_is_deterministic() -> None:
    record = some_record(3, subgraph=random_subgraph(3, 0.5, refused=("location",)))
    svg = graph_svg(record, "en")
    assert svg == graph_svg(record, "en")
    ids = re.findall(r"<g><title>(B\d{3}) ", svg)
    assert len(ids) == len(set(ids)) == 137
    refused = len(re.findall(r": refused</title>", svg))
    assert refused == 3
    assert svg.count('class="refused"') == refused + 1


def test_the_graph_of_a_degraded_decision_shows_no_contribution() -> None:
    svg = graph_svg(degraded_record(), "zh")
    assert "φ " not in re.sub(r"<desc.*?</desc>", "", svg)
    assert 'class="edge' not in svg


def test_bars_carry_their_numbers_as_text_and_escape_labels() -> None:
    svg = bars_svg([("a<b", 0.5), ("c", -0.25)], "t")
    assert "+0.500" in svg
    assert "-0.250" in svg
    assert "a&lt;b" in svg


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-11T12:03:04.567+08:00", "2026-11-11 12:03:04 +08:00"),
        ("2026-11-11T04:03:04Z", "2026-11-11 04:03:04 UTC"),
        ("soon", "soon"),
    ],
)
def test_moments_are_readable(text: str, shown: str) -> None:
    assert moment(text) == shown


def test_a_report_is_issued_by_the_clock_that_the_order_was_placed_by() -> None:
    placed = "2026-11-11T12:03:04.567+08:00"
    assert moment("2026-11-11T04:03:04Z", placed) == "2026-11-11 12:03:04 +08:00"
    assert moment("2026-11-11T04:03:04Z", "soon") == "2026-11-11T04:03:04Z"
    assert "2026-11-11 04:03:04 UTC" not in render_html(
        some_record(1), audience="subject", law="both", lang="zh", merchant=DEMO
    )


def contrast(first: str, second: str) -> float:
    """WCAG 2.2 contrast ratio of two hex colours."""

    def luminance(colour: str) -> float:
        digits = colour.lstrip("#")
        digits = "".join(c * 2 for c in digits) if len(digits) == 3 else digits
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("name", ["ink", "muted", "accent", "accept", "review", "reject"])
@pytest.mark.parametrize("ground", ["bg", "card", "chip"])
def test_text_colours_reach_contrast_aa(theme: int, name: str, ground: str) -> None:
    block = re.findall(r":root\{(.*?)\}", stylesheet(), flags=re.S)[theme]
    colours = dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})", block))
    assert contrast(colours[name], colours[ground]) >= 4.5
