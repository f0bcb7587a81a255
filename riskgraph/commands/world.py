"""``riskgraph simulate`` and ``riskgraph world``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.commands.certify import run_gates
from riskgraph.commands.placing import place
from riskgraph.commands.ui import AsJson, emit, progress_bars
from riskgraph.core.errors import Invalid
from riskgraph.settings import Settings

_SEED = 7

app = typer.Typer(
    help="Worlds: histories of orders on disk, simulated or a shop's own.", no_args_is_help=True
)
WorldFolder = Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A world folder.")]
SimulatedOut = Annotated[
    Path | None,
    typer.Option(help="Folder to write; must not exist or be empty. With --certify: keeps the worlds."),
]
Config = Annotated[str, typer.Option(help="demo, champion, bench, world-1, world-2, world-natural.")]
Seed = Annotated[
    int | None,
    typer.Option(help="Same seed, same bytes; 7 if left out, with --certify the configuration's own."),
]
Orders = Annotated[int | None, typer.Option(min=200, help="About how many orders.")]
Certify = Annotated[
    bool, typer.Option("--certify", help="Read the eight gates over several seeds; exit 3 if one fails.")
]
Seeds = Annotated[int, typer.Option(min=2, help="With --certify: seeds from --seed on.")]
Families = Annotated[
    Path | None,
    typer.Option(
        exists=True, file_okay=False, help="Folder of further kinds of fraud; their Python code is run."
    ),
]
Replay = Annotated[
    str | None, typer.Option(metavar="URL", help="Send the world of --world to the service there.")
]
Sent = Annotated[
    Path | None, typer.Option(exists=True, file_okay=False, help="With --replay: the world to send.")
]
Speed = Annotated[
    str, typer.Option(help="With --replay: times real time; 0 or max is as fast as answers come.")
]
Key = Annotated[str | None, typer.Option(envvar="RISKGRAPH_KEY", help="With --replay: the API key.")]
InFlight = Annotated[
    int, typer.Option(min=1, max=256, help="With --replay: calls at once; 1 keeps their order strictly.")
]


def register(root: typer.Typer) -> None:
    root.command("simulate")(simulate)
    app.command("place")(place)
    root.add_typer(app, name="world")


def simulate(
    out: SimulatedOut = None,
    config: Config = "demo",
    seed: Seed = None,
    orders: Orders = None,
    certify: Certify = False,
    seeds: Seeds = 5,
    families: Families = None,
    replay: Replay = None,
    world: Sent = None,
    speed: Speed = "max",
    key: Key = None,
    in_flight: InFlight = 16,
    as_json: AsJson = False,
) -> None:
    """Simulate a shop: people, gangs, orders, outcomes. Everything in it is invented.

    With --replay URL --world WORLD nothing is simulated: the orders of that world go to the running
    service when they were placed, its outcomes when they were reported. A second run changes nothing.
    With --certify the gates tell whether worlds of the configuration are hard enough.
    """
    bootstrap.require_extra("riskgraph simulate")
    if certify and (replay is not None or families is not None):
        # A certificate binds a configuration; a stranger's family is no part of it.
        raise Invalid("--certify goes neither with --replay nor with --families", field="--certify")
    if replay is not None:
        _send(replay, world, _speed(speed), key, in_flight, as_json)
        return
    if certify:
        run_gates(config, seed, seeds, orders, out, as_json)
        return
    if out is None:
        raise Invalid("--out is needed, or --certify, or --replay URL with --world", field="--out")
    from riskgraph import chain

    with progress_bars() as progress:
        chosen = _SEED if seed is None else seed
        chain.simulate(config, seed=chosen, orders=orders, out=out, progress=progress, families=families)
    described = chain.describe(out)
    emit(described, as_json, lambda console: show_world(console, described))


def _speed(text: str) -> float:
    try:
        speed = 0.0 if text == "max" else float(text)
    except ValueError:
        speed = -1.0
    if not 0 <= speed < float("inf"):
        raise Invalid(f"--speed must be a number from 0 or max, got {text!r:.40}", field="--speed")
    return speed


def _send(url: str, world: Path | None, speed: float, key: str | None, in_flight: int, as_json: bool) -> None:
    """Replay a world to a service; exit code 1 when it refused some of the calls."""
    if world is None:
        raise Invalid("--replay needs --world", field="--world")
    if not url.startswith(("http://", "https://")):
        raise Invalid(f"--replay must be an http or https address, got {url!r:.60}", field="--replay")
    if not key:
        raise Invalid("--replay needs an API key: set RISKGRAPH_KEY or give --key", field="--key")
    from riskgraph import chain
    from riskgraph.commands.sending import send_events

    events, totals = chain.calls(world)
    with progress_bars() as progress:
        tally = send_events(
            events, url, key, speed=speed, in_flight=in_flight, totals=totals, progress=progress
        )
    emit(tally.to_json(), as_json, lambda console: show_world(console, tally.to_json(), "Answers"))
    if tally.refused:
        raise typer.Exit(1)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with NDJSON files.")],
    out: Annotated[Path, typer.Option(help="World folder to write.")],
    as_json: AsJson = False,
) -> None:
    """Turn NDJSON of decision and outcome bodies (orders*.ndjson, outcomes*.ndjson) into a world.

    A folder that "riskgraph world export" wrote comes back as the world it was, without the oracle.
    """
    bootstrap.require_extra("riskgraph world import")
    from riskgraph import chain

    with progress_bars() as progress:
        chain.import_ndjson(source, out, progress)
    described = chain.describe(out)
    emit(described, as_json, lambda console: show_world(console, described))


@app.command("export")
def export(
    world: WorldFolder,
    ndjson: Annotated[Path, typer.Option(help="Folder to write; must not exist or be empty.")],
    as_json: AsJson = False,
) -> None:
    """Write a world as NDJSON of decision and outcome bodies; never its oracle.

    "riskgraph world import" brings it back without loss, its provenance included.
    """
    bootstrap.require_extra("riskgraph world export")
    from riskgraph import chain

    with progress_bars() as progress:
        written = chain.export_ndjson(world, ndjson, progress)
    emit(
        written,
        as_json,
        lambda console: console.print(
            "{orders} orders and {outcomes} outcomes ({provenance}): {path}".format(**written), soft_wrap=True
        ),
    )


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
    behavior: Annotated[
        bool,
        typer.Option(
            "--behavior", help="Lay behavior beside measured people's; with --oracle that of honest orders."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Count what is in a world."""
    bootstrap.require_extra("riskgraph world describe")
    from riskgraph import chain

    described = chain.describe(world, oracle=oracle, behavior=behavior)
    emit(described, as_json, lambda console: show_world(console, described))


@app.command("pictures")
def pictures(
    world: WorldFolder,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the SVG files; older ones go.")],
    as_json: AsJson = False,
) -> None:
    """Draw a simulated world: orders a day, one gang, when labels arrive, recall against camouflage."""
    bootstrap.require_extra("riskgraph world pictures")
    from riskgraph import chain

    with progress_bars() as progress:
        drawn = [str(path) for path in chain.draw_world(world, out, Settings.from_environment(), progress)]
    emit({"pictures": drawn}, as_json, lambda console: console.print("\n".join(drawn), soft_wrap=True))


def show_world(console: Console, described: dict[str, Any], title: str = "World") -> None:
    """Counts as a table, nested counts in one cell; behavior beside people's in a second one."""
    table = Table("what", "count", title=title)
    for name, value in described.items():
        if name != "behavior":
            table.add_row(name, _cell(value, described.get("orders")))
    console.print(table)
    if "behavior" in described:
        _show_behavior(console, described["behavior"])


def _cell(value: Any, orders: int | None) -> str:
    """Counts that divide all orders among them are shown as shares too."""
    if not isinstance(value, dict):
        return str(value)
    if orders and sum(value.values()) == orders:
        return ", ".join(f"{k} {v} ({v / orders:.1%})" for k, v in value.items())
    return ", ".join(f"{k} {v}" for k, v in value.items())


def _show_behavior(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table(
        "what", "node", "people: 5, 25, 50, 75, 95 %", "this world", "octaves apart", "near", "people are",
        title="Behavior",
    )  # fmt: skip
    for row in rows:
        people, world = (" / ".join(f"{q:g}" for q in row[side]) for side in ("people", "world"))
        apart = " ".join(f"{octaves:+.2f}" for octaves in row["octaves"])
        table.add_row(
            row["name"], row["node"], people, world, apart, "yes" if row["near"] else "no", row["source"]
        )
    console.print(table)
