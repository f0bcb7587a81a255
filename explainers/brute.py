"""Shapley values by their definition, over every coalition of present nodes: the yardstick.

Exponential in the number of present nodes; for tests and audits of small orders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import factorial

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.errors import Invalid
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.ports import Scorer

MAX_PLAYERS = 14

_CATALOG = catalog()
_COMPONENT_NODE = np.array(_CATALOG.component_node)
_HISTOGRAM_NODE = np.repeat(np.arange(NODE_COUNT), [len(n.histograms) for n in _CATALOG.nodes])


def keep_only(subgraph: OrderSubgraph, nodes: Sequence[int]) -> OrderSubgraph:
    """The same order with every present node outside ``nodes`` made absent."""
    keep = np.zeros(NODE_COUNT, dtype=bool)
    keep[list(nodes)] = True
    gone = subgraph.present & ~keep
    states, components, shares = subgraph.states.copy(), subgraph.components.copy(), subgraph.shares.copy()
    states[gone] = State.NOT_DELIVERED
    components[gone[_COMPONENT_NODE]] = np.nan
    shares[gone[_HISTOGRAM_NODE]] = 0
    return OrderSubgraph(states, components, shares)


def coalition_logit(
    subgraph: OrderSubgraph, scorer: Scorer, availability: str
) -> tuple[list[int], Callable[[Sequence[int]], float]]:
    """The players (present nodes) and the logit of the order reduced to some of them."""
    players = np.flatnonzero(subgraph.present).tolist()

    def value(nodes: Sequence[int]) -> float:
        return scorer.score(keep_only(subgraph, nodes), availability).logit

    return players, value


def brute_force(subgraph: OrderSubgraph, scorer: Scorer, availability: str) -> NDArray[np.float64]:
    """float64[137]: Shapley values on the logit by re-scoring all ``2^n`` coalitions.

    Works for any scorer, additive or not (Shapley 1953).

    Raises:
        Invalid: If more than 14 nodes are present.
    """
    players, value = coalition_logit(subgraph, scorer, availability)
    count = len(players)
    if count > MAX_PLAYERS:
        raise Invalid(f"brute force takes at most {MAX_PLAYERS} present nodes, got {count}")
    masks = np.arange(2**count)
    values = np.array([value([p for k, p in enumerate(players) if mask >> k & 1]) for mask in masks.tolist()])
    sizes = np.array([mask.bit_count() for mask in masks.tolist()])
    table = [factorial(s) * factorial(count - s - 1) / factorial(count) for s in range(count)]
    weights = np.array([*table, 0.0])
    phi = np.zeros(NODE_COUNT)
    for k, player in enumerate(players):
        without = masks[(masks >> k & 1) == 0]
        phi[player] = float(weights[sizes[without]] @ (values[without | 1 << k] - values[without]))
    return phi
