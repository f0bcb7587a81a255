"""A real Neo4j Community server on loopback, for development, tests and benches.

    python -m tests.support.neo4j_server start|stop|status|uri|fetch [--folder DIR] [--port N]

The server is whatever can be had, tried in this order: one that runs already (``RISKGRAPH_NEO4J_URI``,
used as it is and never stopped), the Maven artifacts of ``deploy/neo4j`` on this machine's Java, Docker.
Its jars are licensed under the GPLv3: they stay in a cache outside of the tree, each held to its committed
SHA-256, and run as a process of their own behind Bolt.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.neo4j_jars import JAVAS, ROOT, VERSION, Refused, Unavailable, jars, java, say

IMAGE = "neo4j:5.26-community"
START_S = 180.0  # 7 s on two idle cores, over a minute on busy ones
STOP_S = 60.0
BOLT_PORT = 7687
HANDSHAKE = bytes.fromhex("6060b017 00000405 00000004 00000000 00000000")  # Bolt 5.4, else 4.0
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
server.memory.pagecache.size={page_cache}
dbms.security.auth_enabled=true
dbms.security.auth_lock_time=0s
dbms.security.allow_csv_import_from_file_urls=false
dbms.usage_report.enabled=false
db.transaction.timeout=30s
db.tx_log.preallocate=false
"""


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
        """What a service reads to find it."""
        found = {"RISKGRAPH_STORE_URL": self.uri, "RISKGRAPH_NEO4J_USER": self.user}
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


# ---- a server of our own ------------------------------------------------------------------------
@dataclass(frozen=True)
class Wanted:
    """How a server of our own is to be.

    Attributes:
        port: Of Bolt; 0 takes that of the folder's last start, else a free one.
        browser: Serve Neo4j Browser too, on a free port of loopback.
        tied: It ends with the thread that starts it, however that ends (where there is ``setpriv``).
        heap: Largest heap of the JVM.
        page_cache: Size of the page cache.
    """

    port: int = 0
    browser: bool = False
    tied: bool = False
    heap: str = "512m"
    page_cache: str = "64m"


def start(folder: Path, wanted: Wanted = Wanted()) -> Server:
    """Start a server and wait until it answers; one of that folder that runs is left as it is.

    Args:
        folder: Where data, configuration, log, password (mode 0600) and pid go. Data, password and port are
            those of its last start, if there was one.
        wanted: How it is to be.

    Raises:
        Unavailable: If no server can be had.
        Refused: If the port is taken, or the server ends or does not answer in time.
    """
    folder = folder.resolve()
    known = of_folder(folder)
    if known is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    port = _port(folder, wanted.port)
    began = time.monotonic()
    try:
        server = _from_jars(folder, port, wanted)
    except Unavailable as wrong:
        server = _from_docker(folder, port, wanted, str(wrong))
    _write(folder, server)
    try:
        _wait(server, port)
    except Refused as wrong:
        stop(folder)
        raise Refused(f"{wrong}; its log ends: {_tail(folder / 'server.log')}") from None
    say(f"{server.uri} answers after {time.monotonic() - began:.1f} s")
    return server


def _port(folder: Path, wanted: int) -> int:
    kept = folder / "port"
    port = wanted or (int(kept.read_text()) if kept.exists() else free_port())
    if not is_free(port):
        raise Refused(f"port {port} of 127.0.0.1 is taken: name another")
    kept.write_text(str(port))
    return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # as the server does: a port whose connections are just closed can be taken again
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _password(folder: Path) -> str:
    """Of the data that lie in the folder, or a new one: a server takes a password at its first start only."""
    path = folder / "password"
    if path.exists():
        return path.read_text()
    password = secrets.token_urlsafe(18)
    _private(path, password)
    return password


def _set_first_password(folder: Path, password: str) -> None:
    """Write what ``dbms set-initial-password`` writes: that takes 4 s and a password on a command line."""
    salt = secrets.token_bytes(32)
    digest = hashlib.sha256(salt + password.encode()).digest()
    for _ in range(1023):
        digest = hashlib.sha256(digest).digest()
    (folder / "data" / "dbms").mkdir(parents=True)
    _private(folder / "data" / "dbms" / "auth.ini", f"{USER}:SHA-256,{digest.hex()},{salt.hex()},1024:\n")


def _from_jars(folder: Path, port: int, wanted: Wanted) -> Server:
    command, place = java(), jars()
    (folder / "conf").mkdir(exist_ok=True)
    facts = {"folder": folder, "port": port, "http": free_port(), "browser": str(wanted.browser).lower()}
    text = CONFIGURATION.format(page_cache=wanted.page_cache, **facts)
    (folder / "conf" / "neo4j.conf").write_text(text)
    password = _password(folder)
    if not (folder / "data").exists():
        _set_first_password(folder, password)
    tie = [setpriv, "--pdeathsig", "KILL"] if wanted.tied and (setpriv := shutil.which("setpriv")) else []
    run = [
        *tie, command, "-Xms128m", f"-Xmx{wanted.heap}", "-XX:+ExitOnOutOfMemoryError",
        *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENS),
        "--enable-native-access=ALL-UNNAMED", "-Dio.netty.tryReflectionSetAccessible=true",
        "-cp", f"{place}/*", "org.neo4j.server.CommunityEntryPoint",
        f"--home-dir={folder}", f"--config-dir={folder}/conf", "--console-mode",
    ]  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        child = subprocess.Popen(
            run, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    _children[child.pid] = child
    if wanted.browser:
        say(f"Neo4j Browser: http://127.0.0.1:{facts['http']}")
    return Server(f"neo4j://127.0.0.1:{port}", USER, password, str(folder), child.pid)


def _from_docker(folder: Path, port: int, wanted: Wanted, why: str) -> Server:
    engine = shutil.which("docker")
    if engine is None or subprocess.run([engine, "info"], capture_output=True, check=False).returncode:
        raise Unavailable(f"{why}; and no Docker engine answers")
    say(f"{why}; taking Docker")
    (folder / "data").mkdir(exist_ok=True)
    password, named = _password(folder), f"riskgraph-neo4j-{port}"
    settings = {
        "server_memory_heap_max__size": wanted.heap,
        "server_memory_pagecache_size": wanted.page_cache,
        "server_bolt_advertised__address": f"127.0.0.1:{port}",
        "server_http_enabled": "false",
        "dbms_usage__report_enabled": "false",
        "db_transaction_timeout": "30s",
    }
    command = [
        engine, "run", "--rm", "-d", "--name", named, "-p", f"127.0.0.1:{port}:7687",
        "--user", f"{os.getuid()}:{os.getgid()}", "-v", f"{folder}/data:/data", "-e", "NEO4J_AUTH",
        *(part for name, value in settings.items() for part in ("-e", f"NEO4J_{name}={value}")), IMAGE,
    ]  # fmt: skip
    environment = os.environ | {"NEO4J_AUTH": f"{USER}/{password}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{why}; and Docker says: {done.stderr.strip()}")
    return Server(f"neo4j://127.0.0.1:{port}", USER, password, str(folder), None, named)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def speaks_bolt(port: int) -> bool:
    """Whether a Bolt handshake on that port of loopback is answered."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as peer:
        peer.sendall(HANDSHAKE)
        return len(peer.recv(4)) == 4
    return False


def answer(server: Server) -> None:
    """Log in and run one query.

    Raises:
        Refused: If that does not work.
    """
    from neo4j import GraphDatabase
    from neo4j.exceptions import DriverError, Neo4jError

    options = {"telemetry_disabled": True, "max_transaction_retry_time": 0.0, "connection_timeout": 10.0}
    auth = (server.user, server.password) if server.user else None
    try:
        with GraphDatabase.driver(server.uri, auth=auth, **options) as driver:
            driver.execute_query("RETURN 1", database_="neo4j")
    except (DriverError, Neo4jError, OSError) as wrong:
        raise Refused(f"no answer from {server.uri}: {wrong}") from wrong


def _wait(server: Server, port: int) -> None:
    until = time.monotonic() + START_S
    while True:
        last = "no handshake"
        if speaks_bolt(port):
            try:
                return answer(server)
            except Refused as wrong:
                last = str(wrong)
        if not alive(server):
            raise Refused("the server ended at its start")
        if time.monotonic() > until:
            raise Refused(f"the server did not answer in {START_S:.0f} s ({last})")
        time.sleep(0.1)


def stop(folder: Path) -> bool:
    """Stop the server of a folder by its pid; False if none runs."""
    folder = folder.resolve()
    server = of_folder(folder)
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
        time.sleep(0.05)
    return True


def kill(server: Server, how: signal.Signals) -> None:
    """Send a signal to the server's process, if it is still there."""
    assert server.pid is not None
    if alive(server):
        with suppress(ProcessLookupError):
            os.kill(server.pid, how)


def _write(folder: Path, server: Server) -> None:
    known = asdict(server)
    del known["password"]  # stands in a file that only its owner can read
    (folder / "server.json").write_text(json.dumps(known))


def of_folder(folder: Path) -> Server | None:
    """The server of a folder, if it runs."""
    try:
        known = json.loads((folder / "server.json").read_text())
    except (OSError, ValueError):
        return None
    server = Server(**known, password=(folder / "password").read_text())
    return server if alive(server) else None


def alive(server: Server) -> bool:
    """Whether the server's process, or its container, is there; of a given server nothing is known."""
    if server.container:
        return bool(_told("docker", "ps", "-q", "--filter", f"name=^{server.container}$"))
    if server.pid is None:
        return True
    if (child := _children.get(server.pid)) is not None:
        return child.poll() is None
    # A pid may have gone to another process since: ours has its folder on the command line.
    return f"--home-dir={server.folder}" in _command_line(server.pid)


def _command_line(pid: int) -> str:
    if Path("/proc/self").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        return ""
    return _told("ps", "-ww", "-o", "args=", "-p", str(pid))


def _told(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-600:].strip() if path.exists() else "(nothing)"


# ---- command line -------------------------------------------------------------------------------
def main(arguments: list[str]) -> int:
    asked = _parser().parse_args(arguments)
    try:
        return _run(asked)
    except (Unavailable, Refused) as wrong:
        say(f"no Neo4j: {wrong}")
        # without jars the tests still run, and skip what needs a server
        return 0 if asked.what == "fetch" and isinstance(wrong, Unavailable) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.neo4j_server",
        description=f"A Neo4j {VERSION} Community server on loopback, for development, tests, benches: the "
        f"one of RISKGRAPH_NEO4J_URI as it is, else Maven jars on Java {' or '.join(JAVAS)}, else Docker.",
    )
    parser.add_argument(
        "what",
        choices=["start", "stop", "status", "uri", "fetch"],
        help="start: prints the URI once it answers; stop: by pid; status: what a service needs to use it, "
        "for eval; uri; fetch: get and check the jars, so that a start needs no network",
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build" / "neo4j", help="data, log, password, pid"
    )
    parser.add_argument("--port", type=int, default=0, help="of Bolt; default that of the last start, else "
                        f"{BOLT_PORT}, or a free one where that is taken")  # fmt: skip
    parser.add_argument("--browser", action="store_true", help="serve Neo4j Browser too, on loopback")
    parser.add_argument("--heap", default=Wanted.heap, help="largest heap (%(default)s)")
    parser.add_argument("--page-cache", default=Wanted.page_cache, help="page cache (%(default)s)")
    return parser


def _run(asked: argparse.Namespace) -> int:
    given, folder = running(), asked.folder.resolve()
    if asked.what == "stop":
        # A given server is not ours to stop; the folder's own is, whatever is given.
        say("stopped" if stop(folder) else f"no server of {folder} runs")
        return 0
    if asked.what == "fetch":
        if given is None:
            java(), jars()
        return 0
    server = given or (_start(asked, folder) if asked.what == "start" else of_folder(folder))
    if server is None:
        say(f"no server of {folder} runs")
        return 1
    if given is not None:
        answer(given)
    if asked.what == "status":
        for name, value in server.environment().items():
            sys.stdout.write(f"export {name}={value}\n")
    else:
        sys.stdout.write(f"{server.uri}\n")
    return 0


def _start(asked: argparse.Namespace, folder: Path) -> Server:
    port = asked.port
    if not port and not (folder / "port").exists() and is_free(BOLT_PORT):
        port = BOLT_PORT
    server = start(folder, Wanted(port, asked.browser, False, asked.heap, asked.page_cache))
    say(f"user {server.user}, password in {folder}/password")
    return server


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
