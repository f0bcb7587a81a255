"""The Neo4j of tests and development: only the jars that are listed, only with its password, no orphan."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("neo4j", reason="no Neo4j: its driver needs the extra neo4j")

from neo4j import GraphDatabase
from neo4j.exceptions import AuthError

from tests.support.neo4j import connect
from tests.support.neo4j_server import Server, Unavailable, alive, check_jars, main, running, start, stop


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
    with pytest.raises(Unavailable, match=rf"{name} {what}"):
        check_jars(place, listing)


def test_a_wrong_password_is_refused(neo4j_server: Server) -> None:
    if neo4j_server.pid is None:
        pytest.skip("the given server may have no authentication")
    with (
        GraphDatabase.driver(neo4j_server.uri, auth=(neo4j_server.user, "guessed")) as driver,
        pytest.raises(AuthError),
    ):
        driver.verify_connectivity()


@pytest.mark.slow
def test_a_server_starts_again_with_its_data_and_password_and_ends_with_its_owner(
    neo4j_server: Server, tmp_path: Path
) -> None:
    if neo4j_server.pid is None:
        pytest.skip("no server of our own can be started where one is given")
    first = start(tmp_path / "server")
    with connect(first) as driver:
        driver.execute_query("CREATE (:Kept)")
    assert (tmp_path / "server" / "password").stat().st_mode & 0o777 == 0o600
    assert stop(tmp_path / "server")
    assert not stop(tmp_path / "server")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
        again = start(tmp_path / "server", owner=owner.pid)
        with connect(again) as driver:
            found = driver.execute_query("MATCH (n:Kept) RETURN count(n) AS kept").records[0]["kept"]
        owner.send_signal(signal.SIGKILL)
    assert found == 1
    while alive(again):
        pass


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
