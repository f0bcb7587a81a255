"""The graph-additive network: one round of message passing, then a readout that only sums.

``logit = b[class] + sum_i f_i(x_i) + sum_(i,j) g_ij(x_i, x_j)`` over present nodes and template
pairs of which both ends are present. Nothing non-linear follows the sum, so the Shapley values have
a closed form (``phi_i = f_i + 1/2 sum_j g_ij``) and the network compiles to lookup tables.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from riskgraph.models.binning import BinEdges
from riskgraph.models.card import AVAILABILITY_CLASSES
from riskgraph.models.compiled import Tables
from riskgraph.models.layout import WIDTH, Layout
from riskgraph.models.layout import monotone_signs as monotone_signs
from riskgraph.models.layout import never_raising as never_raising
from riskgraph.models.layout import optional_ends as optional_ends
from riskgraph.models.layout import stand_in_components as stand_in_components
from riskgraph.models.libraries import drop_generated_files

with warnings.catch_warnings():
    # torch-geometric 2.8 still calls torch.jit.script, which torch has deprecated.
    warnings.simplefilter("ignore")
    from torch_geometric.nn import MessagePassing

# Stands in for the bins that a component lacks: higher than any table, so that the order ignores them.
_FAR = 1e9


class PairLayer(MessagePassing):  # type: ignore[misc, unused-ignore]
    """Messages over the static template graph: the message of edge (i, j) is ``g_ij[bin_i, bin_j]``.

    An undirected pair is sent once, from its lower to its higher node; the readout adds all nodes,
    so the direction does not matter.
    """

    def __init__(self, layout: Layout | None = None) -> None:
        super().__init__(aggr="sum", node_dim=-2)
        drop_generated_files()
        ends = torch.from_numpy((layout or Layout.of_catalog()).ends.T.copy())
        self.table = torch.nn.Parameter(torch.zeros(ends.shape[1] * WIDTH * WIDTH, dtype=torch.float64))
        self.register_buffer("ends", ends)
        self.register_buffer("start", torch.arange(ends.shape[1]).unsqueeze(-1) * WIDTH * WIDTH)

    def forward(self, bins: Tensor) -> Tensor:
        """Sum of incoming messages, float64[B, 137], for node bins int64[B, 137]."""
        return cast(Tensor, self.propagate(self.ends, x=bins.unsqueeze(-1)).squeeze(-1))

    def message(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        """Table cells float64[B, 284, 1]; ``x_j`` is the lower node, ``x_i`` the higher."""
        cells = cast(Tensor, self.start) + x_j * WIDTH + x_i
        # index_select has a far cheaper backward pass than embedding (measured: 5 against 90 ms).
        return self.table.index_select(0, cells.reshape(-1)).view(cells.shape)


class GraphAdditiveNetwork(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """Own terms, pair messages and one offset per availability class, all float64.

    Float64 so that the network and its compiled tables agree to rounding, not to 1e-3.
    """

    def __init__(self, edges: BinEdges) -> None:
        super().__init__()
        self.edges = edges
        layout = edges.layout
        self.own = torch.nn.Parameter(torch.zeros(layout.own_size, dtype=torch.float64))
        self.bias = torch.nn.Parameter(torch.zeros(len(AVAILABILITY_CLASSES), dtype=torch.float64))
        self.pairs = PairLayer(layout)
        self.register_buffer("stand_in", torch.from_numpy(layout.stand_in.copy()))
        self.register_buffer("start", torch.from_numpy(layout.own_offset.copy()))
        self.register_buffer("node", torch.from_numpy(layout.node.copy()))

    @classmethod
    def of(cls, tables: Tables, offsets: Sequence[float]) -> GraphAdditiveNetwork:
        """A network that holds the weights of tables, and an offset per class of ``AVAILABILITY_CLASSES``."""
        network = cls(tables.edges)
        with torch.no_grad():
            network.own_table.copy_(torch.from_numpy(tables.own.copy()))
            network.pair_table.copy_(torch.from_numpy(tables.pairs.copy()))
            network.bias.copy_(torch.tensor(offsets, dtype=torch.float64))
        return network

    def forward(self, bins: Tensor, classes: Tensor) -> Tensor:
        """Logits float64[B] for component bins int64[B, 259] and class indexes int64[B]."""
        messages = self.pairs(bins.index_select(1, cast(Tensor, self.stand_in)))
        return self.bias[classes] + self._own_terms(bins).sum(-1) + cast(Tensor, messages).sum(-1)

    def node_terms(self, bins: Tensor) -> Tensor:
        """Own term of each node, float64[B, 137]."""
        out = torch.zeros(len(bins), self.edges.layout.nodes, dtype=torch.float64, device=bins.device)
        return out.index_add(1, cast(Tensor, self.node), self._own_terms(bins))

    def _own_terms(self, bins: Tensor) -> Tensor:
        cells = bins + cast(Tensor, self.start)
        return self.own.index_select(0, cells.reshape(-1)).view(bins.shape)

    @property
    def own_table(self) -> Tensor:
        """View float64[259, 13] of the own terms."""
        return self.own.view(-1, WIDTH)

    @property
    def pair_table(self) -> Tensor:
        """View float64[284, 13, 13] of the pair terms."""
        return self.pairs.table.view(-1, WIDTH, WIDTH)

    def tables(self) -> Tables:
        """The network as lookup tables."""
        own, pairs = self.own_table.detach().numpy().copy(), self.pair_table.detach().numpy().copy()
        return Tables(self.edges, own, pairs)


class Constraints:
    """What a layout demands of a node's own term, imposed by projection.

    ``alone: no`` keeps every bin at or below zero; ``monotone`` orders the bins; absent is zero.
    For the context nodes B131 to B133 ``monotone`` covers the counts and the fraud share only.

    Consent is neutral (GDPR Art. 7(4); PIPL Art. 16): the own term of an optional node averages zero
    over honest rows that have it, and each pair term with an optional end does so at each value of its
    other end. Giving the data is on average worth nothing, whatever else is known, and refusing it
    costs nothing (docs/decisions/0021). Own terms that may only lower the score are left out: their
    help is for the person.

    Args:
        edges: Bins of the network.
        honest: Honest weight in each bin, float64[259, 13], and in each pair of bins, float64[284,
            13, 13]; without it nothing is centred.
    """

    def __init__(self, edges: BinEdges, honest: tuple[Tensor, Tensor] | None = None) -> None:
        layout, sign = edges.layout, edges.layout.signs
        self._rows = torch.from_numpy(np.flatnonzero(sign))
        self._sign = torch.from_numpy(sign[sign != 0].astype(np.float64)).unsqueeze(-1)
        self._never_raise = torch.from_numpy(np.flatnonzero(layout.never_raise))
        used = np.arange(WIDTH) <= edges.counts[:, None]
        self._unused = torch.from_numpy(~used)
        first, second = self._unused[layout.pair_a], self._unused[layout.pair_b]
        self._unused_pairs = first[:, :, None] | second[:, None, :]
        self._unused_pairs[:, 0, :] = True
        self._unused_pairs[:, :, 0] = True
        self._far = self._unused[self._rows][:, 1:]
        self._own_shares: Tensor | None = None
        self._pair_shares: list[tuple[int, Tensor]] = []
        if honest:
            own, pairs = honest
            self._own_shares = _shares(own, torch.from_numpy(layout.optional.copy()), 1)
            given = torch.from_numpy(layout.optional_ends.copy())
            # By the second end first: what comes last holds exactly, also where both are optional.
            self._pair_shares = [(axis, _shares(pairs, given[:, axis - 1], axis)) for axis in (2, 1)]

    def to(self, device: torch.device) -> Constraints:
        """The same demands, for tables on a device."""
        moved = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
        moved._pair_shares = [(axis, share.to(device)) for axis, share in self._pair_shares]
        return moved

    def project(self, network: GraphAdditiveNetwork) -> None:
        """Move the tables to ones that satisfy every demand.

        Clipping an isotonic fit at zero is the exact projection on order and sign together; a shift
        keeps the order.
        """
        own, pairs = network.own_table.detach(), network.pair_table.detach()
        values = (own[self._rows, 1:] * self._sign).masked_fill(self._far, _FAR)
        own[self._rows, 1:] = isotonic(values) * self._sign
        # This shifts absent and unused cells too; they are set back to zero below.
        if self._own_shares is not None:
            own -= (own * self._own_shares).sum(1, keepdim=True)
        for axis, share in self._pair_shares:
            pairs -= (pairs * share).sum(axis, keepdim=True)
        own[self._never_raise] = own[self._never_raise].clamp(max=0.0)
        own[:, 0] = 0.0
        own.masked_fill_(self._unused, 0.0)
        pairs.masked_fill_(self._unused_pairs, 0.0)


def _shares(weight: Tensor, optional: Tensor, axis: int) -> Tensor:
    """Honest shares of the bins along an axis of each optional table, where nothing is absent."""
    # Only rows that have the data count: where it is absent the term is zero anyway.
    seen = weight.clone()
    seen[:, 0] = 0.0
    if seen.dim() > 2:
        seen[:, :, 0] = 0.0
    seen *= optional.view(-1, *[1] * (seen.dim() - 1))
    return seen / seen.sum(axis, keepdim=True).clamp(min=1e-12)


def isotonic(values: Tensor) -> Tensor:
    """Nearest non-decreasing rows, by the min-max formula of isotonic regression.

    ``out[i] = max over j <= i of min over k >= i of mean(values[j..k])`` (Barlow et al. 1972);
    with 12 bins this is quicker than pooling row by row.

    Args:
        values: float64[R, n].
    """
    n = values.shape[1]
    sums = torch.cat([torch.zeros_like(values[:, :1]), values.cumsum(1)], dim=1)
    places = torch.arange(n, device=values.device)
    first, last = places.unsqueeze(1), places.unsqueeze(0)
    means = (sums[:, None, 1:] - sums[:, :-1, None]) / (last - first + 1).clamp(min=1)
    means = means.masked_fill(last < first, torch.inf)
    lowest = means.flip(2).cummin(2).values.flip(2)
    return lowest.masked_fill(last < first, -torch.inf).amax(1)
