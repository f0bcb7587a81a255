"""``riskgraph catalog``: the 137 nodes, for people and programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, PublicKey, emit
from riskgraph.core.catalog import FAMILIES, NodeSpec
from riskgraph.core.catalog import catalog as load_catalog
from riskgraph.core.schema import signals_schema
from riskgraph.explainers.wording_page import wording_page
from riskgraph.settings import Settings

app = typer.Typer(help="The catalogue, and pairs that data added to it.", invoke_without_command=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="catalog")


@app.callback()
def catalog(
    context: typer.Context,
    as_json: AsJson = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of signals.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page of the docs.")] = False,
    wording: Annotated[
        bool, typer.Option("--wording", help="Print all wording of reasons as a page, to be signed off.")
    ] = False,
) -> None:
    """The 137 behavior nodes and the template edges between them."""
    if context.invoked_subcommand:
        return
    if (markdown or wording) and (schema or as_json or markdown == wording):
        raise typer.BadParameter("--markdown and --wording are pages for people: give one of them, and alone")
    if schema:
        emit(signals_schema(), True, lambda _: None)
    elif markdown:
        typer.echo(markdown_page())
    elif wording:
        typer.echo(wording_page())
    else:
        emit(catalog_json(), as_json, _table)


@app.command("pairs")
def pairs(
    proposal: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A proposal's file.")],
    first: Annotated[int | None, typer.Option(min=1, help="So many, from the best on; default all.")] = None,
    table: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Table to write; default the catalogue's found.csv.")
    ] = None,
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Adopt pairs that data proposed: a new version of the catalogue, to be committed by who maintains it.

    Releases and models of the version before are refused from then on, the shipped model too.
    """
    bootstrap.require_extra("riskgraph catalog pairs")
    from riskgraph import proposing

    made = proposing.adopt(
        proposal, Settings.from_environment(), first=first, public_key=public_key, table=table
    )
    emit(made, as_json, lambda console: _adopted(console, made))


def _adopted(console: Console, made: dict[str, Any]) -> None:
    before, after = made["before"], made["after"]
    console.print(
        f"{len(made['pairs'])} pairs added to {made['table']} ({made['provenance']})", soft_wrap=True
    )
    console.print(
        f"catalogue {before['version']} ({before['sha256'][:12]}) is now {after['version']} "
        f"({after['sha256'][:12]}); release and train again: what was made before is refused"
    )


def node_json(node: NodeSpec) -> dict[str, Any]:
    return {
        "id": node.id,
        "name": node.name,
        "label": {"en": node.label_en, "zh": node.name_zh},
        "family": node.family,
        "source": node.source,
        "computed_by": node.computed_by,
        "kind": node.kind,
        "form": node.form.value,
        "unit": node.unit,
        "range": node.range,
        "components": [f"{node.id}.{c}" for c in node.components],
        "definition": node.definition,
        "why": node.why,
        "legal_class": node.pipl_class,
        "purpose": node.purpose,
        "lawful_basis": {j: node.lawful_basis(j) for j in ("CN", "EU")},
        "retention": node.retention_class,
        "encoder": node.encoder,
        "actionable": node.actionable,
        "alone": node.alone,
        "monotone": node.monotone,
        "stage": node.stage,
        "anchor": node.anchor,
    }


def catalog_json() -> dict[str, Any]:
    book = load_catalog()
    names = [n.id for n in book]
    return {
        "version": book.version,
        "sha256": book.sha256,
        "nodes": [node_json(n) for n in book],
        "edges": [{"type": e.type, "from": names[e.source], "to": names[e.target]} for e in book.edges],
        "pairs": [{"nodes": [names[p.a], names[p.b]], "types": list(p.types)} for p in book.pairs],
    }


def _table(console: Console) -> None:
    book = load_catalog()
    table = Table("id", "name", "名称", "form", "unit", "class", "by", title=f"Catalogue {book.version}")
    for n in book:
        table.add_row(n.id, n.name, n.name_zh, n.form.value, n.unit, n.pipl_class, n.computed_by)
    console.print(table)
    console.print(f"{len(book.edges)} typed template edges over {len(book.pairs)} pairs; --json has them all")


def markdown_page() -> str:
    """The catalogue as a page of the docs."""
    book = load_catalog()
    lines = [
        "# The catalogue: 137 behavior nodes",
        "",
        "Made by `make docs` from the one table in `riskgraph/core/data/catalog.csv`; "
        "edit that, not this page.",
        "",
        f"{len(book.edges)} typed template edges over {len(book.pairs)} pairs; "
        f"{len(book.components)} components.",
        "",
        f"Data may propose further pairs ([the sandbox](sandbox.md#further-pairs)) of {_proposable()} nodes: "
        "of those whose own term may raise the score and whose raw input is not sensitive (no ·S).",
    ]
    for family, (label, label_zh) in FAMILIES.items():
        lines += [
            "",
            f"## {family} {label} · {label_zh}",
            "",
            "| id | name | 名称 | form, unit, range | class, purpose | lawful basis | by | own term "
            "| definition |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [_markdown_row(n) for n in book if n.family == family]
    return "\n".join(lines)


def _proposable() -> int:
    return sum(node.pairs_by_data for node in load_catalog())


def _markdown_row(node: NodeSpec) -> str:
    own = [] if node.alone else ["never raises"]
    own += [] if node.monotone == "none" else [f"monotone {node.monotone}"]
    cells = (
        node.id,
        f"`{node.name}`",
        node.name_zh,
        f"{node.form.value}, {node.unit}, {node.range}",
        f"{node.pipl_class}, {node.purpose}",
        f"{node.lawful_basis('EU')}; {node.lawful_basis('CN')}",
        node.computed_by,
        ", ".join(own) or "free",
        node.definition,
    )
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"
