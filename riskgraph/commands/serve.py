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
from urllib.parse import urlsplit

import typer
import uvicorn
from uvicorn.config import LOGGING_CONFIG

from riskgraph import bootstrap
from riskgraph.api.app import create_app
from riskgraph.api.shop import DemoShop
from riskgraph.commands.ui import AsJson, emit, err, progress_bars
from riskgraph.core.errors import Invalid, Unavailable
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.governance.keys import PUBLISHABLE, KeyStore, create_key
from riskgraph.settings import MAX_PORT, Settings

BACKLOG = 2048
HTTP_PORT, HTTPS_PORT = 80, 443
HIDDEN = ("/contest/", "/v1/behavior/", "/shop/done/", "/shop/report/", "/shop/withdraw/")
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
    demo_merchant: Annotated[bool, typer.Option(help="Decide for the simulated demo merchant.")] = False,
    demo_shop: Annotated[
        bool,
        typer.Option(help="The demo merchant alone, and its shop under /shop/ with the browser SDK."),
    ] = False,
    example_merchant: Annotated[bool, typer.Option(help="Print an example merchant.toml and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve decisions over HTTP. The first start prints an administrator's key, once.

    With --json, URL and first key (or null) go to stdout as one value, and the access log to stderr.

    Settings come from RISKGRAPH_HOME, _SECRETS, _STORE_URL, _NEO4J_USER, _NEO4J_PASSWORD_FILE, _NEO4J_NODES,
    _NEO4J_DAYS, _MODEL, _MERCHANT, _TREE, _BASELINE, _HOST, _PORT, _PUBLIC_URL, _DEADLINE_MS,
    _PERMUTATION_PAIRS, _MAX_BODY_BYTES, _MAX_DEPTH, _MAX_IN_FLIGHT,
    _SESSIONS_MIB.
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
    if demo_shop and settings.merchant is not None:
        text = "--demo-shop sells for the simulated merchant: leave out --merchant and RISKGRAPH_MERCHANT"
        raise Invalid(text, field="merchant")
    simulated = demo_merchant or demo_shop
    profile = bootstrap.demo_profile() if simulated else bootstrap.load_profile(settings)
    if history is not None:
        load_history(history, settings)
    run(settings, profile, as_json, challenger or (), demo_shop)


def load_history(world: Path, settings: Settings) -> None:
    """Load a world's orders and outcomes into the store; needs the extra ``lab``."""
    bootstrap.require_extra("riskgraph serve --history")
    from riskgraph import chain

    with progress_bars() as progress:
        chain.load_history(world, settings, progress)


def run(
    settings: Settings,
    profile: MerchantProfile,
    as_json: bool,
    challengers: Sequence[Path] = (),
    demo_shop: bool = False,
) -> None:
    """Listen, open the service, tell the first key and serve until a signal ends it.

    The key is told last: it is shown once, so whatever can fail at a start must have been done by then.
    """
    with listen(settings.host, settings.port) as listener:
        # Links in reports lead to where this listens, also where the port was chosen here.
        settings = replace(settings, port=listener.getsockname()[1])
        service = bootstrap.open_service(settings, profile, challengers)
        shop = DemoShop.open(service, shop_origins(settings)) if demo_shop else None
        key = first_key(service.authenticator.store)
        tell(settings, key, as_json, demo_shop)
        config = uvicorn.Config(
            create_app(service, shop), log_level="info", server_header=False, log_config=log_config(as_json)
        )
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def tell(settings: Settings, key: str | None, as_json: bool, demo_shop: bool) -> None:
    """Where this listens, and the first key."""
    url = f"http://{settings.host}:{settings.port}"
    if as_json:
        shop = {"shop": f"{url}/shop/"} if demo_shop else {}
        typer.echo(json.dumps({"url": url, "first_key": key} | shop))
        return
    if key is not None:
        err.print(f"first key, shown once: {key}", markup=False, soft_wrap=True)
    if demo_shop:
        err.print(f"demo shop (simulated): {url}/shop/", markup=False, soft_wrap=True)


def shop_origins(settings: Settings) -> tuple[str, ...]:
    """Where a browser may find the pages of the demo shop.

    Which addresses a wildcard listens on nobody here knows: RISKGRAPH_PUBLIC_URL names the one in use.
    """
    hosts = dict.fromkeys((settings.host, "127.0.0.1", "localhost"))
    port = "" if settings.port == HTTP_PORT else f":{settings.port}"
    here = [f"http://{f'[{host}]' if ':' in host else host}{port}" for host in hosts]
    return tuple(dict.fromkeys([*here, *public_origin(settings.public_url)]))


def public_origin(url: str) -> list[str]:
    """The origin of a public URL as browsers write it: lower case, no path, no default port; none of none."""
    if not url:
        return []
    parts = urlsplit(url)
    standard = {"http": HTTP_PORT, "https": HTTPS_PORT}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in (None, standard) else f":{parts.port}"
    return [f"{parts.scheme}://{host}{port}"]


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
    """Make an administrator's key when there is none yet but those that stand in pages."""
    known = any(PUBLISHABLE not in row["roles"] for row in store.list_keys())
    return None if known else create_key(store, roles=["admin"], org="*", per_second=200)


class HideLinks(logging.Filter):
    """Whoever has a shopper's link may object in that shopper's name, so no log holds one; nor a session."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Every record passes; of uvicorn's arguments (address, method, path, …) the path is cut."""
        if isinstance(record.args, tuple) and len(record.args) > 2:
            path = str(record.args[2])
            for hidden in HIDDEN:
                if path.startswith(hidden):
                    record.args = (*record.args[:2], f"{hidden}…", *record.args[3:])
        return True


def log_config(as_json: bool) -> dict[str, Any]:
    """The logging of uvicorn; its access log leaves stdout to the one JSON value where that is asked for."""
    config = copy.deepcopy(LOGGING_CONFIG)
    config["filters"] = {"links": {"()": HideLinks}}
    config["handlers"]["access"]["filters"] = ["links"]
    config["handlers"]["access"]["stream"] = "ext://sys.stderr" if as_json else "ext://sys.stdout"
    return config
