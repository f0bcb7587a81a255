"""The behavior graph of one order as a deterministic SVG: 137 nodes by family on a ring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import cos, pi, sin, sqrt

import numpy as np

from riskgraph.core.catalog import FAMILIES, NodeSpec, catalog
from riskgraph.core.report import Attribution, DecisionReport
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.explainers.record import attribution_of
from riskgraph.explainers.sections import family
from riskgraph.explainers.texts import say
from riskgraph.explainers.values import label

WIDTH, HEIGHT, CENTRE = 1250, 820, (410.0, 410.0)
ROWS, GAP = 3, 0.8
OUTER, ROW_STEP, LABEL_RADIUS = 322.0, 31.0, 352.0
SMALLEST, LARGEST = 4.5, 13.0
WIDEST_EDGE = 7.0
RANKED = 12

GRAPH_CSS = """\
.rg{color:#1d2733;font-family:system-ui,"Noto Sans SC","PingFang SC","Microsoft YaHei",sans-serif}
.rg text{fill:currentColor}.rg .fam{font-size:12.5px;font-weight:600}.rg .rank{font-size:14px}
.rg .note{font-size:14px;opacity:.8}.rg .sector{fill:currentColor;opacity:.05}
.rg .hair{stroke:currentColor;stroke-width:.7;opacity:.16;fill:none}.rg .edge{fill:none}
.rg .risk{fill:#c62828;stroke:#8e1616}.rg .relief{fill:#1565c0;stroke:#0b3f7d}
.rg .edge.risk{fill:none;stroke:#c62828}.rg .edge.relief{fill:none;stroke:#1565c0}
.rg .zero{fill:#8a94a0;stroke:#5d6670}.rg .absent{fill:none;stroke:#7d8792;stroke-width:1.3}
.rg .na{fill:#7d8792;stroke:none}.rg .refused{fill:none;stroke:#7b3fa0;stroke-width:2.2}
.rg .hair.typed{stroke-width:.8;opacity:.32}.rg .temporal_next{stroke:#2e7d32}.rg .same_page{stroke:#00838f}
.rg .same_entity{stroke:#6a3fa0}.rg .causal{stroke:#b26a00}.rg .corroborates{stroke:#795548}
.rg .consistency{stroke:#5c6bc0}.rg .found{stroke:#9e9d24}.rg .hair.key{stroke-width:3;opacity:.8}
.rg .num{fill:#fff;font-size:11px;font-weight:700;text-anchor:middle}
@media (prefers-color-scheme:dark){.rg{color:#e4e9ef}
.rg .risk{fill:#d13438;stroke:#ff9a9d}.rg .relief{fill:#1f6fd0;stroke:#9cc7ff}
.rg .edge.risk{stroke:#ff6b6f}.rg .edge.relief{stroke:#5ea5ff}.rg .refused{stroke:#c99ae6}
.rg .zero{stroke:#8a94a0}}
"""


@dataclass(frozen=True, slots=True)
class Place:
    x: float
    y: float
    angle: float


def _layout() -> tuple[tuple[Place, ...], dict[str, tuple[float, float]]]:
    """Places of the nodes, and the first and last angle of each family's sector."""
    members = {code: [n for n in catalog() if n.family == code] for code in FAMILIES}
    columns = {code: -(-len(nodes) // ROWS) for code, nodes in members.items()}
    step = 2 * pi / (sum(columns.values()) + GAP * len(FAMILIES))
    places: dict[int, Place] = {}
    sectors: dict[str, tuple[float, float]] = {}
    angle = -pi / 2
    for code, nodes in members.items():
        sectors[code] = (angle, angle + columns[code] * step)
        for i, node in enumerate(nodes):
            turn = angle + (i // ROWS + 0.5) * step
            radius = OUTER - (i % ROWS) * ROW_STEP
            places[node.index] = Place(*_point(turn, radius), turn)
        angle += (columns[code] + GAP) * step
    return tuple(places[i] for i in range(len(places))), sectors


def _point(angle: float, radius: float) -> tuple[float, float]:
    return CENTRE[0] + radius * cos(angle), CENTRE[1] + radius * sin(angle)


_PLACES, _SECTORS = _layout()


def graph_svg(record: DecisionReport, lang: str, *, standalone: bool = True) -> str:
    """Draw one order's behavior graph.

    Shape and colour both tell a node's state: circle raised the risk, square lowered it, hollow is
    not delivered, dot is not applicable, cross is refused. Size follows |phi|, the width of a curve
    follows |g|.

    Args:
        record: The stored record; a degraded one is drawn without contributions.
        lang: ``zh`` or ``en``.
        standalone: True for a file of its own; False inside a page that carries ``GRAPH_CSS``.
    """
    title = say("heading.graph", lang)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="rg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-labelledby="rg-title rg-desc"><title id="rg-title">{escape(title)}</title>'
        f'<desc id="rg-desc">{escape(say("label.graph_caption", lang))}</desc>',
        f"<style>{GRAPH_CSS}</style>" if standalone else "",
        *ring(OrderSubgraph.unpack(record.subgraph), attribution_of(record), lang),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part)


def ring(
    subgraph: OrderSubgraph, attribution: Attribution | None, lang: str, *, typed: bool = False
) -> list[str]:
    """The elements of the drawing, ``WIDTH`` by ``HEIGHT``; ``typed`` tells the types of edges by colour."""
    phi = np.zeros(len(_PLACES)) if attribution is None else attribution.phi
    ranks = [i for i in np.argsort(-np.abs(phi), kind="stable")[:RANKED].tolist() if phi[i] != 0.0]
    return [
        *_sectors(lang),
        *_edges(subgraph, attribution, typed),
        *(_node(node, subgraph, phi, ranks, lang) for node in catalog()),
        *_ranking(phi, ranks, lang),
        *_legend(lang),
        *(_edge_legend(lang) if typed else ()),
    ]


def _sectors(lang: str) -> list[str]:
    out = []
    inner, outer = OUTER - ROWS * ROW_STEP + 14, OUTER + 17
    for code, (first, last) in _SECTORS.items():
        (ax, ay), (bx, by) = _point(first, outer), _point(last, outer)
        (cx, cy), (dx, dy) = _point(last, inner), _point(first, inner)
        out.append(
            f'<path class="sector" d="M{ax:.1f} {ay:.1f}A{outer} {outer} 0 0 1 {bx:.1f} {by:.1f}'
            f'L{cx:.1f} {cy:.1f}A{inner} {inner} 0 0 0 {dx:.1f} {dy:.1f}Z"/>'
        )
        out.append(_family_label(family(code, lang), (first + last) / 2))
    return out


def _family_label(text: str, middle: float) -> str:
    """Along the ring, so that long names of neighbours never meet; the lower half reads upright."""
    below = sin(middle) > 0
    x, y = _point(middle, LABEL_RADIUS + (5 if below else 0))
    turn = middle * 180 / pi + (-90 if below else 90)
    return (
        f'<text class="fam" x="{x:.1f}" y="{y:.1f}" text-anchor="middle" dominant-baseline="middle" '
        f'transform="rotate({turn:.1f} {x:.1f} {y:.1f})">{escape(text)}</text>'
    )


def _edges(subgraph: OrderSubgraph, attribution: Attribution | None, typed: bool) -> list[str]:
    """Hairlines for every pair that is present, and a weighted curve where it counted."""
    g = np.zeros(len(catalog().pairs)) if attribution is None else attribution.pairs
    largest = float(np.abs(g).max()) or 1.0
    hairs, curves = [], []
    for i in np.argsort(np.abs(g), kind="stable").tolist():
        if not subgraph.present_pairs[i]:
            continue
        pair = catalog().pairs[i]
        path = _curve(_PLACES[pair.a], _PLACES[pair.b])
        weight = abs(float(g[i])) / largest
        if weight < 0.02:
            kind = f" typed {pair.types[0]}" if typed else ""
            hairs.append(f'<path class="hair{kind}" d="{path}"/>')
            continue
        sign = "risk" if g[i] > 0 else "relief"
        a, b = catalog().nodes[pair.a].id, catalog().nodes[pair.b].id
        curves.append(
            f'<path class="edge {sign}" d="{path}" stroke-width="{max(0.6, WIDEST_EDGE * weight):.2f}" '
            f'stroke-opacity="{0.12 + 0.6 * weight:.2f}"><title>{a} – {b} g {g[i]:+.3f}</title></path>'
        )
    return hairs + curves


def _curve(a: Place, b: Place) -> str:
    """A quadratic curve that bends towards the centre, less so for neighbours."""
    apart = abs(cos((a.angle - b.angle) / 2))
    pull = 0.35 + 0.6 * (1 - apart)
    x = (a.x + b.x) / 2 * (1 - pull) + CENTRE[0] * pull
    y = (a.y + b.y) / 2 * (1 - pull) + CENTRE[1] * pull
    return f"M{a.x:.1f} {a.y:.1f}Q{x:.1f} {y:.1f} {b.x:.1f} {b.y:.1f}"


def _node(
    node: NodeSpec,
    subgraph: OrderSubgraph,
    phi: np.ndarray[tuple[int], np.dtype[np.float64]],
    ranks: Sequence[int],
    lang: str,
) -> str:
    place, state = _PLACES[node.index], subgraph.state(node.id)
    value = float(phi[node.index])
    largest = float(np.abs(phi).max()) or 1.0
    size = SMALLEST + (LARGEST - SMALLEST) * sqrt(abs(value) / largest)
    shape = _shape(place, state, value, size)
    number = ""
    if node.index in ranks and size > 7.5:
        number = (
            f'<text class="num" x="{place.x:.1f}" y="{place.y + 4:.1f}">{ranks.index(node.index) + 1}</text>'
        )
    amount = f" φ {value:+.3f}" if value else ""
    title = f"{node.id} {label(node, lang)}: {say(f'state.{state.word}', lang)}{amount}"
    return f"<g><title>{escape(title)}</title>{shape}{number}</g>"


def _shape(place: Place, state: State, value: float, size: float) -> str:
    x, y = place.x, place.y
    if state is State.REFUSED:
        return (
            f'<path class="refused" d="M{x - 4:.1f} {y - 4:.1f}L{x + 4:.1f} {y + 4:.1f}'
            f'M{x + 4:.1f} {y - 4:.1f}L{x - 4:.1f} {y + 4:.1f}"/>'
        )
    if state is State.NOT_APPLICABLE:
        return f'<circle class="na" cx="{x:.1f}" cy="{y:.1f}" r="2"/>'
    if state is State.NOT_DELIVERED:
        return f'<circle class="absent" cx="{x:.1f}" cy="{y:.1f}" r="3.6"/>'
    if value < 0:
        side = size * 1.8
        return (
            f'<rect class="relief" x="{x - side / 2:.1f}" y="{y - side / 2:.1f}" width="{side:.1f}" '
            f'height="{side:.1f}" rx="2.5"/>'
        )
    return f'<circle class="{"risk" if value > 0 else "zero"}" cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"/>'


def _ranking(phi: np.ndarray[tuple[int], np.dtype[np.float64]], ranks: Sequence[int], lang: str) -> list[str]:
    """The numbered list beside the ring."""
    out, x, y = [], 850, 150
    if ranks:
        out.append(f'<text class="fam" x="{x}" y="{y - 34}">{escape(say("label.phi", lang))}</text>')
    for place, i in enumerate(ranks):
        node, value = catalog().nodes[i], float(phi[i])
        top = y + 34 * place
        out.append(_shape(Place(x + 11, top - 5, 0.0), State.PRESENT, value, 11.0))
        out.append(f'<text class="num" x="{x + 11}" y="{top - 1}">{place + 1}</text>')
        text = _short(label(node, lang), 18 if lang == "zh" else 40)
        out.append(f'<text class="rank" x="{x + 32}" y="{top}">{escape(text)}</text>')
        out.append(f'<text class="rank" x="{WIDTH - 16}" y="{top}" text-anchor="end">{value:+.2f}</text>')
    return out


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _legend(lang: str) -> list[str]:
    """What the shapes mean."""
    rows = (
        (State.PRESENT, 1.0, say("direction.risk", lang)),
        (State.PRESENT, -1.0, say("direction.relief", lang)),
        (State.PRESENT, 0.0, say("label.neutral", lang)),
        (State.NOT_DELIVERED, 0.0, say("state.not_delivered", lang)),
        (State.NOT_APPLICABLE, 0.0, say("state.not_applicable", lang)),
        (State.REFUSED, 0.0, say("state.refused", lang)),
    )
    out = []
    for i, (state, value, text) in enumerate(rows):
        x, y = 861 + 170 * (i % 2), 640 + 32 * (i // 2)
        out.append(_shape(Place(x, y, 0.0), state, value, 7.0))
        out.append(f'<text class="note" x="{x + 18}" y="{y + 5}">{escape(text)}</text>')
    return out


def _edge_legend(lang: str) -> list[str]:
    """Colours of edges that carry no contribution of their own."""
    out = []
    for i, kind in enumerate(catalog().edge_types):
        x, y = 861 + 170 * (i % 2), 734 + 24 * (i // 2)
        out.append(f'<path class="hair key {kind}" d="M{x - 8} {y}h16"/>')
        text = escape(say(f"edge.{kind}", lang, "graph"))
        out.append(f'<text class="note" x="{x + 18}" y="{y + 5}">{text}</text>')
    return out
