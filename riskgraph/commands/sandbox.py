"""``riskgraph sandbox``: release, baseline, audit, attack, cost, pairs, erasure and certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from riskgraph import bootstrap
from riskgraph.commands.sandbox_attack import attack
from riskgraph.commands.sandbox_baseline import baseline
from riskgraph.commands.sandbox_cost import cost
from riskgraph.commands.sandbox_pairs import pairs
from riskgraph.commands.ui import AsJson, PublicKey, day, emit, err, progress_bars
from riskgraph.settings import Settings

app = typer.Typer(help="The sandbox: what leaves it is k-anonymous over persons.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    app.command("attack")(attack)
    app.command("baseline")(baseline)
    app.command("cost")(cost)
    app.command("pairs")(pairs)
    root.add_typer(app, name="sandbox")


@app.command("release")
def release(
    world: Annotated[Path, typer.Option(exists=True, file_okay=False, help="A world folder.")],
    until: Annotated[str, typer.Option(help="Labels as known on this day; orders end 70 days earlier.")],
    out: Annotated[Path, typer.Option(help="Release folder to write.")],
    k: Annotated[int, typer.Option(min=50, help="Persons per group, at least 50.")] = 50,
    seed: Annotated[int, typer.Option(help="Seed of noise and draws.")] = 0,
    ray: Annotated[
        str | None,
        typer.Option(help="Ray cluster for histories above 250,000 orders; 'local' starts one (extra ray)."),
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Folder for their chunks; all of Ray must see it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Release training data from a world: groups of at least k persons, counted twice."""
    moment = day(until, "--until")
    bootstrap.require_extra("riskgraph sandbox release")
    from riskgraph import chain, releasing

    with releasing.chunking(ray, scratch) as how, progress_bars() as progress:
        made = chain.release(
            world, out, until=moment, k=k, seed=seed, settings=Settings.from_environment(), progress=progress,
            tell=err.print, chunking=how,
        )  # fmt: skip
    emit(made, as_json, lambda console: show_release(console, made))


@app.command("audit")
def audit(
    release: Annotated[
        Path | None,
        typer.Argument(exists=True, file_okay=False, help="A release folder; without it the whole log."),
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(help="Hash of a record that the log must hold, as an earlier audit printed it."),
    ] = None,
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Verify and print a release's audit record, or this installation's whole log.

    Of a release: signature, digests, certificate, and that its record is in the log. Of the log: chain,
    signatures, gaps, cut-off lines, and that the ledger of used records agrees with it.
    """
    bootstrap.require_extra("riskgraph sandbox audit")
    from riskgraph import auditing

    records = auditing.audit(release, Settings.from_environment(), public_key, expect)
    emit(records, as_json, lambda console: show_audit(console, records, whole=release is None))


@app.command("erase")
def erase(
    order: Annotated[list[str], typer.Argument(help="Ids of the orders.")],
    as_json: AsJson = False,
) -> None:
    """Bar erased orders from every later release; no release is ever made again."""
    bootstrap.require_extra("riskgraph sandbox erase")
    from riskgraph import auditing

    record = auditing.erase(order, Settings.from_environment())
    emit(record, as_json, lambda console: show_erasure(console, record))


@app.command("certificate")
def certificate(
    release: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A release folder.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    lang: Annotated[str, typer.Option(help="zh or en.")] = "en",
    form: Annotated[str, typer.Option("--format", help="html or pdf.")] = "html",
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Write the certificate of a verified release, for auditors and counsel."""
    bootstrap.require_extra("riskgraph sandbox certificate")
    from riskgraph import auditing

    settings = Settings.from_environment()
    made = auditing.certificate(release, out, lang=lang, form=form, settings=settings, public_key=public_key)
    emit(made, as_json, lambda console: console.print(f"{made['path']}", soft_wrap=True))


def show_audit(console: Console, records: list[dict[str, Any]], *, whole: bool) -> None:
    """Every record, oldest first; of the whole log also the hash to ask for the next time."""
    for record in records:
        console.print_json(data=record)
    if whole:
        last = records[-1]["hash"] if records else None
        console.print(f"{len(records)} records hold. Keep the last hash elsewhere, and ask for it next time:")
        console.print(f"riskgraph sandbox audit --expect {last}", soft_wrap=True, highlight=False)


def show_erasure(console: Console, record: dict[str, Any]) -> None:
    """What was barred, and which releases hold it."""
    done = record["composition"]
    console.print(
        f"{done['records_asked']} orders are barred from later releases, {done['records_erased']} anew"
    )
    for held in done["releases_holding"]:
        console.print(
            f"{held['release_id']} holds {held['records']} of them in its aggregates and stays as it is"
        )


def show_release(console: Console, made: dict[str, Any]) -> None:
    """The certificate; who is counted was told before."""
    held = made["certificate"]
    console.print(
        f"k = {made['k']}: every group holds at least {held['min_units']} persons from at least "
        f"{held['min_components']} separate components (counted again independently: "
        f"{held['independent']['min_units']} and {held['independent']['min_components']})"
    )
    console.print(f"{made['rows']} rows drawn for training; release {made['release_id']} in {made['path']}")
