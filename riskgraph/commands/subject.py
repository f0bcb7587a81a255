"""``riskgraph subject``: the rights of a person over what is held about them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Any

import typer

from riskgraph import bootstrap
from riskgraph.commands.ui import AsJson, day, emit
from riskgraph.settings import Settings
from riskgraph.stores.erasure import GROUNDS
from riskgraph.subjects import Subjects, Who, who_is

app = typer.Typer(
    help="A person's data: given out, erased, or kept by order (GDPR Art. 15, 17, 20; PIPL Art. 45, 47).",
    no_args_is_help=True,
)
Account = Annotated[str | None, typer.Option(help="The account as the shop sends it; - reads it from stdin.")]
Digest = Annotated[str | None, typer.Option(help="Its digest, 32 hex digits, as events name it.")]
Order = Annotated[
    tuple[str, str, str] | None,
    typer.Option(help="MERCHANT CHANNEL ORDER_ID: the person behind an order; a guest is that order."),
]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="subject")


@contextmanager
def _subjects() -> Iterator[Subjects]:
    settings = Settings.from_environment()
    profile = bootstrap.load_profile(settings) if settings.merchant else bootstrap.demo_profile()
    with bootstrap.open_keys(settings) as store:
        yield bootstrap.open_subjects(settings, profile, store)


def _who(
    subjects: Subjects, account: str | None, digest: str | None, order: tuple[str, str, str] | None
) -> Who:
    named: dict[str, Any] = {}
    if account is not None:
        # Whoever reads the list of processes should not read who is meant.
        named["account"] = sys.stdin.readline().rstrip("\r\n") if account == "-" else account
    if digest is not None:
        named["account_digest"] = digest
    if order is not None:
        named["order"] = dict(zip(("merchant_id", "channel_code", "order_id"), order, strict=True))
    return who_is(named, subjects.door)


@app.command("erase")
def erase(
    account: Account = None, account_digest: Digest = None, order: Order = None, as_json: AsJson = False
) -> None:
    """Take a person's data out of the store, so that no byte is left in its files; the log still verifies.

    Rewrites the file (100 MiB: about a second). A service beside it waits for that up to two seconds, then
    refuses decisions with 503 until it is done: choose a quiet hour for a large store. A second time finds
    nothing and changes nothing.
    """
    with _subjects() as subjects:
        done = subjects.erase(_who(subjects, account, account_digest, order), wipe=True)
    told = f"{done['orders']} orders, {done['decisions']} decisions, {done['outcomes']} outcomes erased"
    emit(done, as_json, lambda console: console.print(told))


@app.command("export")
def export(
    out: Annotated[Path, typer.Option(help="JSON file to write; readable by its owner only.")],
    account: Account = None,
    account_digest: Digest = None,
    order: Order = None,
    as_json: AsJson = False,
) -> None:
    """Write everything held about a person as one JSON file."""
    with _subjects() as subjects:
        held = subjects.export(_who(subjects, account, account_digest, order))
    out.touch(mode=0o600, exist_ok=True)
    if out.is_file():
        out.chmod(0o600)  # before a word is in it: a file that was there keeps its mode
    out.write_text(json.dumps(held, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    counts = {name: len(held[name]) for name in ("orders", "decisions", "outcomes", "events")}
    told = f"{counts['orders']} orders, {counts['decisions']} decisions written to {out}"
    emit({"path": str(out), **counts}, as_json, lambda console: console.print(told, soft_wrap=True))


@app.command("hold")
def hold(
    ground: Annotated[str, typer.Option(help=f"One of {', '.join(GROUNDS)}.")],
    by: Annotated[str, typer.Option(help="Who orders it.")],
    until: Annotated[str | None, typer.Option(help="First day, UTC, on which it no longer holds.")] = None,
    account: Account = None,
    account_digest: Digest = None,
    order: Order = None,
    as_json: AsJson = False,
) -> None:
    """Keep a person's data against erasure and retention (GDPR Art. 17(3)(b), (e); PIPL Art. 47(2))."""
    end = None if until is None else datetime.combine(day(until, "--until"), time(), UTC).timestamp()
    with _subjects() as subjects:
        count = subjects.hold(_who(subjects, account, account_digest, order), ground, by, end)
    emit({"held": count}, as_json, lambda console: console.print(f"{count} subjects are held"))


@app.command("release")
def release(
    account: Account = None, account_digest: Digest = None, order: Order = None, as_json: AsJson = False
) -> None:
    """End the holds on a person's data."""
    with _subjects() as subjects:
        count = subjects.release(_who(subjects, account, account_digest, order))
    emit({"released": count}, as_json, lambda console: console.print(f"{count} holds ended"))
