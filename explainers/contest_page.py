"""The page on which a shopper objects to a decision: no script, no login, in Chinese and English."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from markupsafe import Markup

from riskgraph.core.review import WISHES
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_html import environment, stylesheet
from riskgraph.explainers.sections import TAG
from riskgraph.explainers.texts import say, table

OTHER = {"zh": "en", "en": "zh"}


@dataclass(frozen=True, slots=True)
class Page:
    """What one showing of the page says. Texts are ready to be shown; ``text`` is what was typed.

    ``form`` is false where the link does not serve; ``wrong`` names the field that has to be mended.
    """

    controller: str
    contact: str
    simulated: str = ""
    form: bool = True
    intro: str = ""
    hint: str = ""
    wish: str = ""
    text: str = ""
    wrong: str = ""
    problem_title: str = ""
    problem: str = ""
    sent: str = ""
    received: Sequence[str] = ()
    answered: Sequence[str] = ()
    stands: str = ""


def blank(merchant: MerchantProfile, lang: str) -> Page:
    """A page that says who answers, and where else they can be reached."""
    missing = say("missing.field", lang)
    return Page(
        controller=merchant.text("controller.name", lang) or missing,
        contact=merchant.text("rights.contact", lang) or missing,
        simulated=say("simulated.merchant", lang) if merchant.simulated else "",
    )


def render_contest(page: Page, lang: str, most: int) -> str:
    """The page as HTML (GDPR Art. 12(1), (2); PIPL Art. 17, 50).

    Args:
        page: What it says.
        lang: ``zh`` or ``en``.
        most: Characters that an objection may have.
    """
    texts = {key: row[lang] for key, row in table("contest")["text"].items()}
    shown: dict[str, Any] = {
        "t": texts,
        "p": asdict(page),
        "lang": lang,
        "tag": TAG[lang],
        "other": OTHER[lang],
        "other_tag": TAG[OTHER[lang]],
        "title": texts["title"],
        "wishes": WISHES,
        "most": most,
        "colon": "：" if lang == "zh" else ": ",
        "css": Markup(_css()),
    }
    return environment(lang).get_template("contest.html.j2").render(**shown)


def contest_csp() -> str:
    """Content-Security-Policy of the page: its own style, and a form that leads back to it."""
    digest = base64.b64encode(hashlib.sha256(_css().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


@lru_cache(maxsize=1)
def _css() -> str:
    own = resources.files("riskgraph.explainers").joinpath("templates", "contest.css")
    return stylesheet() + own.read_text(encoding="utf-8")
