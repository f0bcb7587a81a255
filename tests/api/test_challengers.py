"""Challengers in shadow: kept for comparison, never on the way of an answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from starlette.testclient import TestClient

from riskgraph import bootstrap
from riskgraph.api.app import create_app
from riskgraph.core.baseline_view import BaselineView, Views
from riskgraph.core.errors import ModelUnavailable
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.governance.keys import create_key
from riskgraph.models import load_model
from riskgraph.ports import ShadowScore
from riskgraph.settings import Settings
from riskgraph.shadow import MAX_WAITING, Challengers
from tests.api.conftest import Shop, order
from tests.explainers.helpers import GameScorer, random_subgraph
from tests.models.helpers import random_model, random_tree_model
from tests.support.baselines import some_baseline
from tests.support.cli import riskgraph

TREE = bootstrap.load_tree(Settings())
CLASS = "pre_auth/front_end"


class Fails(GameScorer):
    """A challenger that cannot score."""

    def score(self, subgraph, availability):
        raise RuntimeError("no score")


class Kept:
    """A ledger that keeps rows in memory, or fails."""

    def __init__(self, fails: bool = False) -> None:
        self.rows: list[ShadowScore] = []
        self.fails = fails

    def append_shadow(self, rows):
        if self.fails:
            self.fails = False
            raise OSError("disk full")
        self.rows += rows


@pytest.fixture
def shadowed(tmp_path: Path):
    """A shop whose champion has terms, with trees as challenger; closed by the test."""
    random_model(tmp_path / "model", seed=3)
    challenger = random_tree_model(tmp_path / "challenger", seed=5)
    settings = replace(Settings(), home=tmp_path / "home", model=tmp_path / "model", deadline_ms=60_000)
    service = bootstrap.open_service(settings, bootstrap.demo_profile(), [tmp_path / "challenger"])
    with bootstrap.open_keys(settings) as store:
        keys = {"checkout": create_key(store, roles=["checkout"], org="m-17")}
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield Shop(client, service, keys, settings), challenger


def test_a_challenger_scores_what_was_answered_and_its_score_is_kept(shadowed):
    shop, challenger = shadowed
    answer = shop.decide(order()).json()
    assert answer["versions"]["model"] != challenger.card.name
    shop.service.close()
    with bootstrap.open_keys(shop.settings) as store:
        (row,) = store.shadow_scores(answer["decision_id"])
        record = store.read_record(answer["decision_id"]).report
        (compared,) = store.shadow_verdicts()
    score = challenger.score(OrderSubgraph.unpack(record.subgraph), answer["availability_class"])
    assert (row.model, row.model_sha256) == (challenger.card.name, challenger.card.digest)
    assert (row.score, row.error) == (score.probability, None)
    assert row.verdict == TREE.walk(score).verdict.value
    assert (compared["champion_verdict"], compared["verdict"]) == (answer["verdict"], row.verdict)
    assert compared["orders"] == 1
    shown = riskgraph("model", "challengers", "--json", home=shop.settings.home)
    assert shown.json() == [compared]


def test_a_challenger_that_fails_hurts_no_decision_and_its_failure_is_kept(shadowed):
    shop, _ = shadowed
    store = shop.service.line.store
    failing = Challengers([Fails()], TREE, store)
    shop.service.line = replace(shop.service.line, shadow=failing)
    answer = shop.decide(order()).json()
    assert not answer["degraded"]
    failing.close()
    (row,) = store.shadow_scores(answer["decision_id"])
    assert (row.score, row.verdict, row.error) == (None, None, "RuntimeError")


def test_one_challenger_that_fails_does_not_take_another_with_it():
    kept = Kept()
    both = Challengers([Fails(), GameScorer(1)], TREE, kept)
    both.submit("d-1", random_subgraph(1), CLASS, "m-17")
    both.close()
    assert [row.error for row in kept.rows] == ["RuntimeError", None]


def test_a_challenger_sees_each_order_by_the_baseline_of_its_own_merchant(tmp_path):
    random_model(tmp_path, seed=4)
    model, kept, reference, graph = load_model(tmp_path), Kept(), some_baseline(1), random_subgraph(1, 1.0)
    own = BaselineView(some_baseline(2), reference)
    views = Views(BaselineView(None, reference), {"m-17": own})
    one = Challengers([model], TREE, kept, [views])
    for merchant in ("m-17", "m-99"):
        one.submit(merchant, graph, CLASS, merchant)
    one.close()
    expected = [model.score(view.see(graph), CLASS).probability for view in (own, views.other)]
    assert [row.score for row in kept.rows] == expected
    assert expected[0] != expected[1]


def test_scores_that_cannot_be_kept_are_left_out_and_the_next_are_kept():
    kept = Kept(fails=True)
    one = Challengers([GameScorer(1)], TREE, kept)
    for name in ("d-1", "d-2"):
        one.submit(name, random_subgraph(1), CLASS, "m-17")
    one.close()
    assert [row.decision_id for row in kept.rows] == ["d-2"]


def test_orders_that_challengers_cannot_keep_up_with_are_left_out_counted_and_told(caplog):
    kept, subgraph = Kept(), random_subgraph(1)
    late = Challengers([GameScorer(1)], TREE, kept)
    late.close()
    for number in range(MAX_WAITING + 3):
        late.submit(str(number), subgraph, CLASS, "m-17")
    assert late.dropped == 3
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == ["1 orders were left out"]
    assert kept.rows == []


def test_the_end_of_a_service_waits_for_challengers_only_so_long(monkeypatch):
    monkeypatch.setattr("riskgraph.shadow.CLOSE_S", 0.05)
    started, stuck = Event(), Event()

    class Hangs(GameScorer):
        def score(self, subgraph, availability):
            started.set()
            stuck.wait(30)
            return super().score(subgraph, availability)

    kept, subgraph = Kept(), random_subgraph(1)
    slow = Challengers([Hangs(1)], TREE, kept)
    for number in range(MAX_WAITING + 1):
        slow.submit(str(number), subgraph, CLASS, "m-17")
        assert started.wait(5)
    slow.close()
    assert kept.rows == []
    stuck.set()
    slow._thread.join(0.2)
    # What it had at hand is kept; the rest is left out, quickly and counted.
    assert [row.decision_id for row in kept.rows] == ["0"]
    assert slow.dropped == MAX_WAITING


def test_a_store_without_challengers_says_so_by_an_empty_list(tmp_path):
    assert riskgraph("model", "challengers", "--json", home=tmp_path).json() == []
    with bootstrap.open_keys(Settings(home=tmp_path)) as store:
        assert store.shadow_scores("d-1") == []


def test_a_damaged_challenger_is_named_at_the_start(tmp_path):
    random_tree_model(tmp_path / "model", 1)
    (tmp_path / "model/trees.npz").write_bytes(b"")
    with pytest.raises(ModelUnavailable, match=r"trees\.npz"):
        bootstrap.open_service(Settings(home=tmp_path), bootstrap.demo_profile(), [tmp_path / "model"])
