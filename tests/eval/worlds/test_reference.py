"""The reference learners: frozen, plain, and unable to see an order's own label."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest

from riskgraph.core.catalog import Form, catalog
from riskgraph.core.table import OrderTable
from riskgraph.eval.metrics import auc
from riskgraph.eval.worlds import reference
from riskgraph.eval.worlds.reference import Relations, frozen


def relations_of(rng: np.random.Generator, orders: int, group: np.ndarray) -> Relations:
    kinds = {name: np.where(rng.random(orders) < 0.8, group, -1) for name in ("device", "card", "address")}
    kinds |= {name: np.full(orders, -1) for name in ("door", "phone")}
    account = np.arange(orders) // 2
    return Relations({"account": account, **kinds}, np.sort(rng.uniform(0, 1e7, orders)))


def test_code_rules_and_settings_are_as_they_were_frozen() -> None:
    # Whoever changes a learner must freeze it anew, and certify every world again.
    assert reference.changed() == []
    committed = json.loads(
        resources.files("riskgraph.eval.worlds.reference").joinpath("frozen.json").read_text()
    )
    assert committed["sha256"] == reference.digest()


def test_a_changed_threshold_changes_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = frozen.files()
    monkeypatch.setattr(frozen, "files", lambda: before | {"rules.csv": "0" * 64})
    assert frozen.changed() == ["rules.csv"]


def test_every_rule_names_a_component_and_a_value_of_the_catalogue() -> None:
    assert len({rule.name for rule in reference.rules()}) == len(reference.rules()) >= 30
    for rule in reference.rules():
        node = catalog()[rule.component[:4]]
        assert rule.points > 0
        if rule.test == "absent_as":
            assert rule.value in ("refused", "not_delivered", "not_applicable")
            continue
        assert rule.component in catalog().component_index
        if rule.test == "is":
            assert rule.value in (("false", "true") if node.form is Form.FLAG else node.words)
        else:
            assert rule.test in ("at_least", "at_most")
            float(rule.value)


def test_an_absent_node_trips_no_rule_about_its_value(small_table: OrderTable) -> None:
    empty = small_table.take(np.arange(3))
    empty.components[:] = np.nan
    empty.states[:] = 2
    assert not reference.trips(empty).any()


def test_points_add_up_over_the_rules_that_hold(small_table: OrderTable) -> None:
    held = reference.trips(small_table)
    first = [rule.points for rule, holds in zip(reference.rules(), held[0], strict=True) if holds]
    assert reference.points(small_table)[0] == sum(first)


def test_the_order_alone_leaves_out_the_cross_order_graph(small_table: OrderTable) -> None:
    graph = sum(len(node.components) for node in catalog() if node.family == "GRF")
    assert reference.order_features(small_table).shape == (len(small_table), 259 - graph)


def test_trees_learn_from_the_earlier_half_of_a_world() -> None:
    earlier = reference.settings().earlier(1000)
    assert earlier[:500].all()
    assert not earlier[500:].any()


def test_a_door_is_the_same_in_another_spelling() -> None:
    texts = np.array(["文三路1号12栋", "文三路1号附12栋", "文三路1号13栋", None], dtype=object)
    at = reference.doors(np.full(4, 30.2), np.full(4, 120.1), texts)
    assert at[0] == at[1] != at[2]
    assert at[3] == -1


def test_an_orders_own_label_never_enters_its_own_features() -> None:
    rng = np.random.default_rng(1)
    relations = relations_of(rng, 400, rng.integers(0, 90, 400))
    fraud = rng.random(400) < 0.2
    before = reference.relation_features(relations, fraud)
    for order in (0, 17, 399):
        other = fraud.copy()
        other[order] = not other[order]
        after = reference.relation_features(relations, other)
        np.testing.assert_array_equal(before[order], after[order])


def test_labels_dealt_out_by_lot_cannot_be_learned_from_relations() -> None:
    rng = np.random.default_rng(2)
    n = 6000
    # A crowd, large groups and small ones: sums over any of them must not give a label away.
    group = np.where(rng.random(n) < 0.3, rng.integers(0, 5, n), 10 + rng.integers(0, 900, n))
    fraud = rng.random(n) < 0.2
    features = reference.relation_features(relations_of(rng, n, group), fraud)
    learn = reference.settings().earlier(n)
    scores = reference.score(reference.fit(features[learn], fraud[learn]), features[~learn])
    assert abs(auc(scores, fraud[~learn]) - 0.5) < 0.06


def test_fraud_that_shares_devices_is_learned_from_relations_and_lost_when_they_are_shuffled() -> None:
    rng = np.random.default_rng(3)
    n = 4000
    fraud = rng.random(n) < 0.1
    group = np.where(fraud, rng.integers(0, 40, n), 100 + rng.integers(0, 1500, n))
    relations = relations_of(rng, n, group)
    learn = reference.settings().earlier(n)

    def held_out(linked: Relations) -> float:
        features = reference.relation_features(linked, fraud)
        return auc(
            reference.score(reference.fit(features[learn], fraud[learn]), features[~learn]), fraud[~learn]
        )

    assert held_out(relations) > 0.95
    assert held_out(relations.shuffled(5)) < 0.6


def test_the_same_orders_give_the_same_scores() -> None:
    rng = np.random.default_rng(4)
    features = rng.normal(size=(800, 12)).astype(np.float32)
    fraud = features[:, 0] + rng.normal(size=800) > 1.5
    once, again = (reference.score(reference.fit(features, fraud), features) for _ in range(2))
    np.testing.assert_array_equal(once, again)
