"""A deep graph network as stored and served: plain arrays, and torch only once such a model is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import ModelUnavailable
from riskgraph.models.binning import BinEdges
from riskgraph.models.calibration import RawLogits
from riskgraph.models.card import CARD_FILE, Card, read_card
from riskgraph.models.game import GameModel
from riskgraph.models.kinds import DEEP
from riskgraph.models.layout import Layout
from riskgraph.models.libraries import torch_module
from riskgraph.models.stored import Arrays, read_arrays, write_arrays

NETWORK_FILE = "network.npz"
Weights = Mapping[str, NDArray[np.float32]]


class GraphModel(GameModel):
    """A loaded R-GCN or GATv2 over the behavior graph."""

    @classmethod
    def load(cls, folder: Path | str) -> GraphModel:
        """Open ``MODEL/{network.npz, card.json}``.

        Raises:
            ModelUnavailable: If a file is missing, truncated or altered, or was made for another
                catalogue; the message names the file and what is wrong.
            ExtraMissing: If torch is not installed (extra ``train``).
        """
        folder = Path(folder)
        card = read_card(folder)
        if card.kind not in DEEP:
            known = " or ".join(DEEP)
            raise ModelUnavailable(
                f"{folder / CARD_FILE}: kind {card.kind!r} has no network, expected {known}"
            )
        arrays = read_arrays(folder / NETWORK_FILE, card)
        # Before torch is loaded: a damaged model is to be told as such on any install.
        network = torch_module("graph_network", f"serving a model of kind {card.kind}")
        try:
            return cls(card, _raw(network, card, arrays))
        except (LookupError, TypeError, ValueError, RuntimeError) as wrong:
            raise ModelUnavailable(
                f"{folder / NETWORK_FILE}: not the network of its card ({wrong})"
            ) from wrong


def _raw(network: Any, card: Card, arrays: Arrays) -> RawLogits:
    lengths, inner = arrays.pop("bin_edge_counts"), arrays.pop("bin_edges")
    edges = BinEdges(tuple(np.split(inner, np.cumsum(lengths)[:-1])))
    built = network.build(card.kind, network.Sizes(**card.layout["sizes"]), arrays)
    return lambda components: network.raw_logits(built, edges, components)


def write_network(
    folder: Path | str, edges: BinEdges, weights: Weights, sizes: Mapping[str, int], card: Card
) -> Card:
    """Write a deep model, each file in one step; returns the card as stored."""
    arrays: Arrays = {
        **weights,
        "bin_edge_counts": np.array([len(inner) for inner in edges.inner]),
        "bin_edges": np.concatenate(edges.inner),
    }
    layout = {
        "components": list(Layout.of_catalog().components),
        "inputs": "embedded hard bins of each node's components, and whether it is there",
        "readout": "states of all nodes, concatenated",
        "sizes": dict(sizes),
    }
    return write_arrays(folder, NETWORK_FILE, arrays, card, layout)
