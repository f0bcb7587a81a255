"""A real Neo4j Community server on loopback, for development, tests and benches.

    python -m tests.support.neo4j_server start|stop|status [--folder DIR] [--port N]

The server is whatever can be had, tried in this order: one that runs already (``RISKGRAPH_NEO4J_URI``,
used as it is and never stopped), the Maven artifacts of ``deploy/neo4j`` on this machine's Java, Docker.
Its jars are licensed under the GPLv3: they stay in a cache outside of the tree, each held to its committed
SHA-256, and run as a process of their own behind Bolt.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

PARTS = Path(__file__).parents[2] / "deploy" / "neo4j"
VERSION = re.search(r"<neo4j>([\d.]+)</neo4j>", (PARTS / "pom.xml").read_text())[1]  # type: ignore[index]
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
JAVAS = ("17", "21")
START_S = 90.0
STOP_S = 30.0
USER = "neo4j"
OPENS = ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")
CONFIGURATION = """\
server.directories.data={folder}/data
server.directories.logs={folder}/logs
server.directories.run={folder}/run
server.directories.plugins={folder}/plugins
server.directories.import={folder}/import
server.bolt.listen_address=127.0.0.1:{port}
server.bolt.advertised_address=127.0.0.1:{port}
server.http.enabled={browser}
server.http.listen_address=127.0.0.1:{http}
server.https.enabled=false
server.memory.pagecache.size=128m
dbms.security.auth_enabled=true
dbms.usage_report.enabled=false
db.transaction.timeout=30s
"""


class Unavailable(Exception):
    """No server can be had here; the text says why and what would help."""


@dataclass(frozen=True)
class Server:
    """A server that answers. ``pid`` is None for one that was running already."""

    uri: str
    user: str
    password: str
    folder: str = ""
    pid: int | None = None
    container: str = ""

    def environment(self) -> dict[str, str]:
        """What a service or a bench reads to find it."""
        found = {"RISKGRAPH_NEO4J_URI": self.uri, "RISKGRAPH_NEO4J_USER": self.user}
        return found | ({"RISKGRAPH_NEO4J_PASSWORD_FILE": f"{self.folder}/password"} if self.folder else {})


def running(environment: Mapping[str, str] = os.environ) -> Server | None:
    """The server that ``RISKGRAPH_NEO4J_URI`` names, if it is set."""
    uri = environment.get("RISKGRAPH_NEO4J_URI")
    if not uri:
        return None
    path = environment.get("RISKGRAPH_NEO4J_PASSWORD_FILE")
    password = Path(path).read_text().strip() if path else ""
    return Server(uri, environment.get("RISKGRAPH_NEO4J_USER", USER if path else ""), password)


# Those that this process started, so that it takes note of their end.
_children: dict[int, subprocess.Popen[bytes]] = {}


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


# ---- jars ---------------------------------------------------------------------------------------
def cache() -> Path:
    base = os.environ.get("RISKGRAPH_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "riskgraph" / f"neo4j-{VERSION}"


def jars() -> Path:
    """The folder of the server's jars, fetched once and checked each time.

    Raises:
        Unavailable: Without Maven or network, or if a jar is not what it was.
    """
    place = cache()
    if not place.is_dir():
        if shutil.which("mvn") is None:
            raise Unavailable("Maven (mvn) is not here, and fetches the server's jars")
        place.parent.mkdir(parents=True, exist_ok=True)
        fetched = place.with_name(f"{place.name}.{os.getpid()}")
        say(f"fetching Neo4j {VERSION} (123 MB) into {place}")
        command = ["mvn", "-q", "-B", "-f", str(PARTS / "pom.xml"), COPY, "-DincludeScope=runtime"]
        done = subprocess.run(
            [*command, f"-DoutputDirectory={fetched}"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Unavailable(f"Maven could not fetch Neo4j {VERSION}: {(done.stdout + done.stderr)[-400:]}")
        check_jars(fetched)
        with suppress(OSError):  # another process was first
            fetched.rename(place)
        shutil.rmtree(fetched, ignore_errors=True)
    check_jars(place)
    return place


def check_jars(place: Path, listed: Path = PARTS / "jars.sha256") -> None:
    """Refuse a folder that holds anything but the listed jars, each with its SHA-256.

    Raises:
        Unavailable: With the name of the first jar that is wrong, missing or not on the list.
    """
    wanted = dict(reversed(line.split("  ")) for line in listed.read_text().splitlines())
    found = {path.name: path for path in place.iterdir()}
    for name in sorted(wanted.keys() | found.keys()):
        if name not in wanted or name not in found:
            what = "is not on the list" if name in found else "is missing"
            raise Unavailable(f"{place}/{name} {what} of deploy/neo4j/jars.sha256: delete the folder")
        with found[name].open("rb") as jar:
            if hashlib.file_digest(jar, "sha256").hexdigest() != wanted[name]:
                raise Unavailable(f"{place}/{name} has another SHA-256 than listed: delete the folder")


def java() -> str:
    """A Java that this line of Neo4j runs on.

    Raises:
        Unavailable: If there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = [str(Path(home) / "bin" / "java")] if home else []
    found += [path for path in [shutil.which("java")] if path]
    found += [str(path) for path in sorted(Path("/usr/lib/jvm").glob("*/bin/java"))]
    seen = []
    for path in found:
        with suppress(OSError):
            told = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
            version = re.search(r'version "(\d+)', told)
            if version and version[1] in JAVAS:
                return path
            seen.append(told.partition("\n")[0])
    raise Unavailable(f"Neo4j {VERSION} needs Java {' or '.join(JAVAS)}; found: {seen or 'none'}")


# ---- a server of our own ------------------------------------------------------------------------
def start(folder: Path, port: int = 0, *, browser: bool = False, owner: int | None = None) -> Server:
    """Start a server and wait until it answers.

    Args:
        folder: Where data, configuration, log, password (mode 0600) and pid go.
        port: Of Bolt; 0 takes a free one.
        browser: Serve Neo4j Browser too, on a free port of loopback.
        owner: Process with which the server ends, however that one ends.

    Raises:
        Unavailable: If no server can be had, or it does not answer in time.
    """
    known = _read(folder)
    if known is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    password = _password(folder)
    port = port or free_port()
    try:
        server = _from_jars(folder, port, password, browser, owner)
    except Unavailable as wrong:
        server = _from_docker(folder, port, password, str(wrong))
    (folder / "server.json").write_text(json.dumps(asdict(server)))
    try:
        wait(server, lambda: alive(server))
    except Unavailable as wrong:
        stop(folder)
        raise Unavailable(f"{wrong}; its log ends: {_tail(folder / 'server.log')}") from None
    return server


def _password(folder: Path) -> str:
    """Of the data that lie in the folder, or a new one: a server takes a password at its first start only."""
    path = folder / "password"
    if path.exists():
        return path.read_text()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password := secrets.token_urlsafe(18))
    return password


def _from_jars(folder: Path, port: int, password: str, browser: bool, owner: int | None) -> Server:
    command, place = java(), jars()
    (folder / "conf").mkdir(exist_ok=True)
    facts = {"folder": folder.resolve(), "port": port, "http": free_port(), "browser": str(browser).lower()}
    (folder / "conf" / "neo4j.conf").write_text(CONFIGURATION.format(**facts))
    environment = os.environ | {"NEO4J_HOME": str(folder), "NEO4J_CONF": str(folder / "conf")}
    if not (folder / "data").exists():
        admin = [command, "-cp", f"{place}/*", "org.neo4j.cli.AdminTool", "dbms", "set-initial-password"]
        subprocess.run([*admin, password], env=environment, check=True, capture_output=True)
    run = [
        command, "-Xms128m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError",
        *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENS),
        "--enable-native-access=ALL-UNNAMED", "-Dio.netty.tryReflectionSetAccessible=true",
        "-cp", f"{place}/*", "org.neo4j.server.CommunityEntryPoint",
        f"--home-dir={folder}", f"--config-dir={folder}/conf", "--console-mode",
    ]  # fmt: skip
    if owner is not None:
        run = [sys.executable, __file__, "with", str(owner), *run]
    with (folder / "server.log").open("wb") as log:
        child = subprocess.Popen(
            run, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    _children[child.pid] = child
    if browser:
        say(f"Neo4j Browser: http://127.0.0.1:{facts['http']}")
    return Server(f"neo4j://127.0.0.1:{port}", USER, password, str(folder), child.pid)


def _from_docker(folder: Path, port: int, password: str, why: str) -> Server:
    engine = shutil.which("docker")
    if engine is None or subprocess.run([engine, "info"], capture_output=True, check=False).returncode:
        raise Unavailable(f"{why}; and no Docker engine answers")
    named = f"riskgraph-neo4j-{port}"
    environment = os.environ | {"NEO4J_AUTH": f"{USER}/{password}"}
    command = [
        engine, "run", "--rm", "-d", "--name", named, "-p", f"127.0.0.1:{port}:7687", "-e", "NEO4J_AUTH",
        "-e", "NEO4J_server_memory_heap_max__size=512m", "-e", "NEO4J_server_memory_pagecache_size=128m",
        f"neo4j:{VERSION}-community",
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{why}; and Docker says: {done.stderr.strip()}")
    return Server(f"neo4j://127.0.0.1:{port}", USER, password, str(folder), None, named)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait(server: Server, lives: Callable[[], bool] = lambda: True) -> None:
    """Wait until the server answers a query.

    Raises:
        Unavailable: If it ended, or did not answer in time.
    """
    from neo4j import GraphDatabase
    from neo4j.exceptions import DriverError, Neo4jError

    until = time.monotonic() + START_S
    logging.getLogger("neo4j").setLevel(logging.CRITICAL)
    options = {"telemetry_disabled": True, "max_transaction_retry_time": 0.0}
    with GraphDatabase.driver(server.uri, auth=(server.user, server.password), **options) as driver:
        while True:
            try:
                driver.execute_query("RETURN 1", database_="neo4j")
                return
            except (DriverError, Neo4jError) as wrong:
                if not lives():
                    raise Unavailable("the server ended at its start") from wrong
                if time.monotonic() > until:
                    raise Unavailable(f"no answer from {server.uri} in {START_S:.0f} s: {wrong}") from wrong
                time.sleep(0.2)


def stop(folder: Path) -> bool:
    """Stop the server of a folder by its pid; False if none runs."""
    server = _read(folder)
    (folder / "server.json").unlink(missing_ok=True)
    if server is None:
        return False
    if server.container:
        subprocess.run(["docker", "stop", server.container], capture_output=True, check=False)
        return True
    kill(server, signal.SIGTERM)
    until = time.monotonic() + STOP_S
    while alive(server):
        if time.monotonic() > until:
            kill(server, signal.SIGKILL)
        time.sleep(0.1)
    return True


def kill(server: Server, how: signal.Signals) -> None:
    """Send a signal to the server and all that it started."""
    assert server.pid is not None
    with suppress(ProcessLookupError):
        os.killpg(server.pid, how)


def _read(folder: Path) -> Server | None:
    """The server of a folder, if it runs."""
    try:
        server = Server(**json.loads((folder / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return server if alive(server) else None


def alive(server: Server) -> bool:
    """Whether the server's process, or its container, is there."""
    if server.pid is None:
        return True
    child = _children.get(server.pid)
    if child is not None and child.poll() is not None:
        del _children[server.pid]
    try:
        os.killpg(server.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-600:].strip() if path.exists() else "(nothing)"


def _with(owner: int, command: list[str]) -> int:
    """Run a command and end it when its owner is gone, killed or not."""
    child = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    while child.poll() is None:
        try:
            os.kill(owner, 0)
        except ProcessLookupError:
            child.kill()
        with suppress(subprocess.TimeoutExpired):
            child.wait(0.5)
    return child.returncode


# ---- command line -------------------------------------------------------------------------------
def main(arguments: list[str]) -> int:
    if arguments[:1] == ["with"]:
        return _with(int(arguments[1]), arguments[2:])
    parser = argparse.ArgumentParser(prog="neo4j_server", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["start", "stop", "status"])
    parser.add_argument("--folder", type=Path, default=Path("build/neo4j"), help="data, log, password, pid")
    parser.add_argument("--port", type=int, default=7687, help="of Bolt, on loopback; 0 takes a free one")
    parser.add_argument("--browser", action="store_true", help="serve Neo4j Browser too, on loopback")
    asked = parser.parse_args(arguments)
    folder = asked.folder.resolve()
    if asked.what == "stop":
        say("stopped" if stop(folder) else f"no server of {folder} runs")
        return 0
    try:
        server = running() or (
            _read(folder) if asked.what == "status" else start(folder, asked.port, browser=asked.browser)
        )
    except Unavailable as wrong:
        say(f"no Neo4j: {wrong}")
        return 1
    if server is None:
        say(f"no server of {folder} runs")
        return 1
    for name, value in server.environment().items():
        sys.stdout.write(f"export {name}={value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
