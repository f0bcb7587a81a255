"""``riskgraph audit verify``: the log of decisions, checked from its first leaf to its signature."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, emit
from riskgraph.core.errors import CheckFailed
from riskgraph.settings import Settings
from riskgraph.stores.log import parse_head


def register(root: typer.Typer) -> None:
    """Add ``verify`` to the group ``audit``, which another part may have made."""
    app = next((group.typer_instance for group in root.registered_groups if group.name == "audit"), None)
    if app is None:
        app = typer.Typer(help="Checks of what this installation says.", no_args_is_help=True)
        root.add_typer(app, name="audit")
    app.command("verify")(verify)


def verify(
    head: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A tree head kept elsewhere, as JSON.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check every report, its leaf, the tree and its signature; exit code 3 names the first bad record.

    With --head, also that the log goes on from a tree head that somebody kept: it shows a store that was put
    back to an earlier day.
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
