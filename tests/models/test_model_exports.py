import numpy as np
import pytest

from riskgraph.core.catalog import EDGE_TYPES, NODE_COUNT, catalog
from riskgraph.models.exports import present_edges, to_networkx, to_pyg
from tests.models.helpers import random_subgraph


def test_only_edges_between_present_nodes_are_present() -> None:
    subgraph = random_subgraph(1, absent=0.5)
    edges = present_edges(subgraph)
    assert 0 < len(edges) < len(catalog().edges)
    assert all(subgraph.present[e.source] and subgraph.present[e.target] for e in edges)


def test_the_networkx_export_has_all_nodes_and_the_present_edges() -> None:
    pytest.importorskip("networkx")
    subgraph = random_subgraph(2)
    graph = to_networkx(subgraph)
    assert graph.number_of_nodes() == NODE_COUNT
    assert graph.number_of_edges() == len(
        {(e.type, *sorted((e.source, e.target))) for e in present_edges(subgraph)}
    )
    assert graph.nodes["B064"]["state"] == subgraph.state("B064").word
    assert graph.nodes["B064"]["value"] == subgraph.value("B064")


def test_the_pyg_export_carries_components_states_and_typed_edges() -> None:
    pytest.importorskip("torch_geometric")
    subgraph = random_subgraph(3)
    data = to_pyg(subgraph)
    part = catalog().component_slices[0]
    np.testing.assert_array_equal(data["behavior"].x[0, : part.stop].numpy(), subgraph.components[part])
    np.testing.assert_array_equal(data["behavior"].state.numpy(), subgraph.states)
    counts = [data["behavior", kind, "behavior"].edge_index.shape[1] for kind in EDGE_TYPES]
    assert sum(counts) == len(present_edges(subgraph))
