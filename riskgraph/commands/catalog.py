"""``riskgraph catalog``: the 137 nodes, for people and programs."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from riskgraph.commands.ui import AsJson, emit
from riskgraph.core.catalog import FAMILIES, NodeSpec
from riskgraph.core.catalog import catalog as load_catalog
from riskgraph.core.schema import signals_schema


def register(root: typer.Typer) -> None:
    root.command("catalog")(catalog)


def catalog(
    as_json: AsJson = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of signals.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page of the docs.")] = False,
) -> None:
    """The 137 behavior nodes and the template edges between them."""
    if markdown and (schema or as_json):
        raise typer.BadParameter("--markdown is a page for people: give it without --schema and --json")
    if schema:
        emit(signals_schema(), True, lambda _: None)
    elif markdown:
        typer.echo(markdown_page())
    else:
        emit(catalog_json(), as_json, _table)


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
