"""Whatever breaks while the feed writes, what was recorded is in the graph exactly once afterwards."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from riskgraph.bench.fault_proxy import FaultProxy, Mode
from riskgraph.stores.neo4j import connect, feed
from tests.stores.builders import NOW, digest
from tests.stores.machine import examples
from tests.stores.model import GraphModel, JournalModel, decided, pooled_order, pooled_outcome
from tests.stores.neo4j.fed import Fed, Graph
from tests.stores.neo4j.test_machine import CLEAR
from tests.stores.neo4j.view import check_graph
from tests.stores.neo4j.writing_child import KINDS, open_store, order_of
from tests.support.neo4j import again
from tests.support.neo4j_server import Server, alive, kill, of_folder
from tests.support.until import until

FAULTS = st.tuples(
    st.sampled_from([Mode(fault) for fault in ("cut", "reset", "refuse", "half_open")]),
    st.integers(0, 2_000) | st.integers(0, 200_000),
    st.sampled_from(("answers", "requests")),
)
FIRST, MORE = 5, 14
# Of a busy machine: a server that has just started plans and compiles for a minute there.
PATIENCE_S = 240.0


@contextmanager
def behind(server: Server) -> Iterator[tuple[FaultProxy, Server]]:
    where = urlsplit(server.uri)
    with FaultProxy(where.hostname, where.port) as proxy:
        yield proxy, replace(server, uri=f"bolt://127.0.0.1:{proxy.port}")


class Recorded:
    """A journal behind a proxy with what the model says of it; its feed has written a part."""

    def __init__(self, fed: Fed) -> None:
        self.fed, self.journal, self.graph = fed, JournalModel(), GraphModel()
        for number in range(FIRST):
            self.record(number)
        fed.drain()
        self.graph.feed(self.journal)
        account = digest("account", "1")
        fed.store.subjects.erase((account,), (), NOW)
        self.journal.erase((account,), ())
        for number in range(FIRST, MORE):
            self.record(number)

    def record(self, number: int) -> None:
        order = pooled_order(number)
        entry = decided(order, f"d{number}", flagged=number % 3 == 0)
        # Every other outcome comes before its order.
        early = pooled_outcome(pooled_order(number + number % 2), 0, "confirmed_fraud", None)
        self.fed.store.append(entry)
        self.journal.decide(entry)
        self.fed.store.append_outcomes([early])
        self.journal.report(early)

    def written(self) -> bool:
        status, end = self.fed.feed.status, self.fed.store.events()[-1]["seq"]
        return min(status.packed, status.nodes) >= end


@given(faults=st.lists(FAULTS, min_size=1, max_size=4))
@example([(Mode("cut"), 0, "answers")])
@example([(Mode("half_open"), 3_000, "answers"), (Mode("reset"), 1_000, "requests")])
@settings(examples(5, 60), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_breaks_after_any_number_of_bytes_costs_nothing(neo4j, monkeypatch, faults):
    monkeypatch.setattr(feed, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(feed, "LONGEST_PAUSE_S", 0.1)
    # Short, so that both are tried: the driver's own retries, and those of the feed.
    monkeypatch.setitem(connect._WRITER, "max_transaction_retry_time", 0.3)
    with closing(Graph(neo4j)) as graph, behind(neo4j) as (proxy, far), TemporaryDirectory() as folder:
        graph.ask(CLEAR)
        with closing(Fed(far, Path(folder) / "store.db")) as fed:
            recorded = Recorded(fed)
            running = fed.connection.submit(fed.feed.run())
            for mode, after, side in faults:
                proxy.set_later(mode, after, side)
                until(lambda: proxy.struck or recorded.written())
                if mode.fault == "half_open":
                    # As a firewall does that has forgotten the connection.
                    proxy.set(Mode("reset"))
                proxy.set(Mode())
            until(recorded.written, PATIENCE_S)
            fed.connection.soon(fed.feed.stop)
            running.result(PATIENCE_S)
        recorded.graph.feed(recorded.journal)
        check_graph(graph, recorded.graph)


# ---- processes that are killed ------------------------------------------------------------------
def one_kill(server: Server, path: Path, number: int, chance: random.Random) -> set[str]:
    """What a process said was committed before it was killed, while its feed wrote."""
    command = [sys.executable, "-m", "tests.stores.neo4j.writing_child", str(path), str(number)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | _environment(server, path)
    )
    assert child.stdout is not None
    promised, fed, last = set(), 0, chance.randint(1, 60)
    try:
        for line in child.stdout:
            what, name = line.split()
            promised |= {name} if what == "recorded" else set()
            fed += what == "fed"
            if fed and len(promised) + fed >= last:
                break
        else:
            raise AssertionError(f"the writing process ended by itself with {child.wait()}")
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    return promised


def _environment(server: Server, path: Path) -> dict[str, str]:
    secret = path.with_name("password")
    secret.write_text(server.password)
    return {"NEO4J_URI": server.uri, "NEO4J_USER": server.user, "NEO4J_PASSWORD": server.password}


def check_killed(server: Server, path: Path, promised: set[str]) -> None:
    """After a start all that the journal holds is in the graph once, and it holds what was promised."""
    with closing(open_store(server, path)) as store:
        journal, expected = model_of(store), GraphModel()
        last = store.journal().last()
        until(lambda: min(store.feed.status.packed, store.feed.status.nodes) >= last, PATIENCE_S)
        assert store.feed.status.notice == ""
    assert promised <= set(journal.decisions)
    expected.feed(journal)
    with closing(Graph(server)) as graph:
        check_graph(graph, expected)
        assert graph.one("MATCH (f:Feed) RETURN count(f)") == 1


def model_of(store) -> JournalModel:
    """From what a journal says was recorded, and in which order; the facts follow from the numbers."""
    journal = JournalModel()
    for event in store.events(limit=100_000):
        told = event["payload"]
        order = order_of(told["order_key"])
        if event["type"] == "decision.recorded":
            flagged = told["verdict"] != "accept"
            journal.decide(decided(order, event["decision_id"], flagged=flagged))
        else:
            journal.report(pooled_outcome(order, KINDS.index(told["kind"]), told["kind"], None))
    return journal


@pytest.mark.parametrize("rounds", [3, pytest.param(25, marks=pytest.mark.slow)])
def test_a_process_that_is_killed_while_its_feed_writes_repeats_and_loses_nothing(neo4j, tmp_path, rounds):
    chance, promised = random.Random(rounds), set()
    for number in range(rounds):
        promised |= one_kill(neo4j, tmp_path / "store.db", number, chance)
        if rounds > 3 or number == rounds - 1:
            check_killed(neo4j, tmp_path / "store.db", promised)
    assert len(promised) >= rounds


@pytest.mark.slow
def test_a_server_that_is_killed_while_it_is_written_to_loses_nothing(own_neo4j, tmp_path):
    with closing(open_store(own_neo4j, tmp_path / "store.db")) as store:
        for number in range(4):
            packed = store.feed.status.packed
            for n in range(60):
                entry = decided(pooled_order(60 * number + n), f"d{number}-{n}", flagged=n % 2 == 0)
                store.append(entry)
            # The first orders are there, and behavior nodes are being made.
            until(lambda packed=packed: store.feed.status.packed > packed, PATIENCE_S)
            kill(server_of(own_neo4j), signal.SIGKILL)
            until(lambda: not alive(server_of(own_neo4j)), PATIENCE_S)
            store.append_outcomes([pooled_outcome(pooled_order(60 * number), 0, KINDS[0], None)])
            again(own_neo4j)
    check_killed(own_neo4j, tmp_path / "store.db", set())


def server_of(first: Server) -> Server:
    """The server that runs on the folder now: its process is another after each start."""
    return of_folder(Path(first.folder)) or first
