"""``riskgraph sandbox``: release and audit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, PublicKey, day, emit, err, progress_bars
from riskgraph.settings import Settings

app = typer.Typer(help="The sandbox: what leaves it is k-anonymous over persons.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="sandbox")


@app.command("release")
def release(
    world: Annotated[Path, typer.Option(exists=True, file_okay=False, help="A world folder.")],
    until: Annotated[str, typer.Option(help="Labels as known on this day; orders end 70 days earlier.")],
    out: Annotated[Path, typer.Option(help="Release folder to write.")],
    k: Annotated[int, typer.Option(min=50, help="Persons per group, at least 50.")] = 50,
    seed: Annotated[int, typer.Option(help="Seed of noise and draws.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Release training data from a world: groups of at least k persons, counted twice."""
    moment = day(until, "--until")
    bootstrap.require_extra("riskgraph sandbox release")
    from riskgraph import chain

    with progress_bars() as progress:
        made = chain.release(
            world, out, until=moment, k=k, seed=seed, settings=Settings.from_environment(), progress=progress,
            tell=err.print,
        )  # fmt: skip
    emit(made, as_json, lambda console: show_release(console, made))


@app.command("audit")
def audit(
    release: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A release folder.")],
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Verify a release's signature, digests and certificate, and print its audit record."""
    bootstrap.require_extra("riskgraph sandbox audit")
    from riskgraph import chain

    records = chain.audit(release, Settings.from_environment(), public_key)
    emit(records, as_json, lambda console: show_audit(console, records))


def show_audit(console: Console, records: list[dict[str, Any]]) -> None:
    """Every record of the audit trail, oldest first."""
    for record in records:
        console.print_json(data=record)


def show_release(console: Console, made: dict[str, Any]) -> None:
    """Units per class, then the certificate."""
    table = Table("class", "orders", "persons", "components", "largest", title="Who is counted")
    for row in made["units"]:
        cells = ("label", "orders", "units", "components", "largest_unit")
        table.add_row(*(str(row.get(c, "")) for c in cells))
    console.print(table)
    held = made["certificate"]
    console.print(
        f"k = {made['k']}: every group holds at least {held['min_units']} persons from at least "
        f"{held['min_components']} separate components (counted again independently: "
        f"{held['independent']['min_units']} and {held['independent']['min_components']})"
    )
    console.print(f"{made['rows']} rows drawn for training; release {made['release_id']} in {made['path']}")
