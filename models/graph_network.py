"""Deep graph networks over an order's behavior graph: R-GCN and GATv2 of PyTorch Geometric.

Every order is the same graph of 137 nodes with the catalogue's typed edges, so nodes keep their identity: the
readout concatenates their states and never averages them (docs/models.md). A node that is absent is zero,
sends nothing, receives nothing and stays zero.

Sources: R-GCN, Schlichtkrull et al. 2018 (1703.06103); GATv2, Brody et al. 2022 (2105.14491).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from riskgraph.core.catalog import DIRECTED, catalog
from riskgraph.models.binning import BinEdges
from riskgraph.models.card import AVAILABILITY_CLASSES
from riskgraph.models.layout import Layout
from riskgraph.models.libraries import drop_generated_files

with warnings.catch_warnings():
    # torch-geometric 2.8 still calls torch.jit.script, which torch has deprecated.
    warnings.simplefilter("ignore")
    from torch_geometric.nn import GATv2Conv, RGCNConv

# A directed edge speaks backwards too, but as a relation of its own.
_TYPES = catalog().edge_types
RELATIONS = (*_TYPES, *(f"{kind}_reversed" for kind in _TYPES if kind in DIRECTED))
# Messages of more orders than these no longer fit the processor's cache: half as quick at 512 (gatv2).
_CHUNK_ROWS = 128


@dataclass(frozen=True, slots=True)
class Sizes:
    """Shape of a network.

    Attributes:
        width: Of a node's state.
        layers: Rounds of messages.
        heads: Of attention; they share the width. R-GCN has none.
        hidden: Of the readout.
    """

    width: int = 16
    layers: int = 2
    heads: int = 2
    hidden: int = 64


def typed_edges() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Template edges in both directions: ends int64[2, E], source first, and relations int64[E]."""
    ends, relations = [], []
    for edge in catalog().edges:
        back = f"{edge.type}_reversed" if edge.type in DIRECTED else edge.type
        ends += [(edge.source, edge.target), (edge.target, edge.source)]
        relations += [RELATIONS.index(edge.type), RELATIONS.index(back)]
    return np.array(ends, dtype=np.int64).T.copy(), np.array(relations, dtype=np.int64)


class BehaviorGraphNetwork(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """Embedded bins, rounds of typed messages, and a readout over all nodes side by side.

    Args:
        kind: ``rgcn`` or ``gatv2``.
        sizes: Its shape.
    """

    def __init__(self, kind: str, sizes: Sizes) -> None:
        super().__init__()
        layout, (ends, relation) = Layout.of_catalog(), typed_edges()
        # One place of the state is the flag that the node is there.
        self.embedding = torch.nn.Embedding(layout.own_size, sizes.width - 1)
        self.rounds = torch.nn.ModuleList(_Round(kind, sizes) for _ in range(sizes.layers))
        self.readout = torch.nn.Sequential(
            torch.nn.Linear(layout.nodes * sizes.width, sizes.hidden),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.2),
            torch.nn.Linear(sizes.hidden, 1),
        )
        # Added by the caller, who knows the class; calibration has its own instead.
        self.bias = torch.nn.Parameter(torch.zeros(len(AVAILABILITY_CLASSES)))
        self.nodes = layout.nodes
        for name, array in (
            ("start", layout.own_offset), ("node", layout.node), ("ends", ends), ("relation", relation)
        ):  # fmt: skip
            # Of the catalogue and not of the model, so they are not stored with it.
            self.register_buffer(name, torch.from_numpy(array.copy()), persistent=False)

    def forward(self, bins: Tensor) -> Tensor:
        """Logits [B] without offset, for component bins int64[B, 259]."""
        state, present = self._inputs(bins)
        ends, relation = self._messages(present)
        there = present.reshape(-1, 1).to(state.dtype)
        state = state.reshape(-1, state.shape[-1])
        for layer in self.rounds:
            state = layer(state, ends, relation) * there
        return cast(Tensor, self.readout(state.view(len(bins), -1)).squeeze(-1))

    def _inputs(self, bins: Tensor) -> tuple[Tensor, Tensor]:
        """States [B, 137, width], zero where absent, and presence bool[B, 137]."""
        filled = (bins > 0).unsqueeze(-1)
        parts = self.embedding(bins + cast(Tensor, self.start)) * filled
        parts = torch.cat([parts, filled.to(parts.dtype)], dim=-1)
        state = parts.new_zeros(len(bins), self.nodes, parts.shape[-1])
        state = state.index_add(1, cast(Tensor, self.node), parts)
        present = state[..., -1] > 0
        # A node of several components is there once, not several times.
        return torch.cat([state[..., :-1], present.unsqueeze(-1).to(state.dtype)], dim=-1), present

    def _messages(self, present: Tensor) -> tuple[Tensor, Tensor]:
        """Edges between present nodes of all orders side by side: ends int64[2, M], relations int64[M]."""
        source, target = cast(Tensor, self.ends)
        order, edge = (present[:, source] & present[:, target]).nonzero(as_tuple=True)
        ends = torch.stack([source[edge], target[edge]]) + order * self.nodes
        return ends, cast(Tensor, self.relation)[edge]


class _Round(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """One round of messages on top of the state as it was."""

    def __init__(self, kind: str, sizes: Sizes) -> None:
        super().__init__()
        width, relations = sizes.width, len(RELATIONS)
        self.attends = kind == "gatv2"
        if self.attends:
            # A node knows itself from the state that the messages are added to, so it needs no loop.
            self.conv = GATv2Conv(
                width, width // sizes.heads, sizes.heads, edge_dim=relations, add_self_loops=False
            )
        else:
            self.conv = RGCNConv(width, width, relations)
        drop_generated_files()

    def forward(self, state: Tensor, ends: Tensor, relation: Tensor) -> Tensor:
        if self.attends:
            types = torch.nn.functional.one_hot(relation, len(RELATIONS)).to(state.dtype)
            return state + torch.relu(self.conv(state, ends, types))
        return state + torch.relu(self.conv(state, ends, relation))


def build(kind: str, sizes: Sizes, weights: Mapping[str, NDArray[np.float32]]) -> BehaviorGraphNetwork:
    """A network with stored weights, for serving: in float64, so that a batch and its orders agree to 1e-6.

    Raises:
        RuntimeError: If the weights are not those of such a network.
    """
    network = BehaviorGraphNetwork(kind, sizes)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    network.double().eval()
    return network


def raw_logits(
    network: BehaviorGraphNetwork, edges: BinEdges, components: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Logits without offset, float64[N], of components float32[N, 259]."""
    out = np.empty(len(components), dtype=np.float64)
    with torch.inference_mode():
        for start in range(0, len(components), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            out[part] = network(torch.from_numpy(edges.apply(components[part])).long()).numpy()
    return out
