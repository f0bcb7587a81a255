"""``riskgraph sandbox pairs``: further pairs of nodes, proposed by data inside the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, day, emit, progress_bars
from riskgraph.core.catalog import catalog
from riskgraph.settings import Settings


def pairs(
    world: Annotated[Path, typer.Option(exists=True, file_okay=False, help="A world folder.")],
    until: Annotated[str, typer.Option(help="Labels as known on this day; orders end 70 days earlier.")],
    count: Annotated[int, typer.Option(help="At most so many pairs, 1 to 300.")] = 20,
    k: Annotated[int, typer.Option(min=50, help="Persons in each quadrant of a cut, at least 50.")] = 50,
    seed: Annotated[int, typer.Option(help="Seed of the additive fit.")] = 0,
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="File of the signed proposal.")] = None,
    as_json: AsJson = False,
) -> None:
    """Propose pairs of nodes that are no template pair yet, by what additive terms leave over.

    A locked process fits on the rows that would enter a release. It tells node ids in their order and gains
    of one digit; only cuts count that leave at least k persons of each class in each quadrant, and only pairs
    that gain more than the best does in 20 draws of labels without any interaction. There may be none.

    A proposal changes nothing until somebody adopts it (riskgraph catalog pairs).
    """
    moment = day(until, "--until")
    bootstrap.require_extra("riskgraph sandbox pairs", "train")
    from riskgraph import proposing
    from riskgraph.sandbox.proposal import PairRequest

    request = PairRequest(moment, count, k, seed)
    with progress_bars() as progress:
        made = proposing.propose(world, request, Settings.from_environment(), progress, out)
    emit(made, as_json, lambda console: show_proposal(console, made))


def show_proposal(console: Console, made: dict[str, Any]) -> None:
    """The pairs with their names, best first."""
    table = Table("rank", "nodes", "names", "gain", title=f"Proposed pairs ({made['provenance']})")
    for pair in made["pairs"]:
        names = ", ".join(catalog()[node].name for node in pair["nodes"])
        table.add_row(str(pair["rank"]), ", ".join(pair["nodes"]), names, f"{pair['gain']:g}")
    console.print(table if made["pairs"] else "No pair gains more than chance would give the best of them.")
    console.print(made["rule"], soft_wrap=True)
