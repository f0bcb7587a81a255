"""``riskgraph serve``: the HTTP service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from riskgraph import bootstrap
from riskgraph.api.app import create_app
from riskgraph.commands.ui import err, progress_bars
from riskgraph.governance.keys import create_key
from riskgraph.settings import Settings


def register(root: typer.Typer) -> None:
    root.command("serve")(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; default 8137.")] = None,
    merchant: Annotated[
        Path | None, typer.Option(exists=True, help="merchant.toml of the controller.")
    ] = None,
    history: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="A world whose orders are loaded first.")
    ] = None,
    demo_merchant: Annotated[bool, typer.Option(help="Serve the simulated demo shop.")] = False,
    example_merchant: Annotated[bool, typer.Option(help="Print an example merchant.toml and stop.")] = False,
) -> None:
    """Serve decisions over HTTP. The first start prints an administrator's key, once.

    Settings come from RISKGRAPH_HOME, _SECRETS, _STORE_URL, _MODEL, _MERCHANT, _TREE, _HOST, _PORT,
    _DEADLINE_MS, _MAX_BODY_BYTES, _MAX_DEPTH, _MAX_IN_FLIGHT.
    """
    if example_merchant:
        typer.echo(bootstrap.example_merchant())
        return
    settings = Settings.from_environment()
    settings = replace(
        settings,
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
        merchant=settings.merchant if merchant is None else merchant,
    )
    profile = bootstrap.demo_profile() if demo_merchant else bootstrap.load_profile(settings)
    if history is not None:
        bootstrap.require_extra("riskgraph serve --history")
        from riskgraph import chain

        with progress_bars() as progress:
            chain.load_history(history, settings, progress)
    first_key(settings)
    app = create_app(bootstrap.open_service(settings, profile))
    uvicorn.run(app, host=settings.host, port=settings.port, log_level="info", server_header=False)


def first_key(settings: Settings) -> None:
    """Make and print an administrator's key when there is none yet."""
    with bootstrap.open_keys(settings) as store:
        if store.list_keys():
            return
        key = create_key(store, roles=["admin"], org="*", per_second=200)
    err.print(f"first key, shown once: {key}", markup=False, soft_wrap=True)
