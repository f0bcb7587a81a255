"""One order as a picture: its behavior graph, and the other orders behind its entities."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from enum import StrEnum
from html import escape

from riskgraph.core.links import OrderLinks
from riskgraph.core.report import DecisionReport
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.explainers.graph_svg import GRAPH_CSS, HEIGHT, WIDTH, ring
from riskgraph.explainers.links_svg import LINKS_CSS, LINKS_DARK, links_drawing
from riskgraph.explainers.record import attribution_of
from riskgraph.explainers.texts import say

TABLE = "graph"
HEAD, PART = 92, 46
_CSS = """\
.rg .title{font-size:25px;font-weight:600}.rg .part{font-size:16px;font-weight:600}
.rg .rule{stroke:currentColor;stroke-width:1;opacity:.15}
"""


class What(StrEnum):
    """What of an order is drawn."""

    BEHAVIOR = "behavior"
    LINKS = "links"
    BOTH = "both"


def order_picture(
    subgraph: OrderSubgraph, record: DecisionReport | None, links: OrderLinks, what: What, lang: str
) -> str:
    """An SVG, the same for the same order; it names no order and no entity but by a digest.

    Args:
        subgraph: What is drawn of the behavior.
        record: The decision, with its contributions; None for an order that was only loaded.
        links: The order's entities and the other orders behind them.
        what: One of the two parts, or both.
        lang: ``zh`` or ``en``.
    """
    attribution = None if record is None else attribution_of(record)
    drawn: list[tuple[str, list[str]]] = []
    if what is not What.LINKS:
        drawn.append((_behavior(subgraph, lang), ring(subgraph, attribution, lang, typed=True)))
    if what is not What.BEHAVIOR:
        drawn.append((say("title.links", lang, TABLE), links_drawing(links, lang)))
    _, height = size_of(what)
    title, facts = heading(record, links, lang)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="rg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="rg-title">'
        f'<title id="rg-title">{escape(title)}</title>',
        f"<style>{GRAPH_CSS}{LINKS_CSS}{_CSS}@media (prefers-color-scheme:dark){{{LINKS_DARK}}}</style>",
        f'<text class="title" x="32" y="46">{escape(title)}</text>'
        f'<text class="note" x="32" y="74">{escape(facts)}</text>',
    ]
    for i, (name, elements) in enumerate(drawn):
        top = HEAD + i * (PART + HEIGHT)
        parts.append(
            f'<path class="rule" d="M32 {top}H{WIDTH - 16}"/>'
            f'<text class="part" x="32" y="{top + 30}">{escape(name)}</text>'
            f'<g transform="translate(0 {top + PART})">'
        )
        parts += [*elements, "</g>"]
    return "\n".join([*parts, "</svg>"])


def size_of(what: What) -> tuple[int, int]:
    """Width and height of a picture, in CSS pixels."""
    return WIDTH, HEAD + (2 if what is What.BOTH else 1) * (PART + HEIGHT)


def heading(record: DecisionReport | None, links: OrderLinks, lang: str) -> tuple[str, str]:
    """The verdict, and when, for how much, whether fraud is on record, at what probability."""
    order = links.order
    named = say("title.order", lang, TABLE, name=order.name)
    when = f"{datetime.fromtimestamp(order.at, UTC):%Y-%m-%d %H:%M} UTC"
    facts = [when, f"{order.amount:,.2f} {order.currency}"]
    if order.fraud:
        facts.append(say("mark.fraud", lang, TABLE))
    if record is None:
        return f"{named} · {say('title.undecided', lang, TABLE)}", " · ".join(facts)
    score = record.score.get("probability")
    if score is not None:
        facts.append(say("title.score", lang, TABLE, score=f"{score:.3f}"))
    if record.provenance == "simulated":
        facts.append(say("title.simulated", lang, TABLE))
    return f"{named} · {say('verdict.' + record.score['verdict'], lang)}", " · ".join(facts)


def _behavior(subgraph: OrderSubgraph, lang: str) -> str:
    """How many nodes have a value, and why the others have none."""
    counts = Counter(map(State, subgraph.states.tolist()))
    causes = ", ".join(f"{counts[s]} {say(f'state.{s.word}', lang)}" for s in State if s and counts[s])
    told = say("title.absent", lang, TABLE, present=counts[State.PRESENT], causes=causes or "0")
    return f"{say('title.behavior', lang, TABLE)} · {told}"
