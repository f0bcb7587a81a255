"""``riskgraph sandbox baseline``: the merchant's yardstick for ways of moving and typing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, PublicKey, emit
from riskgraph.core.baseline import LEAST_UNITS, Baseline, device_classes
from riskgraph.core.errors import Invalid
from riskgraph.settings import Settings


def baseline(
    release: Annotated[
        list[Path], typer.Option(exists=True, file_okay=False, help="May be repeated: they are pooled.")
    ],
    out: Annotated[Path, typer.Option(dir_okay=False, help="File to write; RISKGRAPH_BASELINE names it.")],
    merchant: Annotated[
        list[str] | None,
        typer.Option(
            help="Id of a merchant whose shoppers these are; may be repeated. Needed but in simulations."
        ),
    ] = None,
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Make a merchant's baseline of releases: quantiles of trajectory nodes by kind of device.

    Of a kind of device with fewer than 500 persons a trajectory node stays absent to the model. A baseline
    holds for the merchants that it names; at others ways of moving do not count.
    """
    bootstrap.require_extra("riskgraph sandbox baseline")
    from riskgraph.models.compiled import settle
    from riskgraph.sandbox import Release, human_baseline

    verifier = bootstrap.open_verifier(Settings.from_environment(), public_key)
    made = human_baseline([Release.open(path, verifier) for path in release], merchant or ())
    if made.provenance == "merchant" and not made.merchants:
        raise Invalid("name the merchants whose shoppers these are: --merchant ID", field="merchant")
    temporary = out.with_name(f".{out.name}")
    temporary.write_bytes(made.to_bytes())
    settle(temporary, out)
    told = _told(made) | {"path": str(out)}
    emit(told, as_json, lambda console: _show(console, told))


def _told(made: Baseline) -> dict[str, Any]:
    """Whom it was made of, and how many components are calibrated on each kind of device."""
    calibrated = dict.fromkeys(device_classes(), 0)
    for row in made.quantiles:
        calibrated[row.device_class] += row.calibrated
    head = {"baseline_id": made.baseline_id, "provenance": made.provenance, "releases": list(made.releases)}
    head["merchants"] = list(made.merchants)
    return {**head, "k": made.k, "least_units": LEAST_UNITS, "calibrated": calibrated}


def _show(console: Console, told: dict[str, Any]) -> None:
    table = Table("kind of device", "calibrated components")
    for kind, count in told["calibrated"].items():
        table.add_row(kind, str(count))
    console.print(table)
    console.print(f"baseline {told['baseline_id']} ({told['provenance']}) in {told['path']}", soft_wrap=True)
