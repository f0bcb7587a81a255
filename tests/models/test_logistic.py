from dataclasses import replace

import numpy as np
import pytest

from riskgraph.models.card import AVAILABILITY_CLASSES
from riskgraph.models.compiled import table_logits
from riskgraph.models.logistic import RIDGES, fit_logistic
from riskgraph.models.rows import Rows, some_of, split
from tests.models.helpers import planted_rows

linear_model = pytest.importorskip("sklearn.linear_model")


@pytest.fixture(scope="module")
def parts() -> tuple[Rows, Rows]:
    return split(planted_rows(3000, 3)[0], 0)


def test_the_weights_are_those_of_scikit_learn_on_bins_one_hot(
    parts: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("riskgraph.models.logistic.RIDGES", (30.0,))
    fitting, held_out = parts
    fit = fit_logistic(fitting, held_out, epochs=2000)
    edges = fit.tables.edges
    bins = edges.apply(fitting.components)
    one_hot = np.concatenate([(bins == b) for b in range(1, 13)], axis=1).astype(float)
    # A free weight for each class: scaled so far up that the ridge does not hold it.
    classes = np.stack([fitting.availability == name for name in AVAILABILITY_CLASSES], axis=1) * 1e3
    reference = linear_model.LogisticRegression(C=1 / 30.0, fit_intercept=False, max_iter=5000, tol=1e-8)
    weight = fitting.weight / fitting.weight.mean()
    reference.fit(np.concatenate([one_hot, classes], axis=1), fitting.label, sample_weight=weight)
    expected = one_hot @ reference.coef_[0, : one_hot.shape[1]]
    got = table_logits(fit.tables.flat(), edges, fitting.components)
    np.testing.assert_allclose(got - got.mean(), expected - expected.mean(), rtol=0, atol=0.01)
    assert np.ptp(expected) > 1


def test_nothing_stands_in_the_table_of_an_absent_node_nor_of_a_pair(parts: tuple[Rows, Rows]) -> None:
    tables = fit_logistic(*parts).tables
    assert not tables.own[:, 0].any()
    assert not tables.pairs.any()
    assert tables.own.any()


def test_the_ridge_is_the_one_with_the_least_held_out_loss(parts: tuple[Rows, Rows]) -> None:
    fitting, held_out = parts
    told: list[int] = []
    fit = fit_logistic(fitting, held_out, progress=lambda step, done, total: told.append(done))
    assert fit.recipe["ridge"] == RIDGES[told[-2] - 1]
    # Where held-out labels contradict, the strongest ridge is best, and no weaker one is tried after it.
    wrong = replace(held_out, label=(1 - held_out.label).astype(np.int8))
    assert fit_logistic(fitting, wrong).recipe["ridge"] == RIDGES[0]


def test_some_rows_keep_the_shares_of_both_classes_and_the_fraud_rate() -> None:
    rows = planted_rows(4000, 5)[0]
    few = some_of(rows, 800, 1)
    assert len(few) == 800
    assert few.fraud.mean() == pytest.approx(rows.fraud.mean(), abs=1e-3)
    assert few.fraud_rate == pytest.approx(rows.fraud_rate)
    assert some_of(rows, 4000, 1) is rows
    again, other = (some_of(rows, 800, seed).components for seed in (1, 2))
    np.testing.assert_array_equal(again, few.components)
    assert not np.array_equal(other, few.components, equal_nan=True)
