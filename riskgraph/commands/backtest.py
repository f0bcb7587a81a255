"""``riskgraph backtest``: out of time, at frozen thresholds, signed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, PublicKey, day, emit, progress_bars
from riskgraph.core.errors import CheckFailed
from riskgraph.settings import Settings

app = typer.Typer(help="Backtests: out of time, at frozen thresholds, signed.", invoke_without_command=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="backtest")


@app.callback()
def backtest(
    context: typer.Context,
    world: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="A world folder.")] = None,
    model: Annotated[Path | None, typer.Option(exists=True, help="Default: the model that serves.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="First day.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Last day, included.")] = None,
    out: Annotated[Path | None, typer.Option(help="Report folder to write.")] = None,
    merchant: Annotated[
        str | None, typer.Option(help="Count this merchant's orders alone, as --enforce asks for.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a backtest, or verify one (backtest verify REPORT)."""
    if context.invoked_subcommand:
        return
    if not (world and since and until and out):
        raise typer.BadParameter("--world, --from, --to and --out are needed")
    first, last = day(since, "--from"), day(until, "--to")
    bootstrap.require_extra("riskgraph backtest")
    from riskgraph import chain

    with progress_bars() as progress:
        result = chain.backtest(
            world, model, first, last, out, Settings.from_environment(), progress, merchant=merchant
        )
    emit(result, as_json, lambda console: show_backtest(console, result))


@app.command("verify")
def verify(
    report: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A report folder.")],
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Check signature and digests, and compute the AUC again from what is in the report."""
    bootstrap.require_extra("riskgraph backtest verify")
    from riskgraph import chain

    problems = chain.verify(report, Settings.from_environment(), public_key)
    emit({"problems": problems}, as_json, lambda console: console.print("verified" if not problems else ""))
    if problems:
        raise CheckFailed("; ".join(problems))


def show_backtest(console: Console, result: dict[str, Any]) -> None:
    """The figures of contracts section 8."""
    title = f"Backtest, {result['provenance'].upper()} orders, out of time"
    table = Table("figure", "value", "95 % interval", title=title)
    for row in result["figures"]:
        low, high = row.get("lower"), row.get("upper")
        interval = "" if low is None else f"{low:.4f} to {high:.4f}"
        # Of a model that rejects nothing, precision is not zero: there is none.
        untold = row.get("withheld", "undefined")
        value = untold if row["value"] is None else f"{row['value']:.4f}"
        table.add_row(row["name"], value, interval)
    console.print(table)
    console.print(f"report with pictures: {result['path']}")
