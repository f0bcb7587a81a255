"""Training rows are seen by the baseline of their release, as orders are when the model serves."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from riskgraph.core.baseline import BASELINE_FILE, trajectory_components
from riskgraph.core.baseline_view import BaselineView
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import ModelUnavailable
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.models import load_model
from riskgraph.models.card import read_card
from riskgraph.models.compiled import write_model
from riskgraph.models.reference import (
    SeeingModel,
    read_reference,
    seen_by_reference,
    trained_by,
    write_reference,
)
from tests.explainers.helpers import random_subgraph
from tests.models.helpers import random_model
from tests.support.baselines import some_baseline

POOLED = some_baseline(1)
OWN = (some_baseline(2), some_baseline(3, lambda component, kind: 499 if component[:4] == "B034" else 500))


def orders(kind: str | None) -> list[OrderSubgraph]:
    fixed = {"B077": kind} if kind else {}
    return [random_subgraph(seed, 0.7, fixed=fixed) for seed in range(12)]


def source(subgraphs: list[OrderSubgraph]) -> SimpleNamespace:
    values = np.stack([order.components for order in subgraphs])
    count = len(values)
    return SimpleNamespace(
        columns=lambda part: values[:, part],
        availability=np.full(count, "pre_auth/front_end", dtype=object),
        label=np.zeros(count, dtype=np.int8),
        weight=np.ones(count),
        cluster=np.full(count, -1, dtype=np.int32),
    )


def test_each_releases_rows_are_seen_as_the_service_would_see_them_there():
    rows = [orders("phone"), orders(None)]
    seen = seen_by_reference([source(some) for some in rows], OWN, POOLED)
    for some, own, columns in zip(rows, OWN, seen, strict=True):
        view = BaselineView(own, POOLED)
        expected = np.stack([view.see(order).components for order in some])
        found = np.hstack([columns.columns(slice(first, first + 16)) for first in range(0, 259, 16)])
        np.testing.assert_array_equal(found, expected)
    # The second release has 499 persons there, so training knows nothing of it either.
    part = catalog().component_slices[catalog()["B034"].index]
    assert np.isnan(seen[1].columns(part)).all()
    assert not np.isnan(seen[0].columns(part)).all()


def test_a_card_vouches_for_the_reference_that_it_was_trained_by(tmp_path):
    model = random_model(tmp_path, seed=1)
    assert read_reference(tmp_path, model.card) is None
    card = write_model(tmp_path, model.tables, write_reference(tmp_path, POOLED, model.card))
    assert trained_by(card)
    assert load_model(tmp_path).card == card
    assert read_reference(tmp_path, card) == POOLED
    assert card.digest != model.card.digest
    (tmp_path / BASELINE_FILE).unlink()
    with pytest.raises(ModelUnavailable, match="missing"):
        read_reference(tmp_path, card)


def test_a_reference_beside_an_older_card_is_taken_and_changes_no_digest(tmp_path):
    card = random_model(tmp_path, seed=1).card
    (tmp_path / BASELINE_FILE).write_bytes(POOLED.to_bytes())
    assert read_reference(tmp_path, card) == POOLED
    assert not trained_by(read_card(tmp_path))
    assert read_card(tmp_path).digest == card.digest
    (tmp_path / BASELINE_FILE).write_text("{}")
    with pytest.raises(ModelUnavailable, match="lacks 'schema'"):
        read_reference(tmp_path, card)


def test_a_backtest_scores_orders_as_the_service_does(tmp_path):
    model, some = random_model(tmp_path, seed=1), [*orders("desktop"), *orders(None)]
    seeing = SeeingModel(model, BaselineView(OWN[1], POOLED))
    classes = np.full(len(some), "pre_auth/front_end", dtype=object)
    logits, _ = seeing.score_batch(np.stack([order.components for order in some]), classes)
    single = [seeing.score(order, "pre_auth/front_end").logit for order in some]
    np.testing.assert_allclose(logits, single, rtol=0, atol=1e-9)
    plain, _ = model.score_batch(np.stack([order.components for order in some]), classes)
    assert not np.allclose(logits, plain)
    assert len(trajectory_components()) == 115
