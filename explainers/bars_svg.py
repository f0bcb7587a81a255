"""Signed horizontal bars as inline SVG: contributions of nodes or families."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, ROW, TEXT = 860, 26, 360
BARS_CSS = """\
.bars text{fill:currentColor;font-size:14px}.bars .risk{fill:#c62828}.bars .relief{fill:#1565c0}
.bars .axis{stroke:currentColor;opacity:.4}
@media (prefers-color-scheme:dark){.bars .risk{fill:#d13438}.bars .relief{fill:#1f6fd0}}
"""


def bars_svg(rows: Sequence[tuple[str, float]], title: str) -> str:
    """Draw one bar per row, red to the right for risk and blue to the left for relief.

    Args:
        rows: Label and value on the logit scale; drawn in the order given.
        title: Read by screen readers; the numbers are drawn as text too.
    """
    largest = max((abs(value) for _, value in rows), default=0.0) or 1.0
    axis, reach = TEXT + 215, 150
    height = ROW * len(rows) + 8
    out = [
        f'<svg class="bars" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        f'<line class="axis" x1="{axis}" y1="0" x2="{axis}" y2="{height}"/>',
    ]
    for i, (text, value) in enumerate(rows):
        top, length = 4 + ROW * i, reach * abs(value) / largest
        left = axis if value > 0 else axis - length
        end, anchor = (axis + length + 8, "start") if value > 0 else (axis - length - 8, "end")
        sign = "risk" if value > 0 else "relief"
        out.append(f'<text x="0" y="{top + 17}">{escape(text)}</text>')
        out.append(
            f'<rect class="{sign}" x="{left:.1f}" y="{top + 4}" width="{length:.1f}" height="16" rx="2"/>'
        )
        out.append(f'<text x="{end:.1f}" y="{top + 17}" text-anchor="{anchor}">{value:+.3f}</text>')
    return "\n".join([*out, "</svg>"])
