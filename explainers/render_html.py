"""The report as one self-contained, accessible HTML page: no script, no external resource."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from riskgraph.core.report import DecisionReport
from riskgraph.explainers.bars_svg import BARS_CSS, bars_svg
from riskgraph.explainers.graph_svg import GRAPH_CSS, graph_svg
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_json import render
from riskgraph.explainers.standing import AS_DECIDED, Standing
from riskgraph.explainers.texts import headings, labels, say, table

PUNCTUATION = {
    "zh": {"comma": "，", "semi": "；", "colon": "：", "enum": "、"},
    "en": {"comma": ", ", "semi": "; ", "colon": ": ", "enum": ", "},
}
_LAW_NAMES = {"zh": {"gdpr": "GDPR", "pipl": "个保法"}, "en": {"gdpr": "GDPR", "pipl": "PIPL"}}


def render_html(
    record: DecisionReport,
    *,
    audience: str,
    law: str,
    lang: str,
    merchant: MerchantProfile,
    standing: Standing = AS_DECIDED,
) -> str:
    """Render the report of one decision as HTML (GDPR Art. 12(1); PIPL Art. 17).

    Arguments and errors are those of :func:`~riskgraph.explainers.render_json.render`. The page
    carries its own Content-Security-Policy; serve :func:`csp` as a header too.
    """
    report = render(record, audience=audience, law=law, lang=lang, merchant=merchant, standing=standing)
    page = environment(lang).get_template("report.html.j2")
    return page.render(
        r=report,
        **words_of(report, lang),
        zh=lang == "zh",
        compliance="compliance" in report,
        # Green, amber and red are for what holds.
        current=current(report),
        title=say(f"title.{audience}", lang),
        **PUNCTUATION[lang],
        nothing=say("missing.none", lang),
        consent_ref=record.order["consent"]["record_id"],
        csp=csp(),
        css=Markup(stylesheet()),
        **(_pictures(record, report, lang) if "compliance" in report else {}),
    )


def words_of(report: Mapping[str, Any], lang: str) -> dict[str, dict[str, str]]:
    """Headings ``h`` and labels ``l``; of values that no score used none says that they were used."""
    titles, words = headings(lang), labels(lang)
    if report["decision"]["degraded"]:
        titles = titles | {"data": titles["data_unused"]}
        words = words | {"data_intro": words["data_unused"]}
    return {"h": titles, "l": words}


def current(report: Mapping[str, Any]) -> bool:
    """Whether the verdict at the top is one that was acted on and that still holds."""
    return report["decision"]["mode"] != "observe" and report["human_review"]["stands"] is None


def csp() -> str:
    """Content-Security-Policy of the page: its own style and nothing else."""
    digest = base64.b64encode(hashlib.sha256(stylesheet().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@lru_cache(maxsize=1)
def stylesheet() -> str:
    return f"{_template('report.css')}{GRAPH_CSS}{BARS_CSS}"


def _pictures(record: DecisionReport, report: Mapping[str, Any], lang: str) -> dict[str, Any]:
    parts = report["compliance"]
    names = {row["node"]: row["label"] for row in parts["nodes"]}
    pictures: dict[str, Any] = {"names": names, "graph": Markup(graph_svg(record, lang, standalone=False))}
    if parts["attribution"]:
        phi = {row["node"]: row["phi"] for row in parts["nodes"]}
        top = [(f"{key} {names[key]}", phi[key]) for key in parts["attribution"]["top_nodes"]]
        groups = [(row["label"], row["phi"]) for row in parts["attribution"]["group_phi"] if row["phi"]]
        groups.sort(key=lambda row: -abs(row[1]))
        pictures["bars"] = Markup(bars_svg(top, say("heading.contributions", lang)))
        pictures["group_bars"] = Markup(bars_svg(groups, say("heading.groups", lang)))
    return pictures


@lru_cache(maxsize=2)
def environment(lang: str) -> Environment:
    """Templates with autoescape: data reach them as values, never as markup."""
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "money": lambda value: f"{value:,.2f}",
        "percent": lambda value: f"{100 * value:.1f}%",
        "fixed": lambda value: f"{value:.4f}",
        "tiny": lambda value: f"{value:.1e}" if value else "0",
        "signed": lambda value: "–" if value is None else f"{value:+.3f}" if value else "0",
        "moment": moment,
        "aside": lambda text: f"（{text}）" if lang == "zh" else f" ({text})",
        "lawname": lambda key: law_name(key, lang),
        "cited": lambda text: cited(text, lang),
    }
    for section in (
        "band",
        "direction",
        "state",
        "context",
        "verdict",
        "provenance",
        "search",
        "jurisdiction",
    ):
        environment.filters[section] = lambda key, section=section: say(f"{section}.{key}", lang)
    return environment


def law_name(law: str, lang: str) -> str:
    return _LAW_NAMES[lang][law]


def cited(article: str, lang: str) -> str:
    """An article, recital or paragraph as readers of a language know it."""
    words = table("law")["citation"].get(article)
    return str(words[lang]) if words else article


def moment(text: str, beside: str | None = None) -> str:
    """``2026-11-11 12:03:04 +08:00`` from ISO 8601; any other text as it is.

    Args:
        text: The moment.
        beside: Another whose offset it is told in, so that a reader has one clock.
    """
    try:
        at = datetime.fromisoformat(text)
        clock = datetime.fromisoformat(beside).tzinfo if beside else None
    except ValueError:
        return text
    at = at.astimezone(clock) if clock else at
    offset = at.strftime("%z")
    zone = "UTC" if offset in ("", "+0000") else f"{offset[:3]}:{offset[3:5]}"
    return f"{at:%Y-%m-%d %H:%M:%S} {zone}"


@lru_cache(maxsize=8)
def _template(name: str) -> str:
    return resources.files("riskgraph.explainers").joinpath("templates", name).read_text(encoding="utf-8")
