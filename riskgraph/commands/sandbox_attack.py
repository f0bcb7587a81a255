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
    seed: Annotated[
        int, typer.Option(help="Seed of the halves, of noise and of draws; nothing else is.")
    ] = 0,
    splits: Annotated[int, typer.Option(min=1, help="How often the persons are cut in halves.")] = 3,
    k: Annotated[int, typer.Option(min=50, help="Persons per group, at least 50.")] = 50,
    kind: Annotated[
        str, typer.Option(help="Model that is trained and attacked too: order2, gbdt or none.")
    ] = "order2",
    out: Annotated[Path | None, typer.Option(dir_okay=False, help="JSON file with every line.")] = None,
    as_json: AsJson = False,
) -> None:
    """Attack a release of each half of a world's persons; exit 3 if a bound is broken.

    The attacker knows whole raw records. Who is in the release is attacked beside who is in the other
    half, both ways, on several splits; intervals are over persons. The releases are thrown away; the
    audit log keeps what was found, with rounded counts.

    Three rules judge. Linkage (bound .015) and membership (.60 from the data, .55 from the model): by
    value. Singling out, linkability and inference (.02): by the upper end. A class alone, and labels:
    broken if shown to be above .02 by Holm's step-down at 5 % over all such lines. A line is open while
    its interval contains the bound, and not measured where there was nothing to guess.
    """
    moment = day(until, "--until")
    bootstrap.require_extra("riskgraph sandbox attack", "train" if kind == "order2" else "lab")
    from riskgraph import attacks

    with progress_bars() as progress:
        made = attacks.attack(
            world, until=moment, seed=seed, k=k, kind=kind, splits=splits, out=out,
            settings=Settings.from_environment(), progress=progress,
        )  # fmt: skip
    emit(made, as_json, lambda console: show_attacks(console, made))
    if made["broken"]:
        raise CheckFailed(f"these bounds do not hold: {'; '.join(made['broken'])}")


def show_attacks(console: Console, made: dict[str, Any]) -> None:
    """Every line of every attack, then the asked figures."""
    for place, half in enumerate(made["halves"]):
        parts = (
            f"{word} {c['rows']} orders of {c['persons']} persons in {c['components']} components"
            for word, c in half.items()
        )
        console.print(f"split {place // 2 + 1}, half: {'; '.join(parts)}", soft_wrap=True)
    table = Table(
        "attack", "how", "on", "members / controls", "success", "value (95 %)", "bound", "verdict",
        title=f"Attacks on releases of half of the persons each ({made['provenance']})",
    )  # fmt: skip
    for line in made["attacks"]:
        table.add_row(*_row(line))
    console.print(table)
    for rule, words in made["rules"].items():
        console.print(f"judged by {rule}: {words}", soft_wrap=True)
    for line in made["attacks"]:
        if line["reason"]:
            told = f"{line['name']} ({line['subjects']}, per {line['per']}, {line['method']})"
            missed = "not measured" if line["value"] is None else "measured in part"
            console.print(f"{missed}: {told}: {line['reason']}", soft_wrap=True)
    for name, figure in made["figures"].items():
        console.print(f"{name}: {_figure(figure)}", soft_wrap=True)


def _row(line: dict[str, Any]) -> tuple[str, ...]:
    success = "" if line["success"] is None else f"{line['success']:.4f}"
    control = "" if line["control"] is None else f" / {line['control']:.4f}"
    value = "" if line["value"] is None else "{:.4f} ({:.4f}-{:.4f})".format(line["value"], *line["ci"])
    bound = "" if line["bound"] is None else f"{line['judged_by']} ≤ {line['bound']:g}"
    verdict = line["verdict"].upper() if line["pass"] is False else line["verdict"]
    return (
        line["name"], line["method"], f"{line['subjects']}, {line['per']}",
        f"{line['n']} / {line['controls']}", f"{success}{control}", value, bound, verdict,
    )  # fmt: skip


def _figure(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return str(figure["note"])
    verdict = "held" if figure["pass"] else "BROKEN"
    by = f"by {figure['judged_by']}, bound {figure['bound']:g}"
    return f"{figure['value']:.4f}, {verdict} ({by}; {figure['note']})"
