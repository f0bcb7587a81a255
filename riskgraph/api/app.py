"""The application: routers, limits, authentication, health."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.responses import JSONResponse, Response

from riskgraph import __version__
from riskgraph.api import checkout, compliance, errors
from riskgraph.service import Service


def create_app(service: Service) -> FastAPI:
    """The application over an opened service.

    Args:
        service: Built by ``bootstrap.open_service``; closed when the application ends.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Catalogue, tables and indexes live as long as the process: no collection need visit them.
        gc.collect()
        gc.freeze()
        yield
        service.close()

    app = FastAPI(
        title="riskgraph",
        version=__version__,
        summary="Fraud decisions with exact reasons and a lawful report beside every verdict",
        lifespan=lifespan,
        docs_url="/docs",
        redoc_url=None,
    )
    app.state.service = service
    errors.install(app)
    app.add_middleware(LoadShedder, limit=service.settings.max_in_flight)
    # First, and without FastAPI's machinery for parameters, of which it has none; the router documents it.
    app.add_route(checkout.DECIDE, checkout.post_decision, methods=["POST"], include_in_schema=False)
    app.include_router(checkout.router)
    app.include_router(compliance.router)

    @app.get("/healthz", tags=["administration"], summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", tags=["administration"], summary="The service can decide lawfully")
    async def readyz() -> JSONResponse:
        problems = service.problems()
        status = 503 if problems else 200
        return JSONResponse({"ready": not problems, "problems": problems}, status_code=status)

    return app


@dataclass
class LoadShedder:
    """Pure ASGI: beyond ``limit`` calls in flight, answer 503 at once instead of queueing."""

    app: Callable[..., Awaitable[None]]
    limit: int
    in_flight: int = field(default=0)

    async def __call__(self, scope: dict[str, object], receive: object, send: object) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.in_flight >= self.limit:
            await shed()(scope, receive, send)  # type: ignore[arg-type]
            return
        self.in_flight += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.in_flight -= 1


def shed() -> Response:
    answer = errors.error_response(503, "overloaded", "too many calls in flight; retry in a second")
    answer.headers["Retry-After"] = "1"
    return answer
