"""``riskgraph simulate --certify``: the gates' table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from riskgraph.commands.ui import emit, progress_bars
from riskgraph.core.errors import CheckFailed


def run_gates(
    config: str, first: int | None, count: int, orders: int | None, out: Path | None, as_json: bool
) -> None:
    """Read the gates over ``count`` seeds, print their table, and fail when one does not hold.

    Raises:
        CheckFailed: Naming the gates that do not hold.
    """
    from riskgraph import chain

    if first is None:
        first = chain.own_seed(config)
    with progress_bars() as progress:
        result = chain.certify(config, range(first, first + count), orders=orders, out=out, progress=progress)
    emit(result, as_json, lambda console: show_gates(console, result))
    failed = [g["gate"] for g in result["gates"] if not g["held"]]
    if failed:
        raise CheckFailed(f"{config}: these gates do not hold: {', '.join(map(str, failed))}")


def show_gates(console: Console, result: dict[str, Any]) -> None:
    """One table of all figures, then one line a gate."""
    title = f"Gates of {result['config']}, {result['orders']} orders a world (simulated)"
    table = Table("gate", "figure", "seed", "value", "95 %", "asked", "held", "", title=title)
    for f in result["figures"]:
        ends = "" if f["interval"] is None else "{:.3f}-{:.3f}".format(*f["interval"])
        low, high = (_bound(f[end]) for end in ("low", "high"))
        value = "none" if f["value"] is None else f"{f['value']:.3f}"
        held = "yes" if f["held"] else "NO"
        table.add_row(
            str(f["gate"]), f["name"], str(f["seed"]), value, ends, f"{low}..{high}", held, f["more"]
        )
    console.print(table)
    for gate in result["gates"]:
        console.print(f"gate {gate['gate']} {'holds' if gate['held'] else 'DOES NOT HOLD'}: {gate['asks']}")


def _bound(end: float | None) -> str:
    return "" if end is None else f"{end:g}"
