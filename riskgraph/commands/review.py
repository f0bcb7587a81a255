"""``riskgraph review``: what waits for a person."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, emit
from riskgraph.settings import Settings

MAX_LISTED = 1000

app = typer.Typer(
    help="Human review: objections and orders on hold that wait for a person.", no_args_is_help=True
)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="review")


# Without it Typer would make the one command the group itself.
@app.callback()
def _group() -> None:
    pass


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Those that are closed too.")] = False,
    merchant: Annotated[str | None, typer.Option(help="Of this merchant alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_LISTED, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Cases of human review, what is due first before the rest; how many wait, how many are overdue.

    Reviewers work on them over HTTP (POST /v1/reviews/DECISION_ID), where it goes on record who did what.
    """
    settings = Settings.from_environment()
    profile = bootstrap.load_profile(settings) if settings.merchant else bootstrap.demo_profile()
    with bootstrap.open_keys(settings) as store:
        reviews = bootstrap.open_reviews(settings, store, profile)
        told = reviews.queue("all" if every else "pending", merchant, limit)
    emit(told, as_json, lambda console: show_queue(console, told))


def show_queue(console: Console, told: dict[str, Any]) -> None:
    """One line a case."""
    table = Table("decision", "origin", "state", "due", "claimed by", "stands")
    for row in told["reviews"]:
        due = f"{row['due_at'] or ''}{' OVERDUE' if row['overdue'] else ''}"
        stands = f"{row['stands']['verdict']} ({row['stands']['by']})"
        table.add_row(row["decision_id"], row["origin"], row["state"], due, row["claimed_by"] or "", stands)
    console.print(table)
    console.print(f"{told['pending']} waiting, {told['overdue']} overdue")
