"""Figures beside a server are counted against the journal, and those of an outage told by its windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("neo4j", reason="no Neo4j: its driver needs the extra neo4j")
pytest.importorskip("pyarrow", reason="worlds need the extra lab")

from neo4j import Driver

from riskgraph import bootstrap
from riskgraph.bench import stores, stores_feed, stores_outage
from riskgraph.bench.stores_graph import Graph, Server, graph_of
from riskgraph.bench.stores_ground import Ground
from riskgraph.bench.stores_outage import Outage, Run, Shot
from riskgraph.core.errors import CheckFailed, Conflict, Invalid, Unavailable
from riskgraph.core.order import Order
from riskgraph.core.outcome import Outcome
from riskgraph.settings import MAX_DAYS, Settings
from riskgraph.stores import open_store
from riskgraph.stores.crash import synthetic_order, synthetic_secrets
from tests.bench.test_stores import TINY, quiet
from tests.stores.model import decided
from tests.support.neo4j import MARK, connect, open_server
from tests.support.neo4j_jars import Refused
from tests.support.neo4j_server import running


@pytest.fixture
def given(neo4j: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of the tests, as a bench finds it."""
    monkeypatch.setenv("RISKGRAPH_NEO4J_URI", neo4j.uri)
    monkeypatch.setenv("RISKGRAPH_NEO4J_USER", neo4j.user)
    (tmp_path / "password").write_text(neo4j.password)
    monkeypatch.setenv("RISKGRAPH_NEO4J_PASSWORD_FILE", str(tmp_path / "password"))


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize(
    "part",
    ["backlog", "materialise", "neo4j-context", pytest.param("outage", marks=pytest.mark.slow)],
)
def test_each_figure_beside_a_server_is_measured_with_its_ask(part: str) -> None:
    names = stores.figures_of([part])
    figures = stores.run(names, quiet, sizes=TINY)
    assert {f.name for f in figures} == names
    assert all(f.value is not None and math.isfinite(f.value) for f in figures), figures
    assert all(f.note.startswith("ask: ") for f in figures)
    exact = {"duplicates": 0, "lost": 0, "roundtrip_equal": 1, "outage_failed": 0}
    assert all(f.value == exact[f.name] for f in figures if f.name in exact), figures


def test_a_server_is_found_by_the_environment() -> None:
    found = Server.from_environment({"RISKGRAPH_NEO4J_URI": "neo4j://10.0.0.1", "RISKGRAPH_NEO4J_USER": "u"})
    assert (found.address, found.user, found.password_file) == (("10.0.0.1", 7687), "u", None)
    with pytest.raises(Unavailable, match="RISKGRAPH_NEO4J_URI names no Neo4j: start one with make neo4j"):
        Server.from_environment({})


@pytest.mark.parametrize(("user", "expected"), [({}, "neo4j"), ({"RISKGRAPH_NEO4J_USER": "u"}, "u")])
def test_the_user_of_a_password_is_the_same_for_benches_and_tests(
    tmp_path: Path, user: dict[str, str], expected: str
) -> None:
    (tmp_path / "password").write_text("hidden\n")
    path = str(tmp_path / "password")
    given = {"RISKGRAPH_NEO4J_URI": "neo4j://a", "RISKGRAPH_NEO4J_PASSWORD_FILE": path, **user}
    there = running(given)
    assert there is not None
    assert Server.from_environment(given).user == there.user == expected


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[Driver]:
    """Drivers that were closed."""
    drivers: list[Driver] = []
    close = Driver.close
    monkeypatch.setattr(Driver, "close", lambda driver: (drivers.append(driver), close(driver)))
    return drivers


@pytest.fixture
def theirs(neo4j: Any) -> Iterator[Callable[[], int]]:
    """How many nodes are left of the one that somebody else has in the database."""
    marked = "MATCH (n:RiskgraphTest|RiskgraphBench) DELETE n RETURN count(n) AS marks"
    with connect(neo4j) as driver:
        marks = driver.execute_query(marked).records[0]["marks"]
        driver.execute_query("CREATE (:Theirs)-[:OWN]->(:Theirs)")
        yield lambda: driver.execute_query("MATCH (n:Theirs) RETURN count(n) AS left").records[0]["left"]
        driver.execute_query("MATCH (n:Theirs) DETACH DELETE n")
        if marks:
            driver.execute_query(MARK)


@pytest.mark.usefixtures("given")
def test_a_bench_refuses_a_database_of_somebody_else_and_leaves_it_as_it_is(
    theirs: Callable[[], int], closed: list[Driver]
) -> None:
    with pytest.raises(Conflict, match="holds data"), graph_of(Server.from_environment()):
        pass
    assert theirs() == 2
    assert len(closed) == 1


@pytest.mark.usefixtures("given")
def test_tests_refuse_a_database_of_somebody_else_and_leave_it_as_it_is(
    theirs: Callable[[], int], tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="holds data"), open_server(tmp_path):
        pass
    assert theirs() == 2


@pytest.mark.usefixtures("given")
def test_a_bench_takes_a_database_that_a_bench_before_it_has_left(
    theirs: Callable[[], int], neo4j: Any
) -> None:
    with connect(neo4j) as driver:
        driver.execute_query("CREATE (:RiskgraphBench)")
    with graph_of(Server.from_environment()) as graph:
        assert theirs() == 0
        assert graph.ask("MATCH (n) RETURN labels(n)") == [[["RiskgraphBench"]]]


def test_a_bench_whose_server_does_not_answer_leaves_no_driver_open(closed: list[Driver]) -> None:
    with pytest.raises(Unavailable, match="does not answer: ServiceUnavailable; .* make neo4j"):
        Graph(Server("bolt://127.0.0.1:1"))
    assert len(closed) == 1


def test_a_bench_is_told_which_of_user_and_password_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="RISKGRAPH_NEO4J_PASSWORD_FILE is missing"):
        Graph(Server("bolt://127.0.0.1:1", "neo4j"))


def test_no_order_is_taken_out_for_its_age_while_it_is_measured(tmp_path: Path) -> None:
    settings = Server("bolt://127.0.0.1").settings(Settings(home=tmp_path), tmp_path / "j.db", "flagged")
    assert bootstrap.neo4j_options(settings).days == MAX_DAYS


class Rows:
    """A graph that answers each statement with given rows."""

    def __init__(self, **rows: list[list[Any]]) -> None:
        self._rows = {getattr(stores_feed, f"_{name.upper()}"): found for name, found in rows.items()}

    def ask(self, query: str) -> list[list[Any]]:
        return self._rows[query]


FLAGGED = "o-1"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Two orders with their decisions, of which one is held for review, and what became of both."""
    store = open_store(f"sqlite:///{tmp_path / 'x.db'}", synthetic_secrets())
    for number, order in enumerate(two_orders()):
        store.append(decided(order, f"d-{number}", flagged=order.order_id == FLAGGED))
        store.append_outcomes([Outcome("x", order.key, "paid", order.placed_at, order.placed_at)])
    store.close()
    return tmp_path / "x.db"


def two_orders() -> list[Order]:
    return [synthetic_order(f"o-{number}", number) for number in range(2)]


def whole() -> dict[str, list[list[Any]]]:
    orders = two_orders()
    return {
        "orders": [[order.key] for order in orders],
        "decisions": [["d-0"], ["d-1"]],
        "outcomes": [[f"{order.key}|x"] for order in orders],
        "links": [[order.key, digest.hex()] for order in orders for _, digest in order.entities.items()],
        "shown": [[order.key, 137, 137] for order in orders if order.order_id == FLAGGED],
    }


def test_a_graph_that_holds_the_journal_once_lacks_nothing_and_has_nothing_twice(journal: Path) -> None:
    doubled, lost = stores_feed.compared(Rows(**whole()), journal)  # type: ignore[arg-type]
    assert (doubled.total(), lost.total()) == (0, 0)


@pytest.mark.parametrize("kind", ["orders", "decisions", "outcomes", "links"])
def test_what_is_there_twice_or_not_at_all_is_counted(journal: Path, kind: str) -> None:
    rows = whole()
    rows[kind] = [rows[kind][0], *rows[kind][:-1]]
    doubled, lost = stores_feed.compared(Rows(**rows), journal)  # type: ignore[arg-type]
    assert +doubled == {kind: 1}
    assert +lost == {kind: 1}


@pytest.mark.parametrize(
    ("shown", "twice", "missing"), [([(140, 137)], 3, 0), ([(135, 134)], 1, 3), ([], 0, 137)]
)
def test_behavior_nodes_of_a_flagged_order_that_are_there_twice_or_not_at_all_are_counted(
    journal: Path, shown: list[tuple[int, int]], twice: int, missing: int
) -> None:
    key = whole()["shown"][0][0]
    rows = whole() | {"shown": [[key, *counts] for counts in shown]}
    doubled, lost = stores_feed.compared(Rows(**rows), journal)  # type: ignore[arg-type]
    assert (doubled.total(), lost.total()) == (twice, missing)
    assert (doubled["behavior nodes"], lost["behavior nodes"]) == (twice, missing)


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
