"""The other orders behind one order's entities, drawn: entities around it, orders outside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from math import atan2, cos, hypot, pi, sin

from riskgraph.core.links import LinkedEntity, LinkedOrder, OrderLinks
from riskgraph.core.past import LINK_KINDS
from riskgraph.explainers.texts import say

TABLE = "graph"
CENTRE = (410.0, 400.0)
ENTITY_RADIUS, ORDER_RADIUS, MARK = 165.0, 335.0, 11.0
CLOSEST = 2 * MARK + 5
MOST = int(2 * pi * ORDER_RADIUS / CLOSEST)
ROUNDS, CROWDED = 400, 0.7
LISTED, LIST_X, LIST_Y, ROW = 22, 850, 110, 26
MARKS = ("fraud", "reject", "review", "accept", "undecided")

LINKS_CSS = """\
.rg .link{fill:none;stroke-width:1.8;opacity:.5}.rg .spoke{stroke-width:3.5;opacity:.85}
.rg .account{stroke:#6a3fa0}.rg .device{stroke:#00796b}
.rg .card{stroke:#b0206a}.rg .address{stroke:#3f6f1f}.rg .phone{stroke:#6d4c41}
.rg .ent.account{fill:#6a3fa0}.rg .ent.device{fill:#00796b}.rg .ent.card{fill:#b0206a}
.rg .ent.address{fill:#3f6f1f}.rg .ent.phone{fill:#6d4c41}.rg .ent{stroke:#fff;stroke-width:2}
.rg .fraud{fill:#7f0000;stroke:#c62828;stroke-width:3}.rg .reject{fill:#c62828;stroke:#8e1616}
.rg .review{fill:#b26a00;stroke:#7a4a00}.rg .accept{fill:#1565c0;stroke:#0b3f7d}
.rg .undecided{fill:#8a94a0;stroke:#5d6670}
.rg .plate{fill:#fff;opacity:.85}
.rg .small{font-size:12px}.rg .mono{font-size:12.5px;font-family:ui-monospace,monospace,"Noto Sans SC"}
.rg .end{text-anchor:end}.rg .mid{text-anchor:middle}.rg .white{fill:#fff}
"""
LINKS_DARK = """\
.rg .plate{fill:#10151b}.rg .link,.rg .spoke{opacity:.9}.rg .fraud{stroke:#ff9a9d}"""


def links_drawing(links: OrderLinks, lang: str) -> list[str]:
    """The elements of the drawing: a ring of at most ``MOST`` orders, and the list beside it."""
    turns = {
        entity.kind: -pi / 2 + 2 * pi * i / len(links.entities) for i, entity in enumerate(links.entities)
    }
    orders = links.orders[:MOST]
    places = dict(zip((o.name for o in orders), _places(orders, turns), strict=True))
    return [
        *(_spoke(entity.kind, turns[entity.kind]) for entity in links.entities),
        *(_link(kind, turns[kind], places[o.name]) for o in orders for kind in o.shares),
        *(_order(number, o, places[o.name], lang) for number, o in enumerate(orders, 1)),
        *(_entity(entity, turns[entity.kind], lang) for entity in links.entities),
        _centre(links.order, lang),
        *_list(links, orders, lang),
        *_legend(lang),
    ]


def _point(turn: float, radius: float) -> tuple[float, float]:
    return CENTRE[0] + radius * cos(turn), CENTRE[1] + radius * sin(turn)


def _places(orders: Sequence[LinkedOrder], turns: dict[str, float]) -> list[float]:
    """Angles of the orders: each near its entities, none closer to another than their marks are wide."""
    wanted = [_between([turns[kind] for kind in order.shares]) for order in orders]
    sequence = sorted(range(len(orders)), key=lambda i: (wanted[i], i))
    spread = _apart([wanted[i] for i in sequence], CLOSEST / ORDER_RADIUS)
    out = [0.0] * len(orders)
    for i, turn in zip(sequence, spread, strict=True):
        out[i] = turn
    return out


def _between(turns: Sequence[float]) -> float:
    """The angle amid some, from -pi/2 on; that of the first where they cancel out."""
    x, y = sum(map(cos, turns)), sum(map(sin, turns))
    turn = turns[0] if hypot(x, y) < 1e-6 else atan2(y, x)
    return (turn + pi / 2) % (2 * pi) - pi / 2


def _apart(turns: list[float], least: float) -> list[float]:
    """Sorted angles, pushed apart until neighbours on the circle keep ``least``, where there is room."""
    out = list(turns)
    if len(out) * least > CROWDED * 2 * pi:
        return [out[0] + 2 * pi * i / len(out) for i in range(len(out))]
    for _ in range(ROUNDS if len(out) > 1 else 0):
        lacks = [least - (b - a) for a, b in pairwise([*out, out[0] + 2 * pi])]
        if max(lacks) < 1e-4:
            break
        for i, lack in enumerate(lacks):
            if lack > 0:
                out[i] -= lack / 2
                out[(i + 1) % len(out)] += lack / 2
    return out


def _spoke(kind: str, turn: float) -> str:
    x, y = _point(turn, ENTITY_RADIUS)
    return f'<path class="link spoke {kind}" d="M{CENTRE[0]} {CENTRE[1]}L{x:.1f} {y:.1f}"/>'


def _link(kind: str, entity: float, order: float) -> str:
    (ax, ay), (bx, by) = _point(entity, ENTITY_RADIUS), _point(order, ORDER_RADIUS)
    cx, cy = _point(order, (ENTITY_RADIUS + ORDER_RADIUS) / 2)
    return f'<path class="link {kind}" d="M{ax:.1f} {ay:.1f}Q{cx:.1f} {cy:.1f} {bx:.1f} {by:.1f}"/>'


def _mark(order: LinkedOrder) -> str:
    return "fraud" if order.fraud else order.verdict or "undecided"


def _order(number: int, order: LinkedOrder, turn: float, lang: str) -> str:
    x, y = _point(turn, ORDER_RADIUS)
    told = f"{order.name} {_day(order)} {_money(order)}: {say(f'mark.{_mark(order)}', lang, TABLE)}"
    return (
        f"<g><title>{escape(told)}</title>{_dot(_mark(order), x, y, MARK)}"
        f'<text class="num" x="{x:.1f}" y="{y + 4:.1f}">{number}</text></g>'
    )


def _dot(mark: str, x: float, y: float, radius: float) -> str:
    return f'<circle class="{mark}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def _centre(order: LinkedOrder, lang: str) -> str:
    x, y = CENTRE
    return (
        f'{_dot(_mark(order), x, y, 40)}<text class="rank mid white" x="{x}" y="{y - 2}">'
        f"{escape(say('order.this', lang, TABLE))}</text>"
        f'<text class="small mid white" x="{x}" y="{y + 16}">{order.name}</text>'
    )


def _entity(entity: LinkedEntity, turn: float, lang: str) -> str:
    x, y = _point(turn, ENTITY_RADIUS)
    size = 21 if entity.hub else 14
    rim = f'<circle class="link {entity.kind}" cx="{x:.1f}" cy="{y:.1f}" r="27"/>' if entity.hub else ""
    lines = [f"{say(f'kind.{entity.kind}', lang, TABLE)} {entity.name}", _count(entity, lang)]
    if entity.hidden and not entity.hub:
        lines.append(say("entity.hidden", lang, TABLE, count=f"{entity.hidden:,}"))
    top = y - size - 8 - 15 * (len(lines) - 1) if sin(turn) < 0 else y + size + 16
    half = max(sum(13.0 if ord(c) > 0x2E7F else 6.8 for c in line) for line in lines) / 2 + 6
    words = (
        f'<rect class="plate" x="{x - half:.1f}" y="{top - 14:.1f}" width="{2 * half:.1f}" '
        f'height="{15 * len(lines) + 6}" rx="5"/>'
    ) + "".join(
        f'<text class="{"fam" if i == 0 else "small"} mid" x="{x:.1f}" y="{top + 15 * i:.1f}">'
        f"{escape(line)}</text>"
        for i, line in enumerate(lines)
    )
    return f'<g>{rim}<circle class="ent {entity.kind}" cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>{words}</g>'


def _count(entity: LinkedEntity, lang: str) -> str:
    key = "hub" if entity.hub else "one" if entity.orders == 1 else "many"
    return say(f"entity.{key}", lang, TABLE, count=f"{entity.orders:,}")


def _day(order: LinkedOrder) -> str:
    return datetime.fromtimestamp(order.at, UTC).date().isoformat()


def _money(order: LinkedOrder) -> str:
    return f"{order.amount:,.2f} {order.currency}"


def _list(links: OrderLinks, orders: Sequence[LinkedOrder], lang: str) -> list[str]:
    if not orders:
        told = say("order.none" if links.entities else "order.alone", lang, TABLE)
        return [f'<text class="rank" x="{LIST_X}" y="{LIST_Y}">{escape(told)}</text>']
    heading = escape(say("order.listed", lang, TABLE))
    out = [f'<text class="fam" x="{LIST_X}" y="{LIST_Y - 34}">{heading}</text>']
    for i, order in enumerate(orders[:LISTED]):
        y = LIST_Y + ROW * i
        out.append(_dot(_mark(order), LIST_X + 11, y - 5, MARK - 1))
        out.append(f'<text class="num" x="{LIST_X + 11}" y="{y - 1}">{i + 1}</text>')
        out.append(f'<text class="mono" x="{LIST_X + 32}" y="{y}">{order.name}</text>')
        out.append(f'<text class="mono" x="{LIST_X + 102}" y="{y}">{_day(order)}</text>')
        out.append(f'<text class="mono end" x="{LIST_X + 288}" y="{y}">{escape(_money(order))}</text>')
        columns = ((kind, LIST_X + 306 + 16 * LINK_KINDS.index(kind)) for kind in order.shares)
        out += [f'<circle class="ent {kind}" cx="{x}" cy="{y - 5}" r="6"/>' for kind, x in columns]
    if len(orders) > LISTED:
        told = escape(say("order.unlisted", lang, TABLE, count=len(orders) - LISTED))
        out.append(f'<text class="note" x="{LIST_X + 32}" y="{LIST_Y + ROW * LISTED}">{told}</text>')
    return out


def _legend(lang: str) -> list[str]:
    out = []
    for i, mark in enumerate(MARKS):
        x, y = LIST_X + 11 + 170 * (i % 2), 730 + 26 * (i // 2)
        out.append(_dot(mark, x, y, 8))
        text = escape(say(f"mark.{mark}", lang, TABLE))
        out.append(f'<text class="note" x="{x + 18}" y="{y + 5}">{text}</text>')
    return out
