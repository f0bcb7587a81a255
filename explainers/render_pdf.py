"""The report as PDF/UA-1 by typst: data goes in as an input, never spliced into markup."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import Any

from riskgraph.core.fonts import FAMILY, printable
from riskgraph.core.report import DecisionReport
from riskgraph.core.typeset import typeset
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_html import cited, current, law_name, moment, words_of
from riskgraph.explainers.render_json import render
from riskgraph.explainers.staff_pdf import staff_sections
from riskgraph.explainers.standing import AS_DECIDED, Standing
from riskgraph.explainers.texts import labels, say, table


def render_pdf(
    record: DecisionReport,
    *,
    audience: str = "subject",
    law: str,
    lang: str,
    merchant: MerchantProfile,
    standing: Standing = AS_DECIDED,
) -> bytes:
    """Render the report of one decision as PDF (GDPR Art. 12(1); PIPL Art. 17).

    The same record gives the same bytes: the document's time is the time of the decision.

    Raises:
        ExtraMissing: If typst or the font is not installed (extra ``pdf``).
        Invalid: If audience, law or language is unknown.
    """
    report = render(record, audience=audience, law=law, lang=lang, merchant=merchant, standing=standing)
    clean, replaced = printable(_data(report, lang))
    clean["note"] = say("label.missing_glyph", lang) if replaced else None
    return typeset(_template(), clean, datetime.fromisoformat(record.issued_at))


def _data(report: dict[str, Any], lang: str) -> dict[str, Any]:
    """The report with what the template needs to lay it out."""
    texts = table("texts")
    order = report["order"]
    return {
        "r": report,
        **words_of(report, lang),
        "searches": {key: word[lang] for key, word in texts["search"].items()},
        "bands": {key: word[lang] for key, word in texts["band"].items()},
        "directions": {key: word[lang] for key, word in texts["direction"].items()},
        "places": {key: word[lang] for key, word in texts["jurisdiction"].items()},
        "title": say(f"title.{report['audience']}", lang),
        "current": current(report),
        "used": _by_source(report, lang),
        "staff": staff_sections(report, lang),
        "font": FAMILY,
        "lang": lang,
        "amount": f"{order['amount']:,.2f} {order['currency']}",
        "placed": moment(order["placed_at"]),
        "issued": moment(report["issued_at"], order["placed_at"]),
        "colon": "：" if lang == "zh" else ": ",
        "refs": {
            field: " · ".join(
                f"{law_name(law, lang)} {', '.join(cited(a, lang) for a in articles)}"
                for law, articles in laws.items()
            )
            for field, laws in report["law_refs"].items()
        },
        "law_names": {law: law_name(law, lang) for law in ("gdpr", "pipl")},
    }


def _by_source(report: dict[str, Any], lang: str) -> list[dict[str, Any]]:
    """The values used, by where they come from; how long each class is kept stands in the table of bases."""
    words = labels(lang)
    groups: dict[str, list[list[str]]] = {}
    for row in report["data_used"]:
        marks = [row["data_class_text"], row["necessity"]]
        marks += [words["sensitive"].lower()] if row["sensitive"] else []
        title = f"{row['source']} · {row['collected']}"
        told = [row["label"], row["value"], ("、" if lang == "zh" else ", ").join(marks)]
        groups.setdefault(title, []).append(told)
    return [{"title": title, "rows": rows} for title, rows in groups.items()]


@lru_cache(maxsize=1)
def _template() -> bytes:
    return resources.files("riskgraph.explainers").joinpath("templates", "report.typ").read_bytes()
