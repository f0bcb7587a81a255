"""``riskgraph keys``: API keys, and the public key that verifies what this installation signs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from riskgraph.bootstrap import open_keys, open_verifier
from riskgraph.commands.ui import AsJson, emit
from riskgraph.core.errors import NotFound
from riskgraph.governance.keys import ROLES, create_key
from riskgraph.settings import Settings

app = typer.Typer(
    help="API keys: shown once, stored hashed, revocable at once; and the public key for signatures.",
    no_args_is_help=True,
)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="keys")


@app.command("create")
def create(
    role: Annotated[list[str], typer.Option(help=f"Out of {', '.join(ROLES)}; may be repeated.")],
    merchant: Annotated[str, typer.Option(help="The merchant it may act for; * for all.")],
    per_second: Annotated[int, typer.Option(min=1, help="Calls allowed per second.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it once."""
    with open_keys(Settings.from_environment()) as store:
        secret = create_key(store, roles=role, org=merchant, per_second=per_second)
    emit({"key": secret}, as_json, lambda out: out.print(f"{secret}\nIt is not shown again."))


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All keys, without their secrets."""
    with open_keys(Settings.from_environment()) as store:
        rows = [{k: v for k, v in row.items() if k != "hash"} for row in store.list_keys()]
    emit(rows, as_json, lambda out: out.print(*rows, sep="\n"))


@app.command("revoke")
def revoke(key_id: str, as_json: AsJson = False) -> None:
    """Refuse a key from now on."""
    with open_keys(Settings.from_environment()) as store:
        if not store.revoke_key(key_id):
            raise NotFound(f"no key {key_id}; riskgraph keys list shows them")
    emit({"revoked": key_id}, as_json, lambda out: out.print(f"revoked {key_id}"))


@app.command("public")
def public(
    out: Annotated[Path | None, typer.Option(help="File to write; stdout without it.")] = None,
    as_json: AsJson = False,
) -> None:
    """The public key in PEM: with it anyone can verify releases, audit records and backtests."""
    verifier = open_verifier(Settings.from_environment())
    pem = verifier.public_pem.decode()
    if out is not None:
        out.write_text(pem, encoding="utf-8")
    shown = {"algorithm": "Ed25519", "key_id": verifier.key_id, "public_key": pem}
    told = pem.rstrip() if out is None else f"public key {verifier.key_id} written to {out}"
    emit(shown, as_json, lambda console: console.print(told, markup=False, highlight=False, soft_wrap=True))
