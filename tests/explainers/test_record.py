"""The record that is committed with a decision."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import Verdict, Walk
from riskgraph.explainers.record import attribution_of, build_report
from riskgraph.explainers.shapley import ExactExplainer
from tests.explainers.helpers import (
    VERSIONS,
    RandomScorer,
    degraded_record,
    random_subgraph,
    some_order,
    some_record,
)


def test_the_attribution_is_stored_bit_for_bit() -> None:
    subgraph = random_subgraph(2)
    exact = ExactExplainer().explain(RandomScorer(2).score(subgraph, "pre_auth/front_end"))
    stored = attribution_of(some_record(2, subgraph=subgraph))
    assert stored is not None
    assert (stored.phi == exact.phi).all()
    assert (stored.pairs == exact.pairs).all()
    assert stored.own == pytest.approx(exact.own, abs=1e-12)


def test_a_decision_from_before_a_pair_was_adopted_has_zero_for_it() -> None:
    record = some_record(2)
    whole, before = attribution_of(record), attribution_of(replace(record, pairs=record.pairs[:-8]))
    assert whole is not None
    assert before is not None
    assert (before.pairs[:-1] == whole.pairs[:-1]).all()
    assert (len(before.pairs), before.pairs[-1]) == (len(whole.pairs), 0.0)


def test_the_subgraph_is_stored_packed() -> None:
    subgraph = random_subgraph(2)
    assert OrderSubgraph.unpack(some_record(2, subgraph=subgraph).subgraph) == subgraph


def test_entities_are_stored_as_short_pseudonyms_only() -> None:
    record = some_record(1)
    assert record.order["entities"]["card"] == b"cccccc".hex()
    assert ("c" * 7).encode().hex() not in json.dumps(dict(record.order))


def test_facts_are_plain_json() -> None:
    record = some_record(3)
    assert json.loads(json.dumps(dict(record.score)))["verdict"] == record.score["verdict"]
    assert json.loads(json.dumps(dict(record.order)))["order_id"] == "A-1001"


def test_a_degraded_decision_carries_no_attribution_and_no_reason() -> None:
    record = degraded_record()
    assert (record.phi, record.pairs, record.reasons, record.mitigating) == (b"", b"", (), ())
    assert record.score["degraded_cause"] == "timeout"
    assert "probability" not in record.score
    assert attribution_of(record) is None


def test_a_verdict_without_explanation_must_be_degraded() -> None:
    subgraph = random_subgraph(1)
    with pytest.raises(ValueError, match="must be degraded"):
        build_report(
            some_order(),
            subgraph,
            walk=Walk(Verdict.REJECT, "block", ("leaf:reject",)),
            score=RandomScorer(1).score(subgraph, "pre_auth/front_end"),
            attribution=None,
            decision_id="d",
            issued_at="2026-11-11T04:03:04Z",
            action="block",
            mode="enforce",
            versions=VERSIONS,
            provenance="simulated",
        )
