"""The application: routers, limits, authentication, health."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from riskgraph import __version__
from riskgraph.api import behavior, checkout, compliance, contest, errors, reviews, shop, subjects, verify
from riskgraph.api.state import service_of
from riskgraph.core.errors import RiskgraphError, StorageUnavailable
from riskgraph.service import Service
from riskgraph.stores.neo4j.store import Neo4jStore

_LOG = logging.getLogger("riskgraph.api")
PURGE_EVERY_S = 3600.0
_NEO4J: dict[str, Any] = {
    "type": "object",
    "properties": {
        "breaker": {"enum": ["closed", "open"], "description": "while it is open no order asks Neo4j"},
        "open_s": {"type": ["number", "null"], "description": "seconds since it opened"},
        "erasure_pending": {"type": "boolean", "description": "contexts are local until Neo4j has erased"},
        "feed_lag_events": {"type": ["integer", "null"], "description": "null: Neo4j was not reached yet"},
        "last_error": {"type": ["string", "null"], "description": "of a read or a probe"},
        "feed_error": {"type": ["string", "null"], "description": "of the feed; null while it works"},
    },
}
_READY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["ready", "problems"],
    "properties": {
        "ready": {"type": "boolean"},
        "problems": {"type": "array", "items": {"type": "string"}},
        "neo4j": _NEO4J,
    },
}
_READY: dict[int | str, dict[str, Any]] = {
    status: {"description": told, "content": {"application/json": {"schema": _READY_SCHEMA}}}
    for status, told in ((200, "It can"), (503, "It cannot; ``problems`` says why"))
}


health = APIRouter(tags=["administration"])


@health.get("/healthz", summary="The process is alive")
async def healthz() -> dict[str, str]:
    return {"status": "alive"}


@health.get("/readyz", summary="The service can decide lawfully", responses=_READY)
async def readyz(request: Request) -> JSONResponse:
    """``neo4j`` tells how the paths to a Neo4j are, where one is set; readiness depends on none of it.

    It is left out while the journal cannot be read.
    """
    service = service_of(request)
    problems = service.problems()
    told: dict[str, Any] = {"ready": not problems, "problems": problems}
    if isinstance(service.store, Neo4jStore):
        with suppress(StorageUnavailable):
            told["neo4j"] = await run_in_threadpool(service.store.shared_state)
    return JSONResponse(told, status_code=503 if problems else 200)


def create_app(service: Service, demo_shop: shop.DemoShop | None = None) -> FastAPI:
    """The application over an opened service.

    Args:
        service: Built by ``bootstrap.open_service``; closed when the application ends.
        demo_shop: The shop of the simulated merchant, served under ``/shop/``; None: no such pages.
    """
    app = FastAPI(
        title="riskgraph",
        version=__version__,
        summary="Fraud decisions with exact reasons and a lawful report beside every verdict",
        lifespan=_lifespan(service, demo_shop),
        docs_url="/docs",
        redoc_url=None,
    )
    app.state.service = service
    errors.install(app)
    app.add_middleware(Decisions)
    app.add_middleware(LoadShedder, limit=service.settings.max_in_flight)
    # Everybody can call these; however many do, the checkout keeps the other half.
    app.add_middleware(LoadShedder, limit=max(1, service.settings.max_in_flight // 2), paths=behavior.PATHS)
    app.add_middleware(
        behavior.ShopOrigins,
        origins=lambda: service.authenticator.origins(service.line.clock.now()),
    )
    routers = [part.router for part in (checkout, behavior, compliance, reviews, contest, subjects, verify)]
    if demo_shop is not None:
        app.state.shop = demo_shop
        routers.append(shop.router)
    for router in (*routers, health):
        app.include_router(router)
    return app


def _lifespan(
    service: Service, demo_shop: shop.DemoShop | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Catalogue, tables and indexes live as long as the process: no collection need visit them.
        gc.collect()
        gc.freeze()
        ended = asyncio.Event()
        purging = asyncio.create_task(purge_until(ended, service.collecting.purge))
        yield
        ended.set()
        await purging
        if demo_shop is not None:
            demo_shop.close(service)
        service.close()

    return lifespan


async def purge_until(
    ended: asyncio.Event, purge: Callable[[], None], every_s: float = PURGE_EVERY_S
) -> None:
    """Take out what is over its time at once, and then every hour: no deletion waits for a shopper."""
    while not ended.is_set():
        try:
            await run_in_threadpool(purge)
        except StorageUnavailable as wrong:
            _LOG.warning("behavior that is over its time stays until the next hour: %s", wrong)
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), every_s)


@dataclass
class LoadShedder:
    """Pure ASGI: beyond ``limit`` calls in flight to ``paths``, answer 503 at once instead of queueing."""

    app: ASGIApp
    limit: int
    paths: tuple[str, ...] = ("/",)
    in_flight: int = field(default=0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self.paths):
            await self.app(scope, receive, send)
            return
        if self.in_flight >= self.limit:
            await shed()(scope, receive, send)
            return
        self.in_flight += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.in_flight -= 1


@dataclass
class Decisions:
    """Pure ASGI: decisions pass by FastAPI's routing, which the CPU feels; the router documents them."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", checkout.DECIDE):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = await checkout.post_decision(request)
        except RiskgraphError as failure:
            answer = errors.known(request, failure)
        await answer(scope, receive, send)


def shed() -> Response:
    answer = errors.error_response(503, "overloaded", "too many calls in flight; retry in a second")
    answer.headers["Retry-After"] = "1"
    return answer
