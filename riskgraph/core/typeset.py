"""PDF/UA-1 and PNG by typst: data goes in as an input, never spliced into markup."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from threading import Lock
from typing import Any

from riskgraph.core.errors import ExtraMissing
from riskgraph.core.fonts import font_file

_LOCK = Lock()
_SHEET = b"""\
#set page(width: float(sys.inputs.width) * 1pt, height: float(sys.inputs.height) * 1pt)
#set page(margin: 0pt, fill: white)
#image(bytes(sys.inputs.svg), format: "svg", width: 100%)
"""


def typeset(template: bytes, data: Mapping[str, Any], moment: datetime) -> bytes:
    """A PDF of a template and its data; the same data and moment give the same bytes.

    Args:
        template: Typst source that reads the input ``data`` as JSON.
        data: Printable texts only (``fonts.printable``).
        moment: The document's time.

    Raises:
        ExtraMissing: If typst or the font is not installed (extra ``pdf``).
    """
    compiler = _compiler()
    with _LOCK:
        made = compiler.compile(
            input=template,
            format="pdf",
            sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
            pdf_standards=["ua-1"],
            timestamp=int(moment.timestamp()),
        )
    return bytes(made)


def rasterize(svg: str, width: int, height: int, scale: float = 2.0) -> bytes:
    """A PNG of an SVG on white, in the report font, which has Latin and Chinese characters.

    Args:
        svg: The drawing.
        width: Of its view, in CSS pixels, as ``height``.
        height: See ``width``.
        scale: Pixels of the PNG to a CSS pixel.

    Raises:
        ExtraMissing: If typst or the font is not installed (extra ``pdf``).
    """
    compiler = _compiler()
    with _LOCK:
        made = compiler.compile(
            input=_SHEET,
            format="png",
            ppi=72.0 * scale,
            sys_inputs={"svg": svg, "width": str(width), "height": str(height)},
        )
    return bytes(made)


@lru_cache(maxsize=1)
def _compiler() -> Any:
    """One compiler for all documents: it keeps the parsed font."""
    try:
        import typst
    except ImportError as missing:
        raise ExtraMissing("PDF output", "pdf") from missing
    fonts = typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(font_file().parent)]
    )
    return typst.Compiler(font_paths=fonts, ignore_system_fonts=True)
