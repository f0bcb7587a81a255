"""The real service in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEADLINE_S = 60.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(ready: Callable[[], bool], process: subprocess.Popen[bytes], what: str) -> None:
    """Ask again and again until it is so; fails when the process ends or the deadline passes."""
    end = time.monotonic() + DEADLINE_S
    while not ready():
        assert time.monotonic() < end, f"{what}: not within {DEADLINE_S:g} s"
        try:
            code = process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"{what}: the process ended with {code}")


@dataclass
class Reply:
    status: int
    body: bytes
    headers: dict[str, str]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """``riskgraph serve --demo-merchant`` on a home folder, with more settings in its environment."""

    home: Path
    log: Path
    port: int = field(default_factory=free_port)
    settings: Mapping[str, str] = field(default_factory=dict)

    def __enter__(self) -> Server:
        environment = {**os.environ, "RISKGRAPH_HOME": str(self.home), "RISKGRAPH_DEADLINE_MS": "60000"}
        environment |= self.settings
        command = [sys.executable, "-m", "riskgraph", "serve", "--demo-merchant", "--port", str(self.port)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            until(self.ready, self.process, "the service is ready")
        except AssertionError as failure:
            self.__exit__()
            raise AssertionError(f"{failure}\n{self.log.read_text('utf-8')}") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=DEADLINE_S)

    def ready(self) -> bool:
        try:
            return self.call("GET", "/readyz").status == 200
        except OSError:
            return False

    def first_keys(self) -> list[str]:
        """Keys that the process printed."""
        return re.findall(r"rk_[0-9a-f]{12}_[\w-]+", self.log.read_text("utf-8"))

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=body, method=method, headers=named
        )
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
                return Reply(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as refused:
            with refused:
                return Reply(refused.code, refused.read(), dict(refused.headers))
