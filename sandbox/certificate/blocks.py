"""The blocks that a certificate is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        kind: heading, text, facts, list, code, table or figure.
        text: The words; of a figure, what it shows. tone: Empty, ``lead`` or ``muted``.
        rows: Cells of facts, list, code or table; head, numeric (columns) and widths of a table.
        svg: The picture.
    """

    kind: str
    text: str = ""
    tone: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    head: tuple[str, ...] = ()
    numeric: tuple[int, ...] = ()
    widths: tuple[float, ...] = ()
    svg: str = ""


@dataclass(frozen=True)
class Section:
    """A titled run of blocks; ``law`` names the articles that it answers to."""

    title: str
    law: str
    blocks: list[Block]


def text(words: str, tone: str = "") -> Block:
    return Block("text", words, tone)


def heading(words: str) -> Block:
    return Block("heading", words)


def figure(svg: str, words: str) -> Block:
    return Block("figure", words, svg=svg)


def lines(kind: str, items: Iterable[str]) -> Block:
    """A list, or lines of code."""
    return Block(kind, rows=tuple((item,) for item in items))


def rows_of(
    kind: str,
    rows: Iterable[Sequence[str]],
    head: Iterable[str] = (),
    *,
    numeric: Iterable[int] = (),
    widths: Iterable[float] = (),
) -> Block:
    """Facts (name and value), or a table."""
    cells = tuple(tuple(row) for row in rows)
    return Block(kind, rows=cells, head=tuple(head), numeric=tuple(numeric), widths=tuple(widths))


def count(value: int | str) -> str:
    """A count; one that may not be told stands as it is (``<50``)."""
    return value if isinstance(value, str) else f"{value:,}"


def percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def figure_of(value: object) -> str:
    """Any measured value, a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return "–".join(figure_of(part) for part in value)
    return f"{value:,}" if isinstance(value, int) else str(value)
