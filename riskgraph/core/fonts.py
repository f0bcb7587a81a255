"""The report font of the ``pdf`` extra, and which characters it covers."""

from __future__ import annotations

import struct
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from riskgraph.core.errors import ExtraMissing

PACKAGE, FILE, FAMILY = "pylopdf_fonts_zh_cn", "NotoSansSC-Regular.otf", "Noto Sans SC"
REPLACEMENT = "□"


@lru_cache(maxsize=1)
def font_file() -> Path:
    """Path of the font.

    Raises:
        ExtraMissing: If the extra ``pdf`` is not installed.
    """
    try:
        path = Path(str(resources.files(PACKAGE).joinpath(FILE)))
    except ModuleNotFoundError as missing:
        raise ExtraMissing("PDF output", "pdf") from missing
    if not path.is_file():
        raise ExtraMissing("PDF output", "pdf")
    return path


@lru_cache(maxsize=1)
def covered() -> frozenset[int]:
    """Code points with a glyph, from the font's ``cmap`` table (OpenType, format 12)."""
    return read_cmap(font_file().read_bytes())


def read_cmap(font: bytes) -> frozenset[int]:
    """Code points of the format 12 subtables of an OpenType font.

    Raises:
        ValueError: If the font has no such subtable.
    """
    (tables,) = struct.unpack_from(">H", font, 4)
    records = (struct.unpack_from(">4sIII", font, 12 + 16 * i) for i in range(tables))
    start = next((offset for tag, _, offset, _ in records if tag == b"cmap"), None)
    if start is None:
        raise ValueError("the font has no cmap table")
    (subtables,) = struct.unpack_from(">H", font, start + 2)
    points: set[int] = set()
    for i in range(subtables):
        (offset,) = struct.unpack_from(">I", font, start + 4 + 8 * i + 4)
        (kind,) = struct.unpack_from(">H", font, start + offset)
        if kind != 12:
            continue
        (groups,) = struct.unpack_from(">I", font, start + offset + 12)
        for group in range(groups):
            first, last, _ = struct.unpack_from(">III", font, start + offset + 16 + 12 * group)
            points.update(range(first, last + 1))
    if not points:
        raise ValueError("the font has no cmap subtable of format 12")
    return frozenset(points)


def printable(value: Any) -> tuple[Any, bool]:
    """A JSON value in which every character that the font lacks is replaced by ``□``.

    PDF/UA-1 refuses a missing glyph, and a name with a rare character must not cost anyone their
    report (GDPR Art. 12(1)).

    Returns:
        The value, and True when something was replaced.
    """
    points, replaced = covered(), False

    def clean(part: Any) -> Any:
        nonlocal replaced
        if isinstance(part, str):
            if points.issuperset(map(ord, set(part))):
                return part
            text = "".join(c if ord(c) in points else " " if c.isspace() else REPLACEMENT for c in part)
            replaced = replaced or text.count(REPLACEMENT) > part.count(REPLACEMENT)
            return text
        if isinstance(part, dict):
            return {key: clean(inner) for key, inner in part.items()}
        return [clean(inner) for inner in part] if isinstance(part, list) else part

    return clean(value), replaced
