"""Who cannot see the page well, or at all, reads the same report (WCAG 2.2 AA)."""

from __future__ import annotations

import re

import pytest

from riskgraph.explainers.choices import Audience
from riskgraph.explainers.graph_svg import GRAPH_CSS
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_html import render_html, stylesheet
from riskgraph.explainers.standing import Standing
from tests.explainers.helpers import degraded_record, some_record
from tests.explainers.test_fields import PARITY
from tests.explainers.test_render_html import Page, contrast

DEMO = MerchantProfile.demo()
CARD = {
    "name": "m", "kind": "order2", "provenance": "simulated", "created": "2026-11-01T00:00:00Z",
    "releases": [], "window": {}, "limits": ["A limit in English."],
}  # fmt: skip
READERS = pytest.mark.parametrize("audience", list(Audience))
LANGUAGES = pytest.mark.parametrize("lang", ["zh", "en"])


def html_of(audience: str, lang: str, degraded: bool = False) -> str:
    record = degraded_record() if degraded else some_record(1, parity=PARITY)
    standing = Standing(model=CARD)
    return render_html(record, audience=audience, law="both", lang=lang, merchant=DEMO, standing=standing)


@READERS
@LANGUAGES
@pytest.mark.parametrize("degraded", [False, True])
def test_headings_go_down_one_level_at_a_time_and_say_something(
    audience: str, lang: str, degraded: bool
) -> None:
    html = html_of(audience, lang, degraded)
    levels = [int(tag[1]) for tag, _ in Page(html).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    assert all(text.strip() for text in re.findall(r"<h[1-6][^>]*>(.*?)</h[1-6]>", html, flags=re.S))
    # Articles of law are no part of a heading's name.
    assert not re.findall(r"<h[1-6][^>]*>[^<]*<span", html)


@READERS
def test_the_page_has_its_landmarks_and_every_part_lies_in_one(audience: str) -> None:
    html = html_of(audience, "en")
    parsed = Page(html)
    assert len(parsed.all("main")) == len(parsed.all("header")) == 1
    inside = re.search(r"<body>\s*<header>.*?</header>\s*<main>.*</main>\s*</body>", html, flags=re.S)
    assert inside


@READERS
@LANGUAGES
def test_every_table_has_a_caption_and_can_be_scrolled_by_keyboard(audience: str, lang: str) -> None:
    html = html_of(audience, lang)
    tables = re.findall(r"(<div class=\"scroll\"[^>]*>)<table>\s*<caption>([^<]+)</caption>", html)
    assert len(tables) == html.count("<table") > 0
    for frame, caption in tables:
        assert 'tabindex="0"' in frame
        assert 'role="region"' in frame
        assert f'aria-label="{caption}"' in frame


@READERS
def test_a_part_in_another_language_says_so(audience: str) -> None:
    page = html_of(audience, "zh")
    marked = re.sub(r'<li lang="en">.*?</li>|<code>.*?</code>|<style>.*?</style>', " ", page, flags=re.S)
    text = re.sub(r"<[^>]+>", " ", marked)
    # Names of laws and units stand as they are; sentences do not.
    assert not re.findall(r"(?:\b[A-Za-z]{3,}\b[ ,]+){4,}", text)
    if audience != "subject":
        assert '<li lang="en">A limit in English.</li>' in page


@READERS
def test_no_name_is_given_twice_and_every_reference_leads_somewhere(audience: str) -> None:
    parsed = Page(html_of(audience, "en"))
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in parsed.tags:
        for name in (attrs.get("aria-labelledby") or "").split():
            assert name in ids


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_numbers_in_the_graph_and_its_shapes_stand_out(theme: str) -> None:
    """WCAG 1.4.3 for text on shapes, 1.4.11 for shapes on the page."""
    light, dark = GRAPH_CSS.split("@media (prefers-color-scheme:dark)")
    css = light if theme == "light" else dark
    card = re.findall(r"--card:(#[0-9a-f]{3,6})", stylesheet())[theme == "dark"]
    fills = {key: _colour(css, key, "fill") or _colour(light, key, "fill") for key in ("risk", "relief")}
    for fill in fills.values():
        assert contrast(fill, "#ffffff") >= 4.5
        assert contrast(fill, card) >= 3 or contrast(_colour(css, "risk", "stroke"), card) >= 3
    for key in ("absent", "refused", "zero"):
        stroke = _colour(css, key, "stroke") or _colour(light, key, "stroke")
        assert contrast(stroke, card) >= 3, key
    assert contrast(_colour(css, "na", "fill") or _colour(light, "na", "fill"), card) >= 3


def _colour(css: str, key: str, part: str) -> str:
    found = re.search(rf"\.rg \.{key}\{{[^}}]*{part}:(#[0-9a-f]{{3,6}})", css)
    return found.group(1) if found else ""


def test_the_page_is_readable_in_print_and_in_the_dark() -> None:
    assert "@media print" in stylesheet()
    assert "prefers-color-scheme:dark" in stylesheet()
    printed = stylesheet().split("@media print")[1]
    assert "details-content" in printed
