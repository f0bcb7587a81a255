"""``riskgraph audit``: checks of the log of decisions and of explanations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, emit, progress_bars
from riskgraph.core.errors import CheckFailed
from riskgraph.models import load_model
from riskgraph.models.registry import shipped_champion
from riskgraph.settings import Settings
from riskgraph.stores.log import parse_head

app = typer.Typer(help="Independent checks of explanations and records.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="audit")


@app.command("shap")
def audit_shap(
    model: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Default: the model that serves.")
    ] = None,
    orders: Annotated[int, typer.Option(min=1, help="Drawn orders of each comparison.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the draw, and of shap's permutations.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Compare our contributions with the shap library's, of the model that serves and of trees.

    Orders are drawn at random. Exit code 3 if a value of an exact method differs from shap's by more than
    0.000001 of the largest, an estimate by more than its standard errors and Student's t allow and 6 % of the
    largest, or values do not add up to the score within 0.000000001 of their sizes. Estimates are made as in
    the service, with RISKGRAPH_PERMUTATION_PAIRS. Also if permutations of 4,416 evaluations miss the exact
    values of trees that learned the model that ships, by more than 6 % (means over 20 orders).
    """
    bootstrap.require_extra("riskgraph audit shap", "train")
    from riskgraph.bench.sampler_audit import audit_sampler
    from riskgraph.bench.shap_audit import audit
    from riskgraph.explainers.games import AnyExplainer

    settings = Settings.from_environment()
    audited = bootstrap.serving_model(settings)[0] if model is None else load_model(model)
    with progress_bars() as progress:
        checks = audit(audited, orders, seed, AnyExplainer(settings.permutation_pairs), progress)
        sampled = audit_sampler(load_model(shipped_champion()), seed, progress)
    result = {
        "held": sampled.held and all(check.held for check in checks),
        "checks": [check.to_json() for check in checks],
        "sampler": sampled.to_json(),
    }
    table = Table("model", "players", "shap", "orders", "error", "additivity", "held")
    for c in checks:
        error = f"{c.error:.1e}" if c.exact else f"{c.error:.1e} (estimate)"
        held = "yes" if c.held else "NO"
        table.add_row(c.model, c.players, c.shap, str(c.orders), error, f"{c.additivity:.1e}", held)
    emit(result, as_json, lambda console: console.print(table, sampled.sentence))
    failed = [f"{c.model} ({c.players}, {c.shap})" for c in checks if not c.held]
    if failed:
        raise CheckFailed(f"contributions differ from shap's: {', '.join(failed)}")
    if not sampled.held:
        raise CheckFailed(sampled.sentence)


@app.command("verify")
def verify(
    head: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A tree head kept elsewhere, as JSON.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every report, its leaf, the tree and its signature; exit code 3 names the first bad record.

    Also that the log goes on from the tree head of the last check, which lies in the secrets folder, or from
    one that somebody kept (--head): it shows a store that was put back to an earlier day.
    """
    kept = None if head is None else parse_head(head.read_bytes())
    found = bootstrap.verify_log(Settings.from_environment(), kept)
    size = 0 if found.head is None else found.head.size
    told = (
        f"{size} leaves: {found.decisions} reports, {found.erased} erased, {found.records} records of erasure"
    )
    emit(found.to_json(), as_json, lambda console: console.print(told))
    if found.problems:
        first = found.problems[0]
        where = "the log" if first.seq is None else f"seq {first.seq}"
        named = "" if first.decision_id is None else f", decision {first.decision_id}"
        raise CheckFailed(f"{where}{named}: {first.problem}")
