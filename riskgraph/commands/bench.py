"""``riskgraph bench``: the figures of this release, measured here and now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.bench import Figure
from riskgraph.commands.ui import AsJson, emit, progress_bars
from riskgraph.core.errors import Invalid
from riskgraph.ports import Progress

app = typer.Typer(help="Figures of this release, measured on this machine.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="bench")


Only = Annotated[str, typer.Option(help="Names, separated by commas; default all.")]
Data = Annotated[Path | None, typer.Option(help="Folder of the real sets; else RISKGRAPH_DATA.")]
Seeds = Annotated[int, typer.Option(min=1, help="Draw everything that is drawn so many times as often.")]
Names = Iterable[tuple[str, ...]]


@app.command("line")
def bench_line(only: Only = "", as_json: AsJson = False) -> None:
    """Latency, throughput, durability, the release and the champion. At most 25 minutes on 2 cores."""
    bootstrap.require_extra("riskgraph bench line")
    from riskgraph.bench import line

    _measure(line.PARTS.values(), line.run, only, as_json)


@app.command("worlds")
def bench_worlds(only: Only = "", as_json: AsJson = False) -> None:
    """Worlds: time, memory and bytes of simulating, replay, and NDJSON. About 15 minutes on 2 cores."""
    bootstrap.require_extra("riskgraph bench worlds")
    from riskgraph.bench import worlds

    _measure(worlds.PARTS.values(), worlds.run, only, as_json)


@app.command("sandbox")
def bench_sandbox(only: Only = "", as_json: AsJson = False) -> None:
    """The release: crowds, time, memory, and other tools beside it. At most 25 minutes on 2 cores."""
    bootstrap.require_extra("riskgraph bench sandbox")
    from riskgraph.bench import sandbox

    _measure(sandbox.PARTS.values(), sandbox.run, only, as_json)


@app.command("models")
def bench_models(
    only: Only = "",
    as_json: AsJson = False,
    data: Data = None,
    seeds: Seeds = 1,
    out: Annotated[Path | None, typer.Option(help="Folder for the whole tables of models.")] = None,
    workers: Annotated[
        int,
        typer.Option(min=1, help="Processes that share parts and seeds of unseen fraud, up to 4 GB each."),
    ] = 1,
) -> None:
    """Unseen fraud, refusing consent, speed, training as rows grow, real data. About an hour on 2 cores."""
    bootstrap.require_extra("riskgraph bench models", "train")
    from riskgraph.bench import models

    _measure(
        models.PARTS.values(),
        partial(models.run, data=data, seeds=seeds, out=out, workers=workers),
        only,
        as_json,
    )


@app.command("explain")
def bench_explain(only: Only = "", as_json: AsJson = False) -> None:
    """Reasons, counterfactuals and reports: time, exactness, fidelity. About 2 minutes on 2 cores."""
    bootstrap.require_extra("riskgraph bench explain")
    from riskgraph.bench import explain

    _measure(explain.PARTS.values(), explain.run, only, as_json)


@app.command("stores")
def bench_stores(
    only: Only = "",
    as_json: AsJson = False,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, to see that all parts run.")] = False,
    part: Annotated[
        list[str] | None, typer.Option(help="A part; give it again for more. Default all.")
    ] = None,
) -> None:
    """Storing orders and finding them again: time, bytes, kills; with RISKGRAPH_NEO4J_URI Neo4j too.

    That server has to be empty, and is wiped. About 45 minutes on 2 cores.
    """
    bootstrap.require_extra("riskgraph bench stores")
    from riskgraph.bench import stores

    chosen = ",".join([only, *sorted(stores.figures_of(part or ()))])
    _measure(stores.PARTS.values(), partial(stores.run, quick=quick), chosen, as_json)


@app.command("sdk")
def bench_sdk(
    only: Only = "",
    as_json: AsJson = False,
    data: Data = None,
    seeds: Seeds = 1,
    sdk: Annotated[Path, typer.Option(help="sdk_js of a checkout, its packages installed.")] = Path("sdk_js"),
) -> None:
    """The browser SDK: bytes, time, losses, and bots told by its flushes. About 10 minutes on 2 cores.

    Needs Node, Chromium and a checkout; ``make bench-sdk`` installs and calls it.
    """
    bootstrap.require_extra("riskgraph bench sdk", "train")
    from riskgraph.bench import sdk as measured

    _measure(
        measured.PARTS.values(), partial(measured.run, folder=sdk, data=data, seeds=seeds), only, as_json
    )


def _measure(
    groups: Names, run: Callable[[set[str], Progress], list[Figure]], only: str, as_json: bool
) -> None:
    names = {name.strip() for name in only.split(",") if name.strip()}
    known = {name for group in groups for name in group}
    if names - known:
        raise Invalid(f"unknown figures {', '.join(names - known)}; known: {', '.join(sorted(known))}")
    # Here, since the package of figures needs an extra: SIGTERM ends what a measurement has started.
    from riskgraph.sandbox.scratch import stoppable

    with stoppable(), progress_bars() as progress:
        figures = run(names, progress)
    emit([f.to_json() for f in figures], as_json, lambda console: console.print(as_table(figures)))


def as_table(figures: list[Figure]) -> Table:
    """The figures for a person."""
    table = Table("figure", "value", "interval", "ratio", "note")
    for f in figures:
        value = "not measured" if f.value is None else f"{f.value:,.4g} {f.unit}"
        interval = "" if f.lower is None or f.upper is None else f"{f.lower:.4f} to {f.upper:.4f}"
        table.add_row(f.name, value, interval, "" if f.ratio is None else f"{f.ratio:.2f}", f.note)
    return table
