"""The Neo4j of tests and development: only the jars that are listed, only with its password, no orphan."""

from __future__ import annotations

import hashlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("neo4j", reason="no Neo4j: its driver needs the extra neo4j")

from neo4j import GraphDatabase
from neo4j.exceptions import AuthError

from tests.support import neo4j_jars
from tests.support.neo4j import connect, emptied, open_server
from tests.support.neo4j_jars import ROOT, Refused, Unavailable, check_jars, java
from tests.support.neo4j_server import (
    Server,
    Wanted,
    alive,
    kill,
    main,
    of_folder,
    running,
    speaks_bolt,
    start,
    stop,
)
from tests.support.neo4j_shared import shared
from tests.support.until import until

WORKER = """
import sys
from pathlib import Path
from tests.support.neo4j_shared import shared
from tests.support.until import until

with shared(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def listed(tmp_path: Path) -> tuple[Path, Path]:
    place = tmp_path / "jars"
    place.mkdir()
    (place / "a.jar").write_bytes(b"a")
    (place / "b.jar").write_bytes(b"b")
    listing = tmp_path / "jars.sha256"
    rows = [f"{hashlib.sha256(name.encode()).hexdigest()}  {name}.jar" for name in "ab"]
    listing.write_text("\n".join(rows) + "\n")
    return place, listing


def test_the_listed_jars_are_taken(listed: tuple[Path, Path]) -> None:
    check_jars(*listed)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("b.jar", b"altered", "has another SHA-256"),
        ("c.jar", b"c", "is not on the list"),
        ("a.jar", None, "is missing"),
    ],
)
def test_a_jar_that_is_not_what_was_listed_is_refused_by_name(
    listed: tuple[Path, Path], name: str, content: bytes | None, what: str
) -> None:
    place, listing = listed
    if content is None:
        (place / name).unlink()
    else:
        (place / name).write_bytes(content)
    with pytest.raises(Refused, match=rf"{name} {what}"):
        check_jars(place, listing)


def test_a_wrong_password_is_refused(neo4j_server: Server) -> None:
    if neo4j_server.pid is None:
        pytest.skip("the given server may have no authentication")
    with (
        GraphDatabase.driver(neo4j_server.uri, auth=(neo4j_server.user, "guessed")) as driver,
        pytest.raises(AuthError),
    ):
        driver.verify_connectivity()


def test_the_password_of_a_server_of_our_own_is_for_its_owner_alone(neo4j_server: Server) -> None:
    if neo4j_server.pid is None:
        pytest.skip("the given server is not ours")
    folder = Path(neo4j_server.folder)
    assert (folder / "password").stat().st_mode & 0o777 == 0o600
    holding = [
        path for path in folder.glob("*") if path.is_file() and neo4j_server.password in path.read_text()
    ]
    assert holding == [folder / "password"]
    assert neo4j_server.password not in " ".join(
        Path(f"/proc/{neo4j_server.pid}/cmdline").read_text().split("\0")
    )


def test_a_test_finds_no_node_of_an_earlier_one(neo4j: Server, tmp_path: Path) -> None:
    with connect(neo4j) as driver:
        driver.execute_query("UNWIND range(1, 3000) AS n CREATE (:Left)-[:OVER]->(:Left)")
    with emptied(neo4j, tmp_path / "lock"), connect(neo4j) as driver:
        assert driver.execute_query("MATCH (n:Left) RETURN count(n) AS left").records[0]["left"] == 0


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start a process that uses the shared server of ``tmp_path/shared`` until it is told to end."""
    with ExitStack() as stack:

        def begin() -> subprocess.Popen[str]:
            command = [sys.executable, "-c", WORKER, str(tmp_path / "shared")]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            worker = stack.enter_context(subprocess.Popen(command, text=True, cwd=ROOT, **pipes))
            stack.callback(worker.kill)
            return worker

        yield begin


@pytest.mark.slow
def test_workers_share_a_server_that_ends_when_the_last_of_them_is_killed(
    neo4j_server: Server, tmp_path: Path, workers: Callable[[], subprocess.Popen[str]]
) -> None:
    if neo4j_server.pid is None:
        pytest.skip("no server of our own can be started where one is given")
    first, second = workers(), workers()
    assert first.stdout
    assert second.stdout
    assert int(first.stdout.readline()) == int(second.stdout.readline())
    server = of_folder(tmp_path / "shared" / "server")
    assert server is not None
    first.kill()
    first.wait()
    with connect(server) as driver:
        driver.execute_query("RETURN 1")
    second.kill()
    until(lambda: not alive(server), what="the server's end")
    until(lambda: not (tmp_path / "shared" / "server").exists(), what="its folder's end")


@pytest.mark.slow
def test_a_server_keeps_data_password_and_port_over_stop_and_kill_and_ends_with_its_thread(
    neo4j_server: Server, tmp_path: Path
) -> None:
    if neo4j_server.pid is None:
        pytest.skip("no server of our own can be started where one is given")
    first = start(tmp_path)
    with connect(first) as driver:
        driver.execute_query("CREATE (:Kept)")
    kill(first, signal.SIGKILL)
    until(lambda: not alive(first), what="the server's end")
    again = start(tmp_path)
    assert again.uri == first.uri
    with connect(again) as driver:
        assert driver.execute_query("MATCH (n:Kept) RETURN count(n) AS kept").records[0]["kept"] == 1
    assert stop(tmp_path)
    assert not stop(tmp_path)
    tied: list[Server] = []
    thread = threading.Thread(target=lambda: tied.append(start(tmp_path, Wanted(tied=True))))
    thread.start()
    thread.join()
    until(lambda: not alive(tied[0]), what="the server's end with its thread")


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match=f"port {port} of 127.0.0.1 is taken"):
            start(tmp_path, Wanted(port=port))


def test_a_port_that_takes_connections_but_speaks_no_bolt_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        threading.Thread(target=lambda: silent.accept()[0].close()).start()
        assert not speaks_bolt(silent.getsockname()[1])


def test_a_wrong_jar_is_neither_skipped_over_nor_left_to_docker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "riskgraph" / f"neo4j-{neo4j_jars.VERSION}"
    place.mkdir(parents=True)
    (place / "evil.jar").touch()
    monkeypatch.setenv("RISKGRAPH_CACHE", str(tmp_path))
    monkeypatch.delenv("RISKGRAPH_NEO4J_URI", raising=False)
    fake_java(tmp_path, monkeypatch, "17.0.1")
    assert main(["start", "--folder", str(tmp_path / "run")]) == 1
    assert "jar is missing" in capsys.readouterr().err
    assert main(["fetch"]) == 1


def fake_java(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    (folder / "bin").mkdir()
    fake = folder / "bin" / "java"
    fake.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(folder))


def test_a_java_that_neo4j_does_not_run_on_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path, monkeypatch, "25.0.1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(neo4j_jars, "INSTALLED", tmp_path / "none")
    with pytest.raises(Unavailable, match=r"needs Java 17 or 21; found: .*25\.0\.1"):
        java()


def test_docker_is_asked_for_loopback_only_and_never_told_the_password_on_its_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text(
        f'#!/bin/sh\n[ "$1" = run ] && echo "$@" > {tmp_path}/asked\n[ "$1" != run ] || exit 1\n'
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(neo4j_jars, "INSTALLED", tmp_path / "none")
    with pytest.raises(Unavailable, match="needs Java"):
        start(tmp_path / "server")
    asked = (tmp_path / "asked").read_text()
    port = (tmp_path / "server" / "port").read_text()
    assert f"-p 127.0.0.1:{port}:7687" in asked
    assert "neo4j:5.26-community" in asked
    assert (tmp_path / "server" / "password").read_text() not in asked


def test_a_given_server_that_does_not_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RISKGRAPH_NEO4J_URI", "bolt://127.0.0.1:1")
    with pytest.raises(Refused, match="no answer"), open_server(tmp_path):
        pass


def test_where_no_server_can_be_had_the_reason_is_told_and_found_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("RISKGRAPH_CACHE", str(tmp_path))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "told").write_text('{"Unavailable": "Maven (mvn) is not here"}')
    with pytest.raises(Unavailable, match="mvn"), shared(tmp_path / "run"):
        pass
    assert not (tmp_path / "run" / "server").exists()


def test_a_server_that_runs_is_used_as_it_is(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hidden\n")
    given = {"RISKGRAPH_NEO4J_URI": "neo4j://elsewhere:7687", "RISKGRAPH_NEO4J_PASSWORD_FILE": str(secret)}
    assert running(given) == Server("neo4j://elsewhere:7687", "neo4j", "hidden")
    assert running({}) is None


def test_status_says_that_none_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RISKGRAPH_NEO4J_URI", raising=False)
    assert main(["status", "--folder", str(tmp_path)]) == 1
    assert "no server" in capsys.readouterr().err


def test_the_folders_own_server_is_stopped_whatever_server_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = []
    monkeypatch.setattr("tests.support.neo4j_server.stop", lambda folder: stopped.append(folder) or True)
    monkeypatch.setenv("RISKGRAPH_NEO4J_URI", "neo4j://elsewhere:7687")
    assert main(["stop", "--folder", str(tmp_path)]) == 0
    assert stopped == [tmp_path.resolve()]
    assert "stopped" in capsys.readouterr().err
