"""``riskgraph neo4j``: the graph that people look at, and what keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, emit, progress_bars
from riskgraph.commands.world import WorldFolder, show_world
from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.settings import MAX_DAYS, Settings
from riskgraph.stores.neo4j.queries import find_query, queries

app = typer.Typer(
    help="Neo4j beside the journal (RISKGRAPH_STORE_URL=neo4j://HOST): shared history, a graph to look at.",
    no_args_is_help=True,
)
MAX_SAMPLE = 1_000_000
Params = Annotated[list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="May be repeated.")]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="neo4j")


@app.command("query")
def query(
    name: Annotated[str | None, typer.Argument(help="Which; without it all are listed.")] = None,
    param: Params = None,
    as_json: AsJson = False,
) -> None:
    """Run one of the analysts' queries, or list them. It reads only, for 20 seconds at most."""
    if name is None:
        listed = [_described(found) for found in queries()]
        emit(listed, as_json, lambda console: _list(console, listed))
        return
    found = find_query(name)
    from riskgraph import graph_database

    rows = graph_database.ask(Settings.from_environment(), found, _given(param or []))
    emit(rows, as_json, lambda console: _rows(console, rows))


def _described(name: str) -> dict[str, Any]:
    found = queries()[name]
    parameters = {p.name: {"about": p.about, "default": p.default, "kind": p.kind} for p in found.parameters}
    return {"name": name, "about": found.about, "parameters": parameters}


def _given(params: list[str]) -> dict[str, str]:
    out = {}
    for text in params:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Invalid(f"--param takes NAME=VALUE, got {text!r:.60}", field="--param")
        out[name] = value
    return out


def _list(console: Console, listed: list[dict[str, Any]]) -> None:
    table = Table("query", "what it answers", "parameters")
    for row in listed:
        told = [f"{n}={p['default']}" if p["default"] else n for n, p in row["parameters"].items()]
        table.add_row(row["name"], row["about"], "\n".join(told))
    console.print(table)


def _rows(console: Console, rows: list[dict[str, Any]]) -> None:
    if not rows:
        console.print("nothing found")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*[_cell(value) for value in row.values()])
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


@app.command("load")
def load(
    world: WorldFolder,
    nodes: Annotated[
        str, typer.Option(help="Whose behavior nodes: all, flagged (fraud on record), sample:P, none.")
    ] = "flagged",
    as_json: AsJson = False,
) -> None:
    """Load a whole world: orders, outcomes, entities, subgraphs. A second time adds nothing.

    A service beside the graph takes out orders placed over RISKGRAPH_NEO4J_DAYS days ago.
    """
    bootstrap.require_extra("riskgraph neo4j load")
    from riskgraph import graph_database

    with progress_bars() as progress:
        told = graph_database.load_world(Settings.from_environment(), world, nodes, progress)
    emit(told, as_json, lambda console: show_world(console, told, "Loaded"))


@app.command("export")
def export(
    out: Annotated[Path, typer.Option(help="World folder to write; must not exist or be empty.")],
    as_json: AsJson = False,
) -> None:
    """Write the graph's orders as a world that "riskgraph sandbox release" reads; without raw data."""
    bootstrap.require_extra("riskgraph neo4j export")
    from riskgraph import graph_database

    with progress_bars() as progress:
        told = graph_database.export_world(Settings.from_environment(), out, progress)
    emit(told, as_json, lambda console: show_world(console, told, "Exported"))


@app.command("status")
def status(as_json: AsJson = False) -> None:
    """Count what the graph holds, and say how far its feed is behind the journal."""
    from riskgraph import graph_database

    told = graph_database.status(Settings.from_environment())
    emit(told, as_json, lambda console: show_world(console, told, "Neo4j"))


@app.command("erase")
def erase(
    order: Annotated[list[str], typer.Argument(metavar="ORDER_KEY...", help="MERCHANT|CHANNEL|ORDER.")],
    as_json: AsJson = False,
) -> None:
    """Take guests' orders out of Neo4j that the journal does not know: of loaded worlds, or other services.

    For all others there is riskgraph subject erase, which Neo4j follows.
    """
    from riskgraph import graph_database

    told = graph_database.erase_guests(Settings.from_environment(), order)
    emit(told, as_json, lambda console: console.print(f"{told['orders']} orders erased"))


@app.command("drain")
def drain(as_json: AsJson = False) -> None:
    """Write all that waits in the journal, now. A running service does so by itself."""
    from riskgraph import graph_database

    told = graph_database.drain(Settings.from_environment())
    emit(told, as_json, lambda console: show_world(console, told, "Feed"))


@app.command("rebuild")
def rebuild(as_json: AsJson = False) -> None:
    """Make behavior nodes anew, of decided orders and of loaded ones, by the policy RISKGRAPH_NEO4J_NODES.

    Of orders without a decision "flagged" chooses those with fraud on record. Orders that the policy does not
    choose have no behavior nodes afterwards, those of other services beside the graph included.
    """
    from riskgraph import graph_database

    with progress_bars() as progress:
        told = graph_database.rebuild(Settings.from_environment(), progress)
    emit(told, as_json, lambda console: show_world(console, told, "Rebuilt"))


@app.command("retain")
def retain(
    days: Annotated[
        int | None, typer.Option(min=1, max=MAX_DAYS, help="Default: RISKGRAPH_NEO4J_DAYS.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take out orders that were placed longer ago, with all that hangs on them. Made for a nightly job."""
    from riskgraph import graph_database

    settings = Settings.from_environment()
    told = graph_database.retain(settings, days or settings.neo4j_days, dry_run=dry_run)
    what = "would be taken out" if dry_run else "taken out"
    line = f"{told['orders']} orders placed before {told['before']} {what}"
    emit(told, as_json, lambda console: console.print(line))


@app.command("check")
def check(
    order: Annotated[
        list[str] | None, typer.Argument(metavar="[ORDER_KEY]...", help="Orders by key; without it a sample.")
    ] = None,
    sample: Annotated[
        int, typer.Option(min=1, max=MAX_SAMPLE, help="At most so many orders with nodes, by key.")
    ] = 5000,
    as_json: AsJson = False,
) -> None:
    """Read behavior nodes and edges back, compare them with the packed subgraph, and score the orders again.

    Given orders are each shown with their probability. Exit code 3 when an order differs.
    """
    from riskgraph import graph_check

    settings = Settings.from_environment()
    if order:
        told = graph_check.check_orders(settings, order)
    else:
        with progress_bars() as progress:
            told = graph_check.check_sample(settings, sample, progress)
    emit(told, as_json, lambda console: _checked(console, told))
    if told["first_that_differ"]:
        counts = ", ".join(f"{count} in {name}" for name, count in told["differ"].items())
        raise CheckFailed(f"orders differ: {counts}; the first is {told['first_that_differ'][0]}")


def _checked(console: Console, told: dict[str, Any]) -> None:
    totals = {name: value for name, value in told.items() if name not in ("orders", "first_that_differ")}
    show_world(console, totals, "Read back")
    for row in told.get("orders", ()):
        console.print(f"{row['order']}: probability {_score(row['probability'])}", soft_wrap=True)
        for made in row["decisions"]:
            told_score = f"{_score(made['score'])}, {made['found']}"
            console.print(f"  decision {made['decision']}: {told_score}", soft_wrap=True)


def _score(score: float | None) -> str:
    return "none" if score is None else f"{score:.6f}"
