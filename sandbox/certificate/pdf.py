"""The certificate as PDF/UA-1 by typst: data goes in as an input, never spliced into markup."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from riskgraph.core.fonts import FAMILY, printable
from riskgraph.core.typeset import typeset

if TYPE_CHECKING:
    from riskgraph.sandbox.certificate.page import Page


def render_pdf(page: Page) -> bytes:
    """Render a page; the document's time is that of the release, so the same page gives the same bytes.

    Raises:
        ExtraMissing: If typst or the font is not installed (extra ``pdf``).
    """
    clean, _ = printable({**asdict(page), "font": FAMILY})
    return typeset(_template(), clean, datetime.fromisoformat(page.made_at))


@lru_cache(maxsize=1)
def _template() -> bytes:
    folder = resources.files("riskgraph.sandbox.certificate").joinpath("templates")
    return folder.joinpath("certificate.typ").read_bytes()
