import numpy as np
import pytest

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.models.binning import BinEdges, fit_edges
from riskgraph.models.compiled import Tables, table_logits
from riskgraph.models.layout import WIDTH, Layout
from riskgraph.models.rows import Rows

LAYOUT = Layout.plain(["hour", "amount", "colour"], [(0, 1), (1, 2)], words=[0, 0, 3])


def toy_rows(count: int, seed: int) -> Rows:
    """Fraud where hour and amount are both high, or both low, and a little where the colour is 2."""
    rng = np.random.default_rng(seed)
    x = np.stack([rng.random(count), rng.random(count), rng.integers(0, 3, count)], axis=1)
    high = x[:, :2] > 0.5
    logit = np.where(high[:, 0] == high[:, 1], 1.5, -2.5) + 1.0 * (x[:, 2] == 2)
    label = (rng.random(count) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    x[rng.random(count) < 0.1, 2] = np.nan
    return Rows(
        x.astype(np.float32), np.full(count, "pre_auth/no_front_end", dtype=object), label,
        np.ones(count), np.full(count, -1, dtype=np.int32),
    )  # fmt: skip


def test_the_catalogue_is_a_layout_and_the_default() -> None:
    layout = Layout.of_catalog()
    assert layout is Layout.of_catalog()
    assert layout.components == catalog().components
    assert layout.nodes == NODE_COUNT
    assert layout.ends.tolist() == [[p.a, p.b] for p in catalog().pairs]
    assert BinEdges.of([[]] * len(catalog().components)).layout is layout


def test_words_of_any_layout_get_a_bin_each_and_numbers_are_cut() -> None:
    rows = toy_rows(500, 1)
    edges = fit_edges(rows.components, rows.label, rows.weight, LAYOUT)
    assert edges.counts.tolist() == [12, 12, 3]
    assert edges.apply(np.array([[0.0, 1.0, 2.0]], dtype=np.float32)).tolist() == [[1, 12, 3]]


def test_tables_of_another_shape_than_their_layout_are_refused() -> None:
    edges = BinEdges(tuple([np.empty(0, np.float32)] * 3), LAYOUT)
    with pytest.raises(ValueError, match=r"expected \(2, 13, 13\)"):
        Tables(edges, np.zeros((3, WIDTH)), np.zeros((284, WIDTH, WIDTH)))


def test_a_network_of_another_layout_learns_its_pairs_and_equals_its_tables() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("torch_geometric")
    from riskgraph.models.fit import Recipe, fit_order2

    rows = toy_rows(3000, 1)
    edges = fit_edges(rows.components, rows.label, rows.weight, LAYOUT)
    fit = fit_order2(rows, toy_rows(1000, 2), seed=0, recipe=Recipe(epochs=10, rate=0.1), edges=edges)
    assert min(fit.losses) < 0.85 * fit.losses[0]
    strength = np.ptp(fit.tables.pairs, axis=(1, 2))
    assert strength[0] > 10 * strength[1]
    unseen = toy_rows(200, 3)
    bins = torch.from_numpy(fit.tables.edges.apply(unseen.components)).long()
    assert fit.network is not None
    with torch.no_grad():
        logits = fit.network(bins, torch.ones(200, dtype=torch.long)).numpy()
    compiled = table_logits(fit.tables.flat(), fit.tables.edges, unseen.components)
    compiled += fit.bias["pre_auth/no_front_end"]
    np.testing.assert_allclose(logits, compiled, rtol=0, atol=1e-6)


def test_a_layout_without_pairs_is_an_additive_model() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("torch_geometric")
    from riskgraph.models.fit import Recipe, fit_order2

    rows, alone = toy_rows(3000, 1), Layout.plain(LAYOUT.components, [], words=[0, 0, 3])
    edges = fit_edges(rows.components, rows.label, rows.weight, alone)
    fit = fit_order2(rows, toy_rows(1000, 2), seed=0, recipe=Recipe(epochs=5, rate=0.1), edges=edges)
    assert fit.tables.pairs.shape == (0, WIDTH, WIDTH)
    # The coupling of hour and amount, which is most of what there is to learn, is out of reach.
    assert 0.9 * fit.losses[0] < min(fit.losses) < fit.losses[0]
