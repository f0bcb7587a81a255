"""``riskgraph train``, ``riskgraph model`` and ``riskgraph tree``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from riskgraph import bootstrap, promotion, training_process
from riskgraph.commands.ui import AsJson, PublicKey, emit, err, progress_bars
from riskgraph.models.kinds import extra_to_train
from riskgraph.models.rows import MIN_ROWS
from riskgraph.settings import Settings

models = typer.Typer(help="Models: which there are, and which one decides.", no_args_is_help=True)
tree = typer.Typer(help="The decision tree.", no_args_is_help=True)


class Kind(StrEnum):
    ORDER2 = "order2"
    ADDITIVE = "additive"
    LOGISTIC = "logistic"
    GBDT = "gbdt"
    XGBGRAPH = "xgbgraph"
    RGCN = "rgcn"
    GATV2 = "gatv2"


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Releases = Annotated[list[Path], typer.Option(exists=True, file_okay=False, help="May be repeated.")]
Out = Annotated[Path, typer.Option(help="Model folder to write.")]
OfKind = Annotated[
    Kind,
    typer.Option(
        help="order2, additive and logistic are sums of terms, explained exactly; gbdt and xgbgraph are "
        "trees; rgcn and gatv2 deep graph networks."
    ),
]
Seed = Annotated[int, typer.Option(help="Same seed, same release: same model.")]
Rows = Annotated[
    int | None,
    typer.Option(
        min=MIN_ROWS, help="Fit on at most so many rows; all by default, 30,000 for rgcn and gatv2."
    ),
]
Resume = Annotated[
    bool, typer.Option(help="Go on where a run with the same options was stopped; order2 and additive.")
]
Workers = Annotated[
    int, typer.Option(min=1, help="Processes that share each batch, by Ray Train (extra ray).")
]
OnDevice = Annotated[
    Device, typer.Option(help="auto takes a GPU where there is one; cpu gives the same bytes each time.")
]
Balance = Annotated[
    bool,
    typer.Option(
        "--balance-clusters", help="Fraud clusters weigh alike, whatever their size; order2 and additive."
    ),
]
AsUser = Annotated[
    str | None,
    typer.Option(envvar="RISKGRAPH_TRAINING_USER", help="Operating-system user that trains; needs root."),
]


def register(root: typer.Typer) -> None:
    root.command("train")(train)
    root.add_typer(models, name="model")
    root.add_typer(tree, name="tree")


def train(
    release: Releases,
    out: Out,
    kind: OfKind = Kind.ORDER2,
    seed: Seed = 0,
    rows: Rows = None,
    resume: Resume = False,
    workers: Workers = 1,
    device: OnDevice = Device.AUTO,
    balance_clusters: Balance = False,
    as_user: AsUser = None,
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on sandbox releases, in a process that can read nothing else."""
    bootstrap.require_extra(f"riskgraph train --kind {kind.value}", extra_to_train(kind.value))
    settings = Settings.from_environment()
    verifier = bootstrap.open_verifier(settings, public_key)
    if public_key is None:
        from riskgraph import auditing

        # Before any work: what was trained must be able to go on record.
        auditing.check_log(settings)
    # Here, since the sandbox needs an extra: SIGTERM ends the process that trains, too.
    from riskgraph.sandbox.scratch import stoppable

    with stoppable(), progress_bars() as progress:
        made = training_process.train(
            release, out, kind.value, seed, verifier, progress, as_user, rows,
            workers=workers, device=device.value, resume=resume, balance=balance_clusters,
        )  # fmt: skip
    if public_key is None:
        # Whoever trains by a public key has no key to sign a record with, nor the log.
        auditing.log_read(made.card, settings)
    for note in made.notes:
        err.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    emit(made.card, as_json, lambda console: show_card(console, made.card))


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """The shipped model and those promoted or lying in the models folder."""
    rows = promotion.list_models(Settings.from_environment())
    table = Table("name", "kind", "provenance", "serves", "folder")
    for row in rows:
        serves = row["mode"] if row["champion"] else ""
        table.add_row(row["name"], row["kind"], row["provenance"], serves, row["folder"])
    emit(rows, as_json, lambda console: console.print(table))


@models.command("promote")
def promote(
    model: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A model folder.")],
    by: Annotated[str, typer.Option(help="Who promotes it; goes on record.")],
    backtest: Annotated[
        list[Path],
        typer.Option(exists=True, file_okay=False, help="The model's own, signed here; may be repeated."),
    ],
    enforce: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MERCHANT",
            help="Let its verdicts act for this merchant, whose own backtest is asked; may be repeated.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy a model into the models folder, sign that, and let it decide from the next start on.

    Asks for a model trained on releases with certificates of k >= 50, and for its passed backtest: verified,
    out of time, of this model and this tree; false positives at reject at most 0.38 % and an area of at
    least 0.80, both by their 95 % interval. What does not hold is named, and the exit code is 3. Without
    --enforce verdicts are only recorded.
    """
    entry = promotion.promote(model, by, backtest, tuple(enforce or ()), Settings.from_environment())
    emit(entry, as_json, lambda console: console.print(f"{entry['name']} is champion ({entry['mode']})"))


@models.command("rollback")
def rollback(
    by: Annotated[str, typer.Option(help="Who goes back; goes on record.")],
    as_json: AsJson = False,
) -> None:
    """Let the model that was champion before decide again, from the next start on."""
    entry = promotion.rollback(by, Settings.from_environment())
    told = f"{entry['name']} is champion again ({entry['mode']}), instead of {entry['instead_of']}"
    emit(entry, as_json, lambda console: console.print(told))


@models.command("parity")
def parity(
    model: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Default: the model that serves.")
    ] = None,
    config: Annotated[
        str, typer.Option(help="demo, champion, bench, world-1, world-2, world-natural.")
    ] = "world-2",
    orders: Annotated[
        int, typer.Option(min=1000, help="Orders of the world; more leave less to chance.")
    ] = 140_000,
    seed: Annotated[
        int, typer.Option(help="Of the world; take one that the model was not trained on.")
    ] = 881,
    as_json: AsJson = False,
) -> None:
    """Measure what refusing consent costs honest shoppers, and put it on file beside the model.

    Honest orders of a simulated world are judged as they are and refusing. Reports of later decisions by
    this model under this tree quote it; for any other they say that nothing is on file.
    """
    bootstrap.require_extra("riskgraph model parity")
    from riskgraph.bench import parity as bench

    with progress_bars() as progress:
        made = bench.put_on_file(
            model, Settings.from_environment(), progress, config=config, seed=seed, orders=orders
        )
    table = Table("phase", "verdict", "honest orders", "as they are", "refusing", "ratio")
    for row in bench.rows(made["phases"]):
        table.add_row(*row)
    emit(made, as_json, lambda console: console.print(table, f"on file: {made['path']} (simulated)"))


@models.command("challengers")
def challengers(as_json: AsJson = False) -> None:
    """What challengers said of decided orders, beside the verdicts that were answered."""
    with bootstrap.open_keys(Settings.from_environment()) as store:
        rows = store.shadow_verdicts()
    table = Table("model", "answered", "challenger", "orders")
    for row in rows:
        said = row["verdict"] or f"failed: {row['error']}"
        table.add_row(row["model"], row["champion_verdict"], said, str(row["orders"]))
    emit(rows, as_json, lambda console: console.print(table))


@tree.command("show")
def show_tree(as_json: AsJson = False) -> None:
    """Draw the tree that gives the verdicts."""
    shown = bootstrap.load_tree(Settings.from_environment())
    data = dict(shown.data) | {"sha256": shown.sha256}

    def draw(console: Console) -> None:
        root = Tree(f"tree {shown.version}  {shown.sha256[:12]}")
        gates = root.add("gates: may soften a reject")
        for gate in data["gates"]:
            gates.add(f"{gate['id']}: when {gate['when']} → {gate['then']} ({gate['action']})")
        bands = root.add("bands of the calibrated probability, thresholds per availability class")
        for band in data["bands"]:
            limit = f"below '{band['lt']}'" if "lt" in band else "above"
            bands.add(f"{limit} → {band['verdict']} ({band['action']})")
        root.add(f"patterns: {len(data['patterns'])}")
        console.print(root)

    emit(data, as_json, draw)


def show_card(console: Console, card: dict[str, Any]) -> None:
    """The card's main lines."""
    console.print(f"{card['name']} ({card['kind']}, {card['provenance']})")
    table = Table("availability class", "review from", "reject from", "how")
    for name, row in card["classes"].items():
        table.add_row(name, f"{row['review']:.3g}", f"{row['reject']:.3g}", row["how"])
    console.print(table)
    metrics = {k: round(v, 4) for k, v in card["metrics"].items() if isinstance(v, float)}
    console.print("on held-out released rows (not a backtest):", metrics)
