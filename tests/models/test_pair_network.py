import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.models.binning import WIDTH
from riskgraph.models.card import AVAILABILITY_CLASSES
from riskgraph.models.compiled import table_logits
from tests.models.helpers import random_components, random_edges

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from riskgraph.models.network import (  # noqa: E402
    Constraints,
    GraphAdditiveNetwork,
    PairLayer,
    isotonic,
    monotone_signs,
    never_raising,
    optional_ends,
    stand_in_components,
)


def shaken_network(seed: int) -> GraphAdditiveNetwork:
    network = GraphAdditiveNetwork(random_edges(seed))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    Constraints(network.edges).project(network)
    return network


def test_network_and_tables_agree() -> None:
    network, components = shaken_network(1), random_components(300, 2)
    bins = torch.from_numpy(network.edges.apply(components)).long()
    classes = torch.arange(300) % len(AVAILABILITY_CLASSES)
    with torch.no_grad():
        logits = network(bins, classes).numpy()
        bias = network.bias[classes].numpy()
    compiled = bias + table_logits(network.tables().flat(), network.edges, components)
    np.testing.assert_allclose(logits, compiled, rtol=0, atol=1e-6)
    assert np.ptp(logits) > 1


def test_a_network_of_tables_holds_their_weights() -> None:
    network = shaken_network(4)
    again = GraphAdditiveNetwork.of(network.tables(), network.bias.tolist())
    for mine, other in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_messages_are_the_sums_written_out() -> None:
    layer = PairLayer()
    with torch.no_grad():
        layer.table.copy_(torch.arange(len(layer.table), dtype=torch.float64) ** 0.5)
    bins = torch.randint(0, WIDTH, (3, NODE_COUNT), generator=torch.Generator().manual_seed(1))
    expected = np.zeros((3, NODE_COUNT))
    for row in range(3):
        for pair in catalog().pairs:
            cell = (pair.index * WIDTH + int(bins[row, pair.a])) * WIDTH + int(bins[row, pair.b])
            expected[row, pair.b] += cell**0.5
    np.testing.assert_allclose(layer(bins).detach().numpy(), expected, rtol=1e-12)


def test_node_terms_sum_the_components_of_a_node() -> None:
    network = shaken_network(3)
    bins = torch.from_numpy(network.edges.apply(random_components(5, 4))).long()
    own = network.own_table.detach().numpy()
    expected = np.zeros((5, NODE_COUNT))
    for component, node in enumerate(catalog().component_node):
        expected[:, node] += own[component, bins[:, component].numpy()]
    np.testing.assert_allclose(network.node_terms(bins).detach().numpy(), expected, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=2, max_size=12))
def test_isotonic_is_the_nearest_rising_row(values: list[float]) -> None:
    regression = pytest.importorskip("sklearn.isotonic").isotonic_regression
    got = isotonic(torch.tensor([values], dtype=torch.float64))[0].numpy()
    np.testing.assert_allclose(got, regression(np.array(values)), atol=1e-9)


def test_projection_imposes_every_demand_of_the_catalogue() -> None:
    network = shaken_network(5)
    own, counts = network.own_table.detach().numpy(), network.edges.counts
    assert (own[never_raising()] <= 0).all()
    for component in np.flatnonzero(monotone_signs()):
        steps = np.diff(own[component, 1 : counts[component] + 1]) * monotone_signs()[component]
        assert (steps >= -1e-12).all(), catalog().components[component]
    assert not own[:, 0].any()
    assert not network.pair_table[:, 0].any()
    assert not network.pair_table[:, :, 0].any()


def test_projecting_twice_changes_nothing() -> None:
    network = shaken_network(6)
    before = network.own.detach().clone()
    Constraints(network.edges).project(network)
    torch.testing.assert_close(network.own.detach(), before, rtol=0, atol=1e-12)


def test_of_a_fanout_node_only_counts_and_fraud_share_are_monotone() -> None:
    signs = dict(zip(catalog().components, monotone_signs().tolist(), strict=True))
    assert signs["B131.accounts_24h"] == signs["B133.fraud_share"] == signs["B134.density"] == 1
    assert signs["B131.days_since_last"] == signs["B132.days_since_last"] == 0
    assert signs["B136.value"] == signs["B007.value"] == -1
    assert signs["B001.p50"] == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_giving_optional_data_is_worth_nothing_on_average_at_each_value_of_the_other_end(seed: int) -> None:
    network, generator = shaken_network(seed), torch.Generator().manual_seed(seed)
    used = torch.arange(WIDTH) <= torch.from_numpy(network.edges.counts)[:, None]
    own = torch.rand(used.shape, generator=generator, dtype=torch.float64) * used
    both = used[stand_in_components()][torch.tensor([[p.a, p.b] for p in catalog().pairs])]
    pairs = torch.rand(len(both), WIDTH, WIDTH, generator=generator, dtype=torch.float64)
    pairs *= both[:, 0, :, None] * both[:, 1, None, :]
    Constraints(network.edges, (own, pairs)).project(network)
    weighted = (network.pair_table.detach() * pairs)[:, 1:, 1:]
    first, second = torch.from_numpy(optional_ends()).bool().T
    assert first.any()
    assert second.any()
    assert weighted[first].sum(1).abs().max() < 1e-9
    assert weighted[second & ~first].sum(2).abs().max() < 1e-9
    assert weighted[first | second].abs().max() > 0.1
    assert weighted[~first & ~second].sum((1, 2)).abs().max() > 0.1
