"""Exact Shapley values of the graph-additive score, in closed form.

The logit is ``offset + sum_i f_i + sum_ij g_ij`` and an absent node adds exactly zero, so with all
nodes absent as the reference the Shapley value of node i is ``f_i + 1/2 * sum_j g_ij``: an own term
belongs to its node, a pair term is shared by its two ends (Grabisch and Roubens 1999). No sampling,
no seed, no background data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.report import Attribution
from riskgraph.core.verdict import RiskScore

REFERENCE = "all-absent/1"


def _pair_gather() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair indexes listed node by node, and where each node's list starts."""
    ends: list[list[int]] = [[] for _ in range(NODE_COUNT)]
    for pair in catalog().pairs:
        ends[pair.a].append(pair.index)
        ends[pair.b].append(pair.index)
    if not all(ends):
        raise ValueError("reduceat needs every node to have a pair, and the template is connected")
    starts = np.cumsum([0, *(len(rows) for rows in ends[:-1])])
    return np.array([i for rows in ends for i in rows], dtype=np.intp), starts.astype(np.intp)


_FIRST_COMPONENT = np.array([s.start for s in catalog().component_slices], dtype=np.intp)
_PAIRS_OF_NODES, _FIRST_PAIR = _pair_gather()


def pair_sums(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[137]: for each node the sum of its pair terms.

    Args:
        pairs: float64[284], pair terms in catalogue order.
    """
    sums: NDArray[np.float64] = np.add.reduceat(pairs.take(_PAIRS_OF_NODES), _FIRST_PAIR)
    return sums


class ExactExplainer:
    """Closed-form attribution of all 137 nodes and all pairs (GDPR Art. 15(1)(h); PIPL Art. 24)."""

    def explain(self, score: RiskScore) -> Attribution:
        """Attribute ``logit - offset`` to the nodes.

        Args:
            score: Terms on the logit scale, exactly 0 where a node is absent.
        """
        own = np.add.reduceat(score.component_terms, _FIRST_COMPONENT)
        phi = pair_sums(score.pair_terms)
        phi *= 0.5
        phi += own
        gap = abs(float(np.add.reduce(phi)) - (score.logit - score.offset))
        return Attribution(phi, own, score.pair_terms, gap)
