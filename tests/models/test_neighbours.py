import math

import numpy as np
import pytest

from riskgraph.core.catalog import catalog
from riskgraph.models.layout import Layout
from riskgraph.models.neighbours import NeighbourInputs
from tests.models.helpers import planted_rows, random_components

COMPONENTS = len(catalog().components)
STAND_IN = Layout.of_catalog().stand_in
JOINED = {
    n.index: sorted({p.a + p.b - n.index for p in catalog().pairs if n.index in (p.a, p.b)})
    for n in catalog()
}
SEVERAL = [node for node, joined in JOINED.items() if len(joined) > 1]


@pytest.fixture(scope="module")
def neighbours() -> NeighbourInputs:
    return NeighbourInputs.fit(planted_rows(4000, 3)[0])


def sent(neighbours: NeighbourInputs, row: np.ndarray, node: int) -> float:
    """What a node says, by hand: the place of the bin that its component falls into."""
    value = row[STAND_IN[node]]
    inner = neighbours.edges[1:, node][np.isfinite(neighbours.edges[1:, node])]
    below = int((inner <= value).sum())
    return math.nan if math.isnan(value) else 2 * below / max(len(inner), 1) - 1 if len(inner) else 0.0


def test_aggregates_are_those_of_the_present_neighbours_written_out(neighbours: NeighbourInputs) -> None:
    components = random_components(3, 5, absent=0.5)
    inputs = neighbours(components)
    assert inputs.shape == (3, COMPONENTS + 4 * len(SEVERAL))
    np.testing.assert_array_equal(inputs[:, :COMPONENTS], components)
    for row, got in zip(components, inputs[:, COMPONENTS:].reshape(3, 4, -1), strict=True):
        means = {}
        for node, joined in JOINED.items():
            values = [v for v in (sent(neighbours, row, other) for other in joined) if not math.isnan(v)]
            means[node] = np.mean(values) if values else math.nan
            if node in SEVERAL:
                expected = [means[node], max(values, default=math.nan), min(values, default=math.nan)]
                np.testing.assert_allclose(got[:3, SEVERAL.index(node)], expected, rtol=1e-5)
        for node in SEVERAL:
            further = [means[other] for other in JOINED[node] if not math.isnan(means[other])]
            expected = np.mean(further) if further else math.nan
            np.testing.assert_allclose(got[3, SEVERAL.index(node)], expected, rtol=1e-5, atol=1e-6)


def test_an_order_without_any_node_has_no_aggregate(neighbours: NeighbourInputs) -> None:
    assert np.isnan(neighbours(np.full((2, COMPONENTS), np.nan, dtype=np.float32))).all()


def test_several_parts_of_a_batch_give_what_it_gives_whole(
    neighbours: NeighbourInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    components = random_components(50, 6)
    whole = neighbours(components)
    monkeypatch.setattr("riskgraph.models.neighbours._CHUNK_ROWS", 7)
    np.testing.assert_array_equal(neighbours(components), whole)


def test_the_lowest_and_the_highest_bin_of_every_node_stand_at_the_same_places(
    neighbours: NeighbourInputs,
) -> None:
    bins = 1 + np.isfinite(neighbours.edges).sum(axis=0)
    several = np.flatnonzero(bins > 1)
    assert len(several) > 100
    assert set(neighbours.places[several, 1]) == {-1.0}
    assert set(neighbours.places[several, bins[several]]) == {1.0}
    assert np.isnan(neighbours.places[:, 0]).all()
