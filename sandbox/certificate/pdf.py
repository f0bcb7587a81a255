"""The certificate as PDF/UA-1 by typst: data goes in as an input, never spliced into markup."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from importlib import resources
from threading import Lock
from typing import TYPE_CHECKING, Any

from riskgraph.core.errors import ExtraMissing
from riskgraph.core.fonts import FAMILY, font_file, printable

if TYPE_CHECKING:
    from riskgraph.sandbox.certificate.page import Page

_LOCK = Lock()


def render_pdf(page: Page) -> bytes:
    """Render a page; the document's time is that of the release, so the same page gives the same bytes.

    Raises:
        ExtraMissing: If typst or the font is not installed (extra ``pdf``).
    """
    compiler = _compiler()
    clean, _ = printable({**asdict(page), "font": FAMILY})
    with _LOCK:
        made = compiler.compile(
            input=_template(),
            format="pdf",
            sys_inputs={"data": json.dumps(clean, ensure_ascii=False)},
            pdf_standards=["ua-1"],
            timestamp=int(datetime.fromisoformat(page.made_at).timestamp()),
        )
    return bytes(made)


@lru_cache(maxsize=1)
def _compiler() -> Any:
    """One compiler for all certificates: it keeps the parsed font."""
    try:
        import typst
    except ImportError as missing:
        raise ExtraMissing("PDF certificates", "pdf") from missing
    fonts = typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(font_file().parent)]
    )
    return typst.Compiler(font_paths=fonts, ignore_system_fonts=True)


@lru_cache(maxsize=1)
def _template() -> bytes:
    folder = resources.files("riskgraph.sandbox.certificate").joinpath("templates")
    return folder.joinpath("certificate.typ").read_bytes()
