"""Whatever the system or a file refuses is one line that names it, never a traceback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from riskgraph.commands.serve import listen
from riskgraph.core.errors import Unavailable
from tests.support.cli import riskgraph
from tests.support.process import Server

SERVE = ("serve", "--demo-merchant")
TREE: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "riskgraph/core/data/tree.json").read_text("utf-8")
)
REVIEW = {"lt": "reject", "verdict": "review", "action": "step_up"}


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A path below a file, where nobody can make anything."""
    (tmp_path / "file").write_text("mine")
    return tmp_path / "file" / "x"


@pytest.mark.parametrize("command", [SERVE, ("tree", "show")], ids=" ".join)
def test_a_tree_that_is_not_there_is_wrong_input(command, tmp_path):
    tree = tmp_path / "nope"
    ran = riskgraph(*command, home=tmp_path, environment={"RISKGRAPH_TREE": str(tree)})
    assert (ran.code, ran.err) == (2, f"error: the tree cannot be opened: {tree}\n")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "cannot be read"),
        ('"\udce4"', "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        (json.dumps(TREE | {"note": float("nan")}), "cannot be read"),
        ("7", "lacks 'version'"),
        (json.dumps(TREE | {"gates": None}), "gates"),
        (json.dumps(TREE | {"bands": ["accept"]}), "bands"),
        (json.dumps(TREE | {"bands": [*TREE["bands"][:2], {"verdict": "reject"}]}), "action"),
        (json.dumps(TREE | {"bands": [TREE["bands"][0], REVIEW | {"verdict": ["x"]}]}), "words only"),
    ],
)
def test_a_tree_that_is_none_stops_the_start_before_a_key_is_made(text, named, tmp_path):
    tree = tmp_path / "tree.json"
    tree.write_bytes(text.encode("utf-8", "surrogateescape"))
    home = tmp_path / "home"
    ran = riskgraph(*SERVE, "--port", 0, home=home, environment={"RISKGRAPH_TREE": str(tree)})
    assert ran.code == 2
    assert named in ran.error
    assert ran.err.strip() == ran.error
    assert riskgraph("keys", "list", "--json", home=home).json() == []


@pytest.mark.parametrize("command", [(*SERVE, "--port", "0"), ("keys", "list")], ids=" ".join)
def test_a_home_that_cannot_be_made_is_named(command, blocked):
    ran = riskgraph(*command, home=blocked)
    assert (ran.code, ran.err) == (1, f"error: {blocked}: Not a directory\n")


@pytest.mark.parametrize(
    "command", [("keys", "public"), ("simulate", "--orders", "300"), ("demo", "--orders", "16000")]
)
def test_a_file_or_folder_that_cannot_be_written_is_named(command, blocked, tmp_path):
    if command[0] != "keys":
        pytest.importorskip("pyarrow", reason="simulation needs the extra lab")
    ran = riskgraph(*command, "--out", blocked, home=tmp_path / "home")
    assert ran.code == 1
    assert str(blocked.parent) in ran.error
    assert not ran.out


@pytest.mark.parametrize("port", ["-1", "65536", "99999"])
def test_a_port_that_is_none_is_refused_wherever_it_comes_from(port, tmp_path):
    told = riskgraph(*SERVE, "--port", port, home=tmp_path / "home")
    assert told.code == 2
    assert "--port" in told.error
    read = riskgraph(*SERVE, home=tmp_path / "home", environment={"RISKGRAPH_PORT": port})
    assert read.code == 2
    assert "RISKGRAPH_PORT" in read.error
    assert not (tmp_path / "home").exists()


def test_a_taken_port_fails_before_the_first_key_is_made(tmp_path):
    home = tmp_path / "home"
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        ran = riskgraph(*SERVE, "--port", port, home=home)
    assert ran.code == 1
    assert str(port) in ran.error
    assert "Address already in use" in ran.error
    assert ran.err.strip() == ran.error
    with Server(home, tmp_path / "log", port=port) as server:
        assert len(server.first_keys()) == 1


def test_a_host_that_is_not_this_machine_is_refused():
    with pytest.raises(Unavailable, match="--host"):
        listen("192.0.2.1", 0)


def test_answers_do_not_wait_for_an_acknowledgement_of_the_shoppers_machine():
    """asyncio turns Nagle's algorithm off only on sockets that are declared as TCP."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_serve_gives_a_program_url_and_key_as_one_value(tmp_path):
    environment = {**os.environ, "RISKGRAPH_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "riskgraph", *SERVE, "--port", "0", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        process.terminate()
        assert process.stdout.read() == b""
    assert told["url"].startswith("http://127.0.0.1:")
    assert told["first_key"].startswith("rk_")
