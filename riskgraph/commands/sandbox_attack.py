"""``riskgraph sandbox attack``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, day, emit, progress_bars
from riskgraph.core.errors import CheckFailed
from riskgraph.settings import Settings


def attack(
    world: Annotated[Path, typer.Option(exists=True, file_okay=False, help="A world folder.")],
    until: Annotated[str, typer.Option(help="Labels as known on this day; orders end 70 days earlier.")],
    seed: Annotated[int, typer.Option(help="Seed of the halves, of noise and of draws.")] = 0,
    k: Annotated[int, typer.Option(min=50, help="Persons per group, at least 50.")] = 50,
    kind: Annotated[
        str, typer.Option(help="Model that is trained and attacked too: order2, gbdt or none.")
    ] = "order2",
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="JSON file with every line.")] = None,
    as_json: AsJson = False,
) -> None:
    """Attack a release of each half of a world's persons; exit 3 if a bound is broken.

    The attacker knows whole raw records. Who is in the release is attacked beside who is in the other
    half. The releases are thrown away; the audit log keeps what was found.
    """
    moment = day(until, "--until")
    bootstrap.require_extra("riskgraph sandbox attack", "train" if kind == "order2" else "lab")
    from riskgraph import attacks

    with progress_bars() as progress:
        made = attacks.attack(
            world, until=moment, seed=seed, k=k, kind=kind, out=out,
            settings=Settings.from_environment(), progress=progress,
        )  # fmt: skip
    emit(made, as_json, lambda console: show_attacks(console, made))
    if made["broken"]:
        raise CheckFailed(f"these bounds do not hold: {'; '.join(made['broken'])}")


def show_attacks(console: Console, made: dict[str, Any]) -> None:
    """Every line of every attack, then the asked figures."""
    for half in made["halves"]:
        parts = (
            f"{word} {c['rows']} orders of {c['persons']} persons in {c['components']} components"
            for word, c in half.items()
        )
        console.print(f"half: {'; '.join(parts)}", soft_wrap=True)
    table = Table(
        "attack", "how", "on", "members / controls", "success", "value (95 %)", "bound", "held",
        title=f"Attacks on releases of half of the persons each ({made['provenance']})",
    )  # fmt: skip
    for line in made["attacks"]:
        control = "" if line["control"] is None else f" / {line['control']:.4f}"
        bound = "" if line["bound"] is None else f"{line['judged_by']} ≤ {line['bound']:g}"
        table.add_row(
            line["name"], line["method"], f"{line['subjects']}, {line['per']}",
            f"{line['n']} / {line['controls']}", f"{line['success']:.4f}{control}",
            "{:.4f} ({:.4f}-{:.4f})".format(line["value"], *line["ci"]), bound,
            "yes" if line["pass"] else "NO",
        )  # fmt: skip
    console.print(table)
    for name, figure in made["figures"].items():
        told = "not measured" if figure is None else f"{figure['value']:.4f} ({figure['note']})"
        console.print(f"{name}: {told}", soft_wrap=True)
