"""``riskgraph graph``: one order as a picture or as data."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, emit
from riskgraph.core.errors import Invalid
from riskgraph.core.subgraph import State
from riskgraph.core.typeset import rasterize
from riskgraph.explainers.choices import Lang
from riskgraph.explainers.links_svg import MOST
from riskgraph.explainers.order_picture import What, size_of
from riskgraph.order_graph import OrderGraph, find_order
from riskgraph.settings import Settings
from riskgraph.stores import SqliteStore

app = typer.Typer(help="One order as a graph.", no_args_is_help=True)


class Origin(StrEnum):
    """Where an order is read from."""

    STORE = "store"
    NEO4J = "neo4j"


SUFFIXES = (".svg", ".png")


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="graph")


@app.callback()
def _group() -> None:
    pass


@app.command("order")
def show_graph(
    asked: Annotated[
        str, typer.Argument(metavar="ID", help="A decision's id, or an order key MERCHANT|CHANNEL|ORDER.")
    ],
    out: Annotated[Path | None, typer.Option(help="Picture to write: FILE.svg, or FILE.png.")] = None,
    what: Annotated[What, typer.Option(help="What is drawn.")] = What.BOTH,
    others: Annotated[
        int, typer.Option(min=0, max=MOST, help="Other orders that are drawn; the rest is counted.")
    ] = 24,
    origin: Annotated[
        Origin, typer.Option("--from", help="Where order and links are read; decisions are the store's.")
    ] = Origin.STORE,
    lang: Annotated[Lang, typer.Option(help="Language of the picture.")] = Lang.EN,
    as_json: AsJson = False,
) -> None:
    """Draw one order: its 137 behavior nodes, and the other orders behind the same device, card, address...

    Entities and orders are named by short digests alone. The other orders are those of now, not of the
    moment of the decision. From Neo4j an order comes as its first attempt has it, with the decision that was
    made from that. --json prints node-link data (networkx, d3; extra lab).
    """
    suffix = None if out is None else out.suffix.lower()
    if suffix is not None and suffix not in SUFFIXES:
        raise Invalid(f"--out must end in {' or '.join(SUFFIXES)}, got {out}", field="--out")
    settings = Settings.from_environment()
    with bootstrap.open_keys(settings) as store:
        graph = _found(settings, store, asked, others, origin)
    if out is not None:
        picture = graph.picture(what, lang.value)
        out.write_bytes(picture.encode() if suffix == ".svg" else rasterize(picture, *size_of(what)))
    shown = graph.node_link() if as_json else None
    emit(shown, as_json, lambda console: show(console, graph, out))


def _found(settings: Settings, store: SqliteStore, asked: str, others: int, origin: Origin) -> OrderGraph:
    if origin is Origin.STORE:
        return find_order(store, asked, others)
    # Here, since it needs what the core install lacks.
    from riskgraph import graph_database

    with graph_database.connected(settings) as neo4j:
        return find_order(store, asked, others, graph_database.GraphOrders(neo4j))


def show(console: Console, graph: OrderGraph, out: Path | None) -> None:
    """Counts in a few lines."""
    counts = Counter(State(state).word for state in graph.subgraph.states.tolist())
    console.print("behavior nodes: " + ", ".join(f"{n} {word}" for word, n in counts.most_common()))
    for entity in graph.links.entities:
        told = "a hub" if entity.hub else f"{entity.hidden} not among those shown"
        console.print(f"{entity.kind} {entity.name}: {entity.orders} orders, {told}")
    fraud = sum(order.fraud for order in graph.links.orders)
    console.print(f"other orders shown: {len(graph.links.orders)}, with fraud on record {fraud}")
    if out is not None:
        console.print(f"picture: {out}", soft_wrap=True)
