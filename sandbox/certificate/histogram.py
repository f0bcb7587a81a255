"""Sizes of groups as inline SVG: honest and fraud groups side by side, each on its own scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 860, 218
_PANEL, _GAP, _LEFT, _TOP, _BASE = 404, 40, 4, 40, 162
_FONT = "Noto Sans SC, system-ui, sans-serif"
# Told apart by lightness too, for a page that is printed in grey.
_FILL = {"honest": "#a9c4de", "fraud": "#8c3a3a"}


def histogram_svg(
    histogram: Mapping[str, Sequence[int]], names: Mapping[str, str], axis: str, title: str
) -> str:
    """Draw ``edges``, ``honest`` and ``fraud`` of one size histogram.

    Args:
        histogram: Each edge begins a bin; the last bin is open.
        names: What the panels ``honest`` and ``fraud`` are called.
        axis: What is counted along the axis.
        title: Read by screen readers; all counts are drawn as text too.
    """
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" font-family="{_FONT}" font-size="12.5" fill="#18212c">'
    ]
    for place, name in enumerate(("honest", "fraud")):
        left = _LEFT + place * (_PANEL + _GAP)
        out += _panel(left, histogram["edges"], histogram[name], names[name], _FILL[name])
        out.append(f'<text x="{left}" y="{HEIGHT - 10}" fill="#4d5a68">{escape(axis)}</text>')
    return "\n".join([*out, "</svg>"])


def _panel(left: int, edges: Sequence[int], counts: Sequence[int], name: str, fill: str) -> list[str]:
    step = _PANEL / len(edges)
    largest = max(counts, default=0) or 1
    out = [f'<text x="{left}" y="16" font-size="14">{escape(name)}</text>']
    for i, (edge, count) in enumerate(zip(edges, counts, strict=True)):
        x, height = left + i * step, (_BASE - _TOP) * count / largest
        if count:
            out.append(
                f'<rect x="{x + 1:.1f}" y="{_BASE - height:.1f}" width="{step - 2:.1f}" '
                f'height="{height:.1f}" fill="{fill}"/>'
            )
            middle, top = x + step / 2, _BASE - height - 4
            out.append(f'<text x="{middle:.1f}" y="{top:.1f}" text-anchor="middle">{count}</text>')
        word = f"{edge}+" if i == len(edges) - 1 else str(edge)
        out.append(f'<text x="{x + 1:.1f}" y="{_BASE + 17}" fill="#4d5a68">{word}</text>')
        out.append(f'<line x1="{x:.1f}" y1="{_BASE}" x2="{x:.1f}" y2="{_BASE + 5}" stroke="#4d5a68"/>')
    out.append(f'<line x1="{left}" y1="{_BASE}" x2="{left + _PANEL}" y2="{_BASE}" stroke="#4d5a68"/>')
    return out
