"""One order's subgraph as networkx and as PyG data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from riskgraph.core.catalog import NODE_COUNT, Edge, catalog
from riskgraph.core.errors import ExtraMissing
from riskgraph.core.subgraph import OrderSubgraph

if TYPE_CHECKING:
    import networkx
    from torch_geometric.data import HeteroData


def present_edges(subgraph: OrderSubgraph) -> list[Edge]:
    """Typed template edges of which both ends are present."""
    present = subgraph.present
    return [e for e in catalog().edges if present[e.source] and present[e.target]]


def to_networkx(subgraph: OrderSubgraph) -> networkx.MultiGraph:
    """Undirected multigraph: 137 nodes with ``state`` and ``value``, edges keyed by ``type``.

    Raises:
        ExtraMissing: If networkx is not installed (extra ``lab``).
    """
    try:
        import networkx
    except ImportError as missing:
        raise ExtraMissing("the networkx export", "lab") from missing
    nodes = catalog().nodes
    # A pair can have several types; a plain graph would keep one of them.
    graph = networkx.MultiGraph(catalog_version=catalog().version)
    for node in nodes:
        state, value = subgraph.state(node.id).word, subgraph.value(node.id)
        graph.add_node(node.id, name=node.name, family=node.family, state=state, value=value)
    for edge in present_edges(subgraph):
        graph.add_edge(nodes[edge.source].id, nodes[edge.target].id, key=edge.type, type=edge.type)
    return graph


def to_pyg(subgraph: OrderSubgraph) -> HeteroData:
    """PyG data: node type ``behavior`` with ``x`` float32[137, 18] (NaN-padded components).

    Each edge label becomes one edge type, ``(behavior, label, behavior)``.

    Raises:
        ExtraMissing: If torch-geometric is not installed (extra ``train``).
    """
    try:
        import torch
        from torch_geometric.data import HeteroData
    except ImportError as missing:
        raise ExtraMissing("the PyG export", "train") from missing
    nodes, slices = catalog().nodes, catalog().component_slices
    x = np.full((NODE_COUNT, max(len(n.components) for n in nodes)), np.nan, dtype=np.float32)
    for node, part in zip(nodes, slices, strict=True):
        x[node.index, : len(node.components)] = subgraph.components[part]
    data = HeteroData()
    data["behavior"].x = torch.from_numpy(x)
    data["behavior"].state = torch.from_numpy(subgraph.states.astype(np.int64))
    edges = present_edges(subgraph)
    # All types, also those without an edge here: models need the same keys for every order.
    for kind in catalog().edge_types:
        ends = [(e.source, e.target) for e in edges if e.type == kind]
        index = torch.tensor(ends, dtype=torch.long).reshape(-1, 2).t().contiguous()
        data["behavior", kind, "behavior"].edge_index = index
    return data
