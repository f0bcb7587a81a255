"""The service in a process of its own, with an echo route beside it, for measuring."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from riskgraph import bootstrap
from riskgraph.api.app import create_app
from riskgraph.core.errors import Unavailable
from riskgraph.governance.keys import create_key
from riskgraph.settings import Settings


def add_routes(app: FastAPI) -> None:
    """A FastAPI route that answers with the body it got, and the process's CPU seconds."""

    @app.post("/bench/echo")
    async def echo(body: dict[str, Any]) -> dict[str, Any]:
        return body

    @app.post("/bench/cpu")
    async def cpu() -> dict[str, float]:
        return {"seconds": time.process_time()}


def main() -> None:
    """Serve on a free port; print URL and key as one JSON line when listening."""
    settings = replace(Settings.from_environment({}), home=Path(sys.argv[1]))
    if len(sys.argv) > 2:
        settings = replace(settings, deadline_ms=int(sys.argv[2]))
    with bootstrap.open_keys(settings) as store:
        key = create_key(store, roles=["admin"], org="*", per_second=100_000)
    app = create_app(bootstrap.open_service(settings, bootstrap.demo_profile()))
    add_routes(app)
    # declared as TCP: asyncio sets TCP_NODELAY on no other, and each answer would wait 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    sys.stdout.write(json.dumps({"url": url, "key": key}) + "\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def running(home: Path, deadline_ms: int | None = None) -> Iterator[tuple[str, str]]:
    """``(url, key)`` of a server process; it ends with the block.

    Args:
        home: Its home.
        deadline_ms: How long a score may take, by default as in service.

    Raises:
        Unavailable: If the process does not come up.
    """
    command = [sys.executable, "-m", "riskgraph.bench.server", str(home)]
    command += [] if deadline_ms is None else [str(deadline_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise Unavailable(f"the server process ended with {process.wait()}")
            told = json.loads(line)
            yield told["url"], told["key"]
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
