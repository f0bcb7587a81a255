"""``riskgraph retention``: what has been kept for long enough is taken out."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap, retention
from riskgraph.commands.ui import AsJson, emit
from riskgraph.settings import Settings

app = typer.Typer(
    help="Retention by the periods in merchant.toml (GDPR Art. 5(1)(e); PIPL Art. 19).", no_args_is_help=True
)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="retention")


@app.callback()
def _group() -> None:
    pass


@app.command("run")
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take out what is over its period, and wipe its bytes; the log still verifies. Made for a nightly job.

    Held data stay, and decisions of which a review is open. Rewrites the file (100 MiB: about a second);
    a service beside it waits up to two seconds for that, then refuses decisions with 503 until it is done.
    So too the sessions of the browser SDK, without which orders go on meanwhile.
    """
    settings = Settings.from_environment()
    profile = bootstrap.load_profile(settings) if settings.merchant else bootstrap.demo_profile()
    with bootstrap.open_keys(settings) as store:
        sessions = bootstrap.open_sessions(settings)
        told = retention.run(store, sessions, profile, bootstrap.SystemClock(), dry_run=dry_run)
    emit(told, as_json, lambda console: show(console, told))


def show(console: Console, told: dict[str, Any]) -> None:
    """What is over, by class and jurisdiction."""
    table = Table("class", "jurisdiction", "over", "kept from")
    for name, rows in told["over"].items():
        for jurisdiction, count in rows.items():
            table.add_row(
                name, jurisdiction, str(count), told["kept_from"][name].get(jurisdiction, "longest")
            )
    console.print(table)
    console.print(f"stay: {told['held']} by order to keep, {told['in_review']} under review")
    what = "would be taken out" if told["dry_run"] else "taken out"
    counts = told["due"] if told["dry_run"] else told["removed"]
    console.print(
        f"{counts['report']} reports, {counts['contract_record']} orders and the optional data of "
        f"{counts['optional']} {what}; {told['behavior']['sessions']} sessions of the browser SDK"
    )
