"""``riskgraph world place``: a new kind of fraud where a model is blind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, day, emit, progress_bars
from riskgraph.settings import Settings


def place(
    family: Annotated[
        str, typer.Argument(help="A family that ships, or a family file (*.py); its Python code is run.")
    ],
    starts: Annotated[str, typer.Option(help="First day of the new family, within the configuration's.")],
    out: Annotated[Path, typer.Option(help="Folder to write; must not exist or be empty.")],
    model: Annotated[
        Path | None, typer.Option(exists=True, help="Model folder; default: the model that serves.")
    ] = None,
    config: Annotated[
        str, typer.Option(help="demo, champion, bench, world-1, world-2, world-natural.")
    ] = "demo",
    tries: Annotated[int, typer.Option(min=1, help="How many variants.")] = 12,
    seed: Annotated[int, typer.Option(help="Same seed, same file; the check is on the next seed.")] = 7,
    orders: Annotated[int, typer.Option(min=1000, help="Orders a world; more leave less to chance.")] = 6000,
    as_json: AsJson = False,
) -> None:
    """Place a new kind of fraud where a model finds it least; writes a file for "simulate --families".

    Variants of the family's habits are simulated, one small world each, and scored as in a backtest. A world
    with the result is simulated and measures the blind spots of that one model: never compare models on it.
    """
    first = day(starts, "--starts")
    bootstrap.require_extra("riskgraph world place")
    from riskgraph import chain

    with progress_bars() as progress:
        result = chain.place_family(
            family, model, config, starts=first, tries=tries, seed=seed, orders=orders, out=out,
            settings=Settings.from_environment(), progress=progress,
        )  # fmt: skip
    emit(result, as_json, lambda console: show_placed(console, result))


def show_placed(console: Console, result: dict[str, Any]) -> None:
    """What the model finds of the family before and after, on both seeds."""
    title = f"{result['family']}, placed against {result['model']['model']} (simulated)"
    columns = ("seed", "family", "orders", "gangs", "review or reject", "reject", "AUC", "mean score")
    table = Table(*columns, title=title)
    for row in result["found"]:
        table.add_row(
            str(row["seed"]), row["of"], str(row["orders"]), str(row["gangs"]), f"{row['flagged']:.1%}",
            f"{row['rejected']:.1%}", f"{row['auc']:.3f}", f"{row['score']:.3f}",
        )  # fmt: skip
    console.print(table)
    console.print(f"best of {len(result['tries'])} variants: {result['path']}", soft_wrap=True)
    console.print(result["notice"], soft_wrap=True)
