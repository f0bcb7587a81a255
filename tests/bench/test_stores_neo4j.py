"""Figures beside a server are counted against the journal, and those of an outage told by its windows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("neo4j", reason="no Neo4j: its driver needs the extra neo4j")
pytest.importorskip("pyarrow", reason="worlds need the extra lab")

from riskgraph.bench import stores, stores_feed, stores_outage
from riskgraph.bench.stores_graph import Server
from riskgraph.bench.stores_ground import Ground
from riskgraph.bench.stores_outage import Outage, Run, Shot
from riskgraph.core.errors import CheckFailed, Unavailable
from riskgraph.stores import open_store
from riskgraph.stores.crash import synthetic_entry, synthetic_order, synthetic_secrets
from tests.bench.test_stores import TINY, quiet


@pytest.fixture
def given(neo4j: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of the tests, as a bench finds it."""
    monkeypatch.setenv("RISKGRAPH_NEO4J_URI", neo4j.uri)
    monkeypatch.setenv("RISKGRAPH_NEO4J_USER", neo4j.user)
    (tmp_path / "password").write_text(neo4j.password)
    monkeypatch.setenv("RISKGRAPH_NEO4J_PASSWORD_FILE", str(tmp_path / "password"))


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("part", ["backlog", "materialise", "neo4j-context"])
def test_each_figure_beside_a_server_is_measured_with_its_ask(part: str) -> None:
    names = stores.figures_of([part])
    figures = stores.run(names, quiet, sizes=TINY)
    assert {f.name for f in figures} == names
    assert all(f.value is not None and math.isfinite(f.value) for f in figures), figures
    assert all(f.note.startswith("ask: ") for f in figures)
    exact = {"duplicates": 0, "lost": 0, "roundtrip_equal": 1}
    assert all(f.value == exact[f.name] for f in figures if f.name in exact), figures


def test_a_server_is_found_by_the_environment() -> None:
    found = Server.from_environment({"RISKGRAPH_NEO4J_URI": "neo4j://10.0.0.1", "RISKGRAPH_NEO4J_USER": "u"})
    assert (found.address, found.user, found.password_file) == (("10.0.0.1", 7687), "u", None)
    with pytest.raises(Unavailable, match="make neo4j"):
        Server.from_environment({})


class Rows:
    """A graph that answers each statement with given rows."""

    def __init__(self, **rows: list[list[Any]]) -> None:
        self._rows = {getattr(stores_feed, f"_{name.upper()}"): found for name, found in rows.items()}

    def ask(self, query: str) -> list[list[Any]]:
        return self._rows[query]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two orders with their decisions."""
    store = open_store(f"sqlite:///{tmp_path / 'x.db'}", synthetic_secrets())
    for number in range(2):
        store.append(synthetic_entry(synthetic_order(f"o-{number}", number), f"d-{number}"))
    store.close()
    return tmp_path / "x.db"


def whole() -> dict[str, list[list[Any]]]:
    orders = [synthetic_order(f"o-{number}", number) for number in range(2)]
    return {
        "orders": [[order.key] for order in orders],
        "decisions": [["d-0"], ["d-1"]],
        "outcomes": [],
        "links": [[order.key, digest.hex()] for order in orders for _, digest in order.entities.items()],
        "shown": [],
    }


def test_a_graph_that_holds_the_journal_once_lacks_nothing_and_has_nothing_twice(journal: Path) -> None:
    doubled, lost = stores_feed.compared(Rows(**whole()), journal)  # type: ignore[arg-type]
    assert (doubled.total(), lost.total()) == (0, 0)


@pytest.mark.parametrize("kind", ["orders", "decisions", "links"])
def test_what_is_there_twice_or_not_at_all_is_counted(journal: Path, kind: str) -> None:
    rows = whole()
    rows[kind] = [rows[kind][0], *rows[kind][:-1]]
    doubled, lost = stores_feed.compared(Rows(**rows), journal)  # type: ignore[arg-type]
    assert +doubled == {kind: 1}
    assert +lost == {kind: 1}


def test_behavior_nodes_that_are_there_twice_are_counted(journal: Path) -> None:
    rows = whole() | {"shown": [[whole()["orders"][0][0], 140, 137]]}
    doubled, _ = stores_feed.compared(Rows(**rows), journal)  # type: ignore[arg-type]
    assert +doubled == {"behavior nodes": 3}


def shots(since: float, until: float, ms: float, context: str = "local", wrong: str = "") -> list[Shot]:
    count = round((until - since) * 10)
    return [Shot(since + number / 10, ms, context, wrong) for number in range(count)]


def seen() -> Run:
    """Ten seconds of 4 ms, then a fault whose breaker opens after a second and closes three after its end."""
    run = Run(shots(0, 10, 4.0, "neo4j"), [Outage("down", 10.0, 11.0, 20.0, 23.0)])
    run.shots += shots(10, 11, 54.0) + shots(11, 20, 6.0) + shots(20, 30, 4.0, "neo4j")
    return run


def outage_figures(run: Run) -> dict[str, float | None]:
    return {f.name: f.value for f in stores_outage.figures(run, Ground(Path(), quiet, TINY), 0.0)}


def test_an_outage_is_told_in_its_windows() -> None:
    assert outage_figures(seen()) == pytest.approx(
        {
            "outage_failed": 0,
            "outage_p99_ratio": 1.5,
            "outage_added_ms": 50,
            "breaker_open_ms": 1_000,
            "breaker_close_s": 3,
        }
    )


def test_the_worst_fault_is_told_and_every_order_that_got_no_score_counts() -> None:
    run = seen()
    run.outages.append(Outage("slow", 30.0, 30.5, 40.0, 48.0))
    run.shots += shots(30.5, 40, 12.0) + shots(40, 41, 4.0, "none", "StorageUnavailable")
    found = outage_figures(run)
    assert (found["outage_p99_ratio"], found["breaker_close_s"], found["outage_failed"]) == (3, 8, 10)


def test_a_window_without_orders_is_no_figure() -> None:
    run = seen()
    run.shots = shots(0, 10, 4.0)
    with pytest.raises(CheckFailed, match="no order was decided"):
        outage_figures(run)
