"""``riskgraph demo``: everything, end to end, in front of the user."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson

SEED = 7


def register(root: typer.Typer) -> None:
    root.command("demo")(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that the demo writes.")] = Path("demo-out"),
    seed: Annotated[int, typer.Option(help="Seed of the simulated world.")] = SEED,
    orders: Annotated[
        int | None, typer.Option(min=16_000, help="About how many orders; default 30,000.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a shop, release its data, serve decisions, write reports, run a backtest."""
    bootstrap.require_extra("riskgraph demo")
    from riskgraph.commands.demo_steps import run

    result = run(out, seed, orders, Console(stderr=True) if as_json else Console())
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False, indent=2))
