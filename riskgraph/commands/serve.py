"""``riskgraph serve``: the HTTP service."""

from __future__ import annotations

import copy
import json
import logging
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from uvicorn.config import LOGGING_CONFIG

from riskgraph import bootstrap
from riskgraph.api.app import create_app
from riskgraph.commands.ui import AsJson, emit, err, progress_bars
from riskgraph.core.errors import Unavailable
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.governance.keys import KeyStore, create_key
from riskgraph.settings import MAX_PORT, Settings

BACKLOG = 2048
CONTEST = "/contest/"
ChallengerFolders = Annotated[
    list[Path] | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="A model that scores each order after the answer, for comparison; may be repeated.",
    ),
]


def register(root: typer.Typer) -> None:
    root.command("serve")(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=MAX_PORT, help="Port; default 8137, 0 takes a free one.")
    ] = None,
    merchant: Annotated[
        Path | None, typer.Option(exists=True, help="merchant.toml of the controller.")
    ] = None,
    history: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="A world whose orders are loaded first.")
    ] = None,
    challenger: ChallengerFolders = None,
    demo_merchant: Annotated[bool, typer.Option(help="Serve the simulated demo shop.")] = False,
    example_merchant: Annotated[bool, typer.Option(help="Print an example merchant.toml and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve decisions over HTTP. The first start prints an administrator's key, once.

    With --json, URL and first key (or null) go to stdout as one value, and the access log to stderr.

    Settings come from RISKGRAPH_HOME, _SECRETS, _STORE_URL, _NEO4J_USER, _NEO4J_PASSWORD_FILE, _NEO4J_NODES,
    _NEO4J_DAYS, _MODEL, _MERCHANT, _TREE, _BASELINE, _HOST, _PORT, _PUBLIC_URL, _DEADLINE_MS,
    _PERMUTATION_PAIRS, _MAX_BODY_BYTES, _MAX_DEPTH, _MAX_IN_FLIGHT.
    """
    if example_merchant:
        text = bootstrap.example_merchant()
        emit({"merchant_toml": text}, as_json, lambda _: typer.echo(text))
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
        load_history(history, settings)
    run(settings, profile, as_json, challenger or ())


def load_history(world: Path, settings: Settings) -> None:
    """Load a world's orders and outcomes into the store; needs the extra ``lab``."""
    bootstrap.require_extra("riskgraph serve --history")
    from riskgraph import chain

    with progress_bars() as progress:
        chain.load_history(world, settings, progress)


def run(
    settings: Settings, profile: MerchantProfile, as_json: bool, challengers: Sequence[Path] = ()
) -> None:
    """Listen, open the service, tell the first key and serve until a signal ends it.

    The key is told last: it is shown once, so whatever can fail at a start must have been done by then.
    """
    with listen(settings.host, settings.port) as listener:
        service = bootstrap.open_service(settings, profile, challengers)
        key = first_key(service.authenticator.store)
        if as_json:
            url = f"http://{settings.host}:{listener.getsockname()[1]}"
            typer.echo(json.dumps({"url": url, "first_key": key}))
        elif key is not None:
            err.print(f"first key, shown once: {key}", markup=False, soft_wrap=True)
        config = uvicorn.Config(
            create_app(service), log_level="info", server_header=False, log_config=log_config(as_json)
        )
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        Unavailable: If the address is taken, not allowed or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as wrong:
        raise Unavailable(f"{wrong.strerror}; choose another --host or --port") from wrong
    # declared as TCP: asyncio sets TCP_NODELAY on no other, and each answer would wait 40 ms
    return socket.socket(made.family, made.type, socket.IPPROTO_TCP, fileno=made.detach())


def first_key(store: KeyStore) -> str | None:
    """Make an administrator's key when there is none yet."""
    return None if store.list_keys() else create_key(store, roles=["admin"], org="*", per_second=200)


class HideLinks(logging.Filter):
    """Whoever has a shopper's link may object in that shopper's name, so no log holds one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Every record passes; of uvicorn's arguments (address, method, path, …) the path is cut."""
        if isinstance(record.args, tuple) and len(record.args) > 2:
            path = str(record.args[2])
            if path.startswith(CONTEST):
                record.args = (*record.args[:2], f"{CONTEST}…", *record.args[3:])
        return True


def log_config(as_json: bool) -> dict[str, Any]:
    """The logging of uvicorn; its access log leaves stdout to the one JSON value where that is asked for."""
    config = copy.deepcopy(LOGGING_CONFIG)
    config["filters"] = {"links": {"()": HideLinks}}
    config["handlers"]["access"]["filters"] = ["links"]
    config["handlers"]["access"]["stream"] = "ext://sys.stderr" if as_json else "ext://sys.stdout"
    return config
