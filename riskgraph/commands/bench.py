"""``riskgraph bench``: the figures of this release, measured here and now."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.bench import Figure
from riskgraph.commands.ui import AsJson, emit, progress_bars
from riskgraph.core.errors import Invalid

app = typer.Typer(help="Figures of this release, measured on this machine.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="bench")


@app.command("line")
def bench_line(
    only: Annotated[str, typer.Option(help="Names, separated by commas; default all.")] = "",
    as_json: AsJson = False,
) -> None:
    """Latency, throughput, durability, the release and the champion. At most 25 minutes on 2 cores."""
    bootstrap.require_extra("riskgraph bench line")
    from riskgraph.bench import line

    names = {name.strip() for name in only.split(",") if name.strip()}
    known = {name for group in line.PARTS.values() for name in group}
    if names - known:
        raise Invalid(f"unknown figures {', '.join(names - known)}; known: {', '.join(sorted(known))}")
    with progress_bars() as progress:
        figures = line.run(names, progress)
    emit([f.to_json() for f in figures], as_json, lambda console: console.print(as_table(figures)))


def as_table(figures: list[Figure]) -> Table:
    """The figures for a person."""
    table = Table("figure", "value", "interval", "ratio", "note")
    for f in figures:
        value = "not measured" if f.value is None else f"{f.value:,.4g} {f.unit}"
        interval = "" if f.lower is None or f.upper is None else f"{f.lower:.4f} to {f.upper:.4f}"
        table.add_row(f.name, value, interval, "" if f.ratio is None else f"{f.ratio:.2f}", f.note)
    return table
