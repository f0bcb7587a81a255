"""``riskgraph sandbox cost``: what training on a release costs, beside raw rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, day, emit, progress_bars
from riskgraph.core.errors import CheckFailed
from riskgraph.settings import Settings


def cost(
    world: Annotated[Path, typer.Option(exists=True, file_okay=False, help="A world folder.")],
    until: Annotated[str, typer.Option(help="The cut: training orders end 70 days earlier, tests begin.")],
    seed: Annotated[int, typer.Option(help="Seed of split, releases and fits.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Training seeds.")] = 3,
    folds: Annotated[int, typer.Option(max=20, help="Parts of the kinds of fraud left out in turn.")] = 4,
    hold_out: Annotated[float, typer.Option(help="Share of components kept for the test.")] = 0.2,
    out: Annotated[Path | None, typer.Option(help="Write the result as JSON too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train on raw rows and on their release inside the sandbox, and compare; exit 3 if an ask is missed.

    A process of its own fits the models. It answers with metrics of at least 50 persons each, keeps no model
    and writes nothing. The test is later orders.

    Counts of orders and persons are exact: they are for whoever holds the history; no certificate has them.
    """
    moment = day(until, "--until")
    bootstrap.require_extra("riskgraph sandbox cost", "train")
    from riskgraph import cost as wiring
    from riskgraph.sandbox.utility import CostRequest

    request = CostRequest(moment, seed=seed, seeds=seeds, folds=folds, hold_out=hold_out)
    with progress_bars() as progress:
        result = wiring.measure(world, request, Settings.from_environment(), progress)
    if out is not None:
        out.write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    emit(result, as_json, lambda console: show_cost(console, result))
    missed = [name for name, held in result["held"].items() if not held]
    if missed:
        said = (f"{name} {result['figures'][name]:g}, at most {result['asks'][name]:g}" for name in missed)
        raise CheckFailed(f"these asks do not hold: {'; '.join(said)}")


def show_cost(console: Console, result: dict[str, Any]) -> None:
    """The losses of all fraud, then by kind."""
    counts = result["counts"]
    for where in ("train", "test"):
        of = {c: [counts[f"{where}_{c}_{n}"] for n in ("orders", "units")] for c in ("fraud", "honest")}
        said = (f"{o} {kind} orders of {units} persons" for kind, (o, units) in of.items())
        console.print(f"{where}: {', '.join(said)}")
    console.print(f"test orders are judged by {result['judged_by']} ({result['provenance']})")
    for model in result["models"]:
        for figure, title, digits in (("auc", "AUC", 4), ("recall", "recall at 0.38 % FPR", 3)):
            _show_figure(console, [c for c in result["cells"] if c["model"] == model], figure, title, digits)
    for name, ask in result["asks"].items():
        held = "holds" if result["held"][name] else "DOES NOT HOLD"
        console.print(f"{name} {result['figures'][name]:.4f}, asked at most {ask:g}: {held}")
    for model, most in result["worst"].items():
        if most:
            how = "unseen" if most["unseen"] else "known"
            console.print(f"{model} loses most of {most['kind']} ({how}): recall {most['recall_loss']:+.3f}")


def _show_figure(console: Console, cells: list[dict[str, Any]], figure: str, title: str, digits: int) -> None:
    table = Table("fraud", "orders", "raw", "release", "loss", "95 %", title=f"{cells[0]['model']}: {title}")
    for cell in cells:
        loss = cell[figure]
        kind = f"{cell['kind']}, unseen" if cell["unseen"] else cell["kind"]
        raw, release = (f"{loss[n]:.{digits}f}" for n in ("raw", "release"))
        ends = f"{loss['lower']:+.{digits}f}..{loss['upper']:+.{digits}f}"
        table.add_row(kind, str(cell["orders"]), raw, release, f"{loss['loss']:+.{digits}f}", ends)
    console.print(table)
