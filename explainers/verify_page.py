"""The page on which whoever holds a report checks it: no script, no login, in Chinese and English."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from markupsafe import Markup

from riskgraph.explainers.contest_page import OTHER, page_css
from riskgraph.explainers.integrity import Finding
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_html import environment
from riskgraph.explainers.sections import TAG
from riskgraph.explainers.texts import say, table

_BOX = {"holds": "done", "fails": "problem", "unknown": "problem"}


@dataclass(frozen=True, slots=True)
class Checked:
    """What one showing of the page says.

    Attributes:
        text: What was pasted.
        result: ``holds``, ``fails``, ``unknown``; empty where nothing was checked.
        report_id: Of the report, as it says itself.
        findings: One sentence each.
        problem: Key of the text that says why nothing was checked.
    """

    text: str = ""
    result: str = ""
    report_id: str = ""
    findings: Sequence[Finding] = ()
    problem: str = ""


def render_verify(checked: Checked, lang: str, merchant: MerchantProfile) -> str:
    """The page as HTML (GDPR Art. 12(1); PIPL Art. 17).

    Args:
        checked: What came out, or ``Checked()`` for the page as one opens it.
        lang: ``zh`` or ``en``.
        merchant: Says who answers for the reports.
    """
    texts = {key: row[lang] for key, row in table("verify")["text"].items()}
    missing = say("missing.field", lang)
    findings = [
        (texts[f"mark_{finding.result}"], finding.result, _sentence(finding, lang))
        for finding in checked.findings
    ]
    shown: dict[str, Any] = {
        "t": texts,
        "p": asdict(checked),
        "findings": findings,
        "problem": texts[checked.problem] if checked.problem else "",
        "box": _BOX.get(checked.result, ""),
        "lang": lang,
        "tag": TAG[lang],
        "other": OTHER[lang],
        "other_tag": TAG[OTHER[lang]],
        "colon": "：" if lang == "zh" else ": ",
        "simulated": say("simulated.merchant", lang) if merchant.simulated else "",
        "controller": merchant.text("controller.name", lang) or missing,
        "contact": merchant.text("rights.contact", lang) or missing,
        "css": Markup(page_css()),
    }
    return environment(lang).get_template("verify.html.j2").render(**shown)


def _sentence(finding: Finding, lang: str) -> str:
    at = {} if finding.retired_at is None else {"day": finding.retired_at[:10]}
    return say(f"finding.{finding.why}", lang, "verify", **at)
