"""``riskgraph score`` and ``report``: one order at the command line."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from riskgraph import bootstrap
from riskgraph.api.body import parse_body
from riskgraph.commands.ui import AsJson, emit
from riskgraph.core.errors import CheckFailed, Invalid, TooLarge
from riskgraph.explainers.choices import Audience, Form, Lang, Law
from riskgraph.pipeline import decide
from riskgraph.replaying import Given, replay_stored
from riskgraph.settings import Settings

reports = typer.Typer(help="Decision reports.", no_args_is_help=True)
MAX_BYTES = 65_536
PATIENCE_MS = 60_000


def register(root: typer.Typer) -> None:
    root.command("score")(score)
    root.add_typer(reports, name="report")


def score(
    order: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A body of POST /v1/decisions.")],
    model: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Default: the model that serves.")
    ] = None,
    lang: Annotated[Lang, typer.Option(help="Language of the reasons.")] = Lang.EN,
    as_json: AsJson = False,
) -> None:
    """Decide on one order from a file, with the simulated demo merchant and no history."""
    raw = order.read_bytes()
    if len(raw) > MAX_BYTES:
        raise TooLarge(f"{order} is larger than {MAX_BYTES} bytes")
    body = parse_body(raw, max_depth=8) | {"lang": lang.value}
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_environment()
        chosen = model or bootstrap.serving_folder(settings)[0]
        # No checkout waits for this answer, so a slow machine must not turn it into a review.
        settings = replace(settings, home=Path(folder), store_url="", model=chosen, deadline_ms=PATIENCE_MS)
        # The service would answer without a sound model, with a review; here one was asked for.
        bootstrap.serving_model(settings)
        answer = asyncio.run(_decide(body, settings))
    emit(answer, as_json, lambda console: show_answer(console, answer))


async def _decide(body: dict[str, Any], settings: Settings) -> dict[str, Any]:
    service = bootstrap.open_service(settings, bootstrap.demo_profile())
    digest = hashlib.sha256(json.dumps(body).encode()).hexdigest()
    try:
        answer = await decide(body, service.line, key_id="cli", idempotency_key="cli", body_sha256=digest)
    finally:
        service.close()
    decoded: dict[str, Any] = msgspec.json.decode(answer.body)
    return decoded


def show_answer(console: Console, answer: dict[str, Any]) -> None:
    """Verdict and reasons as a person reads them."""
    shown = "none" if answer["score"] is None else f"{answer['score']:.4f}"
    console.print(f"{answer['verdict'].upper()}  score {shown}  ({answer['provenance']} model or shop)")
    if answer["degraded"]:
        console.print(f"degraded: {answer['degraded_cause']}")
    table = Table("reason", "strength", "text")
    for reason in answer["reasons"]:
        table.add_row(reason["code"], reason["band"], reason["text"])
    console.print(table)
    console.print("path: " + " → ".join(answer["path"]))


@reports.command("show")
def show_report(
    decision_id: str,
    audience: Audience = Audience.SUBJECT,
    law: Law = Law.BOTH,
    lang: Lang = Lang.EN,
    format: Form = Form.JSON,
    out: Annotated[Path | None, typer.Option(help="File to write; stdout without it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Render the report of a stored decision (as on the service's own store).

    With --out, --json tells what was written.
    """
    if as_json and out is None and format is not Form.JSON:
        raise Invalid(
            f"--json prints one JSON value, which {format.value} is not; give --out", field="--json"
        )
    settings = Settings.from_environment()
    profile = bootstrap.load_profile(settings) if settings.merchant else bootstrap.demo_profile()
    with bootstrap.open_keys(settings) as store:
        reviews = bootstrap.open_reviews(settings, store, profile)
        reader = bootstrap.open_reports(settings, store, profile, reviews)
        content, media_type = reader.render(
            decision_id, None, audience.value, law.value, lang.value, format.value
        )
    if out is None:
        typer.get_binary_stream("stdout").write(content)
        return
    out.write_bytes(content)
    written = {"path": str(out), "media_type": media_type, "bytes": len(content)}
    emit(written, as_json, lambda console: console.print(f"report written to {out}", soft_wrap=True))


@reports.command("replay")
def replay_report(
    decision_id: str,
    model: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Where the model that decided lies now.")
    ] = None,
    tree: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The decision tree of that time.")
    ] = None,
    merchant: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The merchant.toml of that time.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The merchant's baseline of that time.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compute a stored decision again, with the versions that it recorded, and compare.

    The model is looked for by its digest: the configured one, those in the home, the one that ships. Exit
    code 3 when something does not match; the first difference is named.
    """
    settings = Settings.from_environment()
    profile = bootstrap.load_profile(settings) if settings.merchant else bootstrap.demo_profile()
    given = Given(model, tree, merchant, baseline)
    with bootstrap.open_keys(settings) as store:
        told = replay_stored(store, profile, settings, decision_id, given=given)
    emit(told, as_json, lambda console: show_replay(console, told))
    if not told["matches"]:
        raise CheckFailed(f"the replay does not match: {difference_text(told['first_difference'])}")


def show_replay(console: Console, told: dict[str, Any]) -> None:
    """What was compared, and how it came out."""
    context = told["context"]
    console.print(f"{'matches' if told['matches'] else 'DOES NOT MATCH'}: {told['decision_id']}")
    console.print(f"verdict {told['verdict']}, path {' → '.join(told['path'])}")
    console.print(
        f"as-of context ({context['source']}): {context['present']} of {context['computed_nodes']} computed "
        "nodes have a value in the stored subgraph"
    )
    for name, value in told["versions"].items():
        console.print(f"{name}: {value}", soft_wrap=True)
    if told["matches"] and not told["same_bytes"]:
        console.print("the reasons are the same, their wording has changed since")


def difference_text(difference: dict[str, Any]) -> str:
    """One difference in one line."""
    recorded, recomputed = (f"{difference[key]!r:.80}" for key in ("recorded", "recomputed"))
    return f"{difference['field']} was recorded as {recorded} and comes out as {recomputed}"
