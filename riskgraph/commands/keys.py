"""``riskgraph keys``: API keys, and the keys that this installation signs with."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from riskgraph.bootstrap import open_key_ring, open_keys, open_verifier, rotate_report_key
from riskgraph.commands.ui import AsJson, day, emit
from riskgraph.core.errors import Invalid, NotFound
from riskgraph.governance.keys import ROLES, create_key
from riskgraph.settings import Settings

app = typer.Typer(
    help="API keys: shown once, stored hashed, revocable within a second; and the keys for signatures.",
    no_args_is_help=True,
)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="keys")


@app.command("create")
def create(
    role: Annotated[list[str], typer.Option(help=f"Out of {', '.join(ROLES)}; may be repeated.")],
    merchant: Annotated[str, typer.Option(help="The merchant it may act for; * for all.")],
    per_second: Annotated[int, typer.Option(min=1, help="Calls allowed per second.")] = 50,
    expires: Annotated[str | None, typer.Option(help="First day, UTC, on which it is refused.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Refuse it after so many days from now.")] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Of the pages that use a publishable key, https://shop.example; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it once. Without --expires or --days it does not expire.

    The role publishable is for the browser SDK: its key (pk_…) stands in the shop's pages, opens sessions
    from the named origins and does nothing else.
    """
    end = end_of_life(expires, days, datetime.now(UTC))
    moment = None if end is None else end.timestamp()
    with open_keys(Settings.from_environment()) as store:
        secret = create_key(
            store, roles=role, org=merchant, per_second=per_second, expires=moment, origins=origin or ()
        )
    shown = {"key": secret, "expires": None if end is None else end.isoformat(timespec="seconds")}
    emit(shown, as_json, lambda out: out.print(f"{secret}\nIt is not shown again."))


def end_of_life(expires: str | None, days: int | None, now: datetime) -> datetime | None:
    """When a new key stops working: midnight UTC of a day, or some days from now; None for never.

    Raises:
        Invalid: If both are given, the day is no date, or it has come already.
    """
    if expires is not None and days is not None:
        raise Invalid("give --expires or --days, not both", field="--expires")
    if expires is None:
        return None if days is None else now + timedelta(days=days)
    end = datetime.combine(day(expires, "--expires"), time(), UTC)
    if end <= now:
        raise Invalid(f"--expires must be a day to come, got {expires}", field="--expires")
    return end


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All keys, without their secrets."""
    with open_keys(Settings.from_environment()) as store:
        rows = [listed(row) for row in store.list_keys()]
    emit(rows, as_json, lambda out: out.print(*rows, sep="\n"))


def listed(row: dict[str, Any]) -> dict[str, Any]:
    """A stored key as people read it."""
    shown = {name: value for name, value in row.items() if name != "hash"}
    if row["expires"] is not None:
        shown["expires"] = datetime.fromtimestamp(row["expires"], UTC).isoformat(timespec="seconds")
    return shown


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


@app.command("reports")
def reports(as_json: AsJson = False) -> None:
    """The public keys that verify reports and the log: the one that signs now first, then earlier ones."""
    rows = [key.to_json() for key in open_key_ring(Settings.from_environment()).public_keys()]
    emit(
        rows,
        as_json,
        lambda out: out.print(
            *(f"{row['key_id']}  {_since(row['retired_at'])}\n{row['public_key'].rstrip()}" for row in rows),
            sep="\n",
            markup=False,
            highlight=False,
            soft_wrap=True,
        ),
    )


def _since(retired_at: str | None) -> str:
    return "signs now" if retired_at is None else f"retired {retired_at}"


@app.command("rotate")
def rotate(as_json: AsJson = False) -> None:
    """Sign reports and the log with a new key from now on; what earlier keys signed still verifies.

    The log is signed anew at once: a stolen earlier key can write no other log. A service that runs takes the
    new key with its next signature. The key of releases and promotions stays.
    """
    retired = rotate_report_key(Settings.from_environment())
    emit(
        {"retired": retired.key_id, "key_id": retired.successor, "at": retired.retired_at},
        as_json,
        lambda out: out.print(f"{retired.successor} signs now; {retired.key_id} is kept for verification"),
    )
