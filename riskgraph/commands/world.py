"""``riskgraph simulate`` and ``riskgraph world``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.commands.certify import run_gates
from riskgraph.commands.ui import AsJson, emit, progress_bars
from riskgraph.settings import Settings

app = typer.Typer(
    help="Worlds: histories of orders on disk, simulated or a shop's own.", no_args_is_help=True
)
WorldFolder = Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A world folder.")]


def register(root: typer.Typer) -> None:
    root.command("simulate")(simulate)
    root.add_typer(app, name="world")


def simulate(
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write; must not exist or be empty. With --certify: keeps the worlds."),
    ] = None,
    config: Annotated[str, typer.Option(help="demo, champion or bench.")] = "demo",
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 7,
    orders: Annotated[int | None, typer.Option(min=200, help="About how many orders.")] = None,
    certify: Annotated[
        bool, typer.Option("--certify", help="Read the eight gates over several seeds; exit 3 if one fails.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=2, help="With --certify: seeds from --seed on.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Simulate a shop: people, gangs, orders, outcomes. Everything in it is invented."""
    if not certify and out is None:
        raise typer.BadParameter("a folder is needed", param_hint="--out")
    bootstrap.require_extra("riskgraph simulate")
    if certify or out is None:
        run_gates(config, range(seed, seed + seeds), orders, out, as_json)
        return
    from riskgraph import chain

    with progress_bars() as progress:
        chain.simulate(config, seed=seed, orders=orders, out=out, progress=progress)
    described = chain.describe(out)
    emit(described, as_json, lambda console: show_world(console, described))


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with NDJSON files.")],
    out: Annotated[Path, typer.Option(help="World folder to write.")],
    as_json: AsJson = False,
) -> None:
    """Turn NDJSON of decision and outcome bodies (orders*.ndjson, outcomes*.ndjson) into a world."""
    bootstrap.require_extra("riskgraph world import")
    from riskgraph import chain

    with progress_bars() as progress:
        chain.import_ndjson(source, out, progress)
    described = chain.describe(out)
    emit(described, as_json, lambda console: show_world(console, described))


@app.command("replay")
def replay(world: WorldFolder, as_json: AsJson = False) -> None:
    """Compute the nodes that follow from earlier orders, in time order, into WORLD/derived."""
    bootstrap.require_extra("riskgraph world replay")
    from riskgraph import chain

    with progress_bars() as progress:
        written = chain.replay(world, Settings.from_environment(), progress)
    emit({"derived": str(written)}, as_json, lambda console: console.print(f"derived nodes: {written}"))


@app.command("describe")
def describe(
    world: WorldFolder,
    oracle: Annotated[bool, typer.Option(help="Count the hidden truth too (simulated worlds).")] = False,
    as_json: AsJson = False,
) -> None:
    """Count what is in a world."""
    bootstrap.require_extra("riskgraph world describe")
    from riskgraph import chain

    described = chain.describe(world, oracle=oracle)
    emit(described, as_json, lambda console: show_world(console, described))


def show_world(console: Console, described: dict[str, Any]) -> None:
    """Counts as a table; nested counts in one cell."""
    table = Table("what", "count", title="World")
    for name, value in described.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name, text)
    console.print(table)
