"""A small simulated world and what the chain makes of it, all through the command line."""

from __future__ import annotations

import gc
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.cli import riskgraph
from tests.support.once import folder_of_run, made_once

# make test-full asks for it: what a hundred examples do not find, five hundred may
# A deadline is an assertion about time, which a busy machine breaks.
settings.register_profile("default", deadline=None)
settings.register_profile("full", max_examples=500, deadline=None)
settings.load_profile("default")

# The smallest round numbers at which the fraud class fills more than one group of 50 persons.
ORDERS = 12_000
UNTIL = "2026-08-31"
TEST = ("--from", "2026-09-01", "--to", "2026-09-30")


def _make(folder: Path) -> None:
    def run(name: str, *arguments: object) -> None:
        ran = riskgraph(*arguments, "--json", home=folder / "home")
        assert ran.code == 0, ran.err
        (folder / f"{name}.json").write_bytes(ran.out)

    world, release = folder / "world", folder / "release"
    run("simulate", "simulate", "--config", "demo", "--orders", ORDERS, "--out", world)
    run("release", "sandbox", "release", "--world", world, "--until", UNTIL, "--out", release)
    run("backtest", "backtest", "--world", world, *TEST, "--out", folder / "report")


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``world``, ``release``, ``report``, ``home`` and the JSON that each command printed; read only."""
    pytest.importorskip("pyarrow", reason="the offline chain needs the extra lab")
    return made_once(tmp_path_factory, "command-chain", _make)


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,000 simulated orders: too few fraud persons for a release."""
    pytest.importorskip("pyarrow", reason="simulation needs the extra lab")

    def make(folder: Path) -> None:
        ran = riskgraph("simulate", "--orders", 3000, "--out", folder / "world", home=folder / "home")
        assert ran.code == 0, ran.err

    return made_once(tmp_path_factory, "tiny-world", make) / "world"


@pytest.fixture(scope="session")
def promotable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and its passed backtest; read only."""
    pytest.importorskip("pyarrow", reason="a backtest needs the extra lab")
    pytest.importorskip("matplotlib", reason="a backtest needs the extra lab")
    from tests.support.promoting import Case

    return made_once(tmp_path_factory, "promotable", lambda folder: Case(folder).make())


@pytest.fixture
def case(promotable: Path, tmp_path: Path) -> Any:
    """A copy of ``promotable``, of which nothing is promoted yet."""
    from tests.support.promoting import Case

    for part in promotable.iterdir():
        if part.is_dir():
            shutil.copytree(part, tmp_path / part.name)
    return Case(tmp_path)


SERVERS = {"neo4j", "neo4j_server", "own_neo4j"}
LEFT_OPEN = "ignore:unclosed <socket:ResourceWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A connection that breaks while the driver opens it leaves its socket to the collector."""
    for item in items:
        if _asks_a_server(item):
            item.add_marker(pytest.mark.filterwarnings(LEFT_OPEN))


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Such a socket is let go before a test that has nothing to do with it."""
    if _asks_a_server(item) and not (nextitem is not None and _asks_a_server(nextitem)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def _asks_a_server(item: pytest.Item) -> bool:
    return not SERVERS.isdisjoint(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def neo4j_server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A real Neo4j, one for all workers; skips, and says why, where none can be had."""
    pytest.importorskip("neo4j", reason="no Neo4j: its driver needs the extra neo4j")
    from tests.support.neo4j import open_server

    with open_server(folder_of_run(tmp_path_factory) / "neo4j") as server:
        yield server


@pytest.fixture
def neo4j(neo4j_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The server without any node, for this test alone; the schema of an earlier one may be there."""
    from tests.support.neo4j import emptied

    with emptied(neo4j_server, folder_of_run(tmp_path_factory) / "neo4j" / "database") as server:
        yield server


@pytest.fixture
def own_neo4j(tmp_path: Path) -> Any:
    """A server for one test, which may kill it and start it again on its folder."""
    pytest.importorskip("neo4j", reason="no Neo4j: its driver needs the extra neo4j")
    from tests.support.neo4j import own_server

    with own_server(tmp_path / "own-neo4j") as server:
        yield server
