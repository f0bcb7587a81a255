"""Public bounds of every component, from the catalogue alone."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import BIN_COUNT, Form, NodeSpec, catalog
from riskgraph.core.components import MAX_COUNT

_CONTEXT_MAX = 1e6


def _histogram(node: NodeSpec) -> list[tuple[float, float]]:
    out: list[tuple[float, float]] = []
    for spec in node.histograms:
        width, top = spec.edges[1] - spec.edges[0], spec.edges[-1]
        spread = math.log2((top + width) / width)
        out += [
            (0.0, math.log2(1 + MAX_COUNT)),
            (0.0, top),
            (0.0, spread),
            (0.0, math.log2(BIN_COUNT)),
            (1 / BIN_COUNT, 1.0),
        ]
    return out


def _node(node: NodeSpec) -> list[tuple[float, float]]:
    if node.form is Form.NUMBER:
        return [node.bounds]
    if node.form is Form.FLAG:
        return [(0.0, 1.0)]
    if node.form is Form.CLASS:
        return [(0.0, float(len(node.words) - 1))]
    if node.form is Form.HISTOGRAM:
        return _histogram(node)
    shares = [("share" in c or c == "density") for c in node.components]
    return [(0.0, 1.0 if share else _CONTEXT_MAX) for share in shares]


@lru_cache(maxsize=1)
def component_bounds() -> NDArray[np.float32]:
    """float32[2, 259]: lowest and highest value that a component can take."""
    return np.array([pair for node in catalog() for pair in _node(node)], dtype=np.float32).T


@lru_cache(maxsize=1)
def whole_components() -> NDArray[np.bool_]:
    """bool[259]: components that only take whole numbers (classes, flags, counts)."""
    out: list[bool] = []
    for node in catalog():
        if node.form is Form.CONTEXT:
            out += [c.startswith(("accounts", "orders", "shared_kinds")) for c in node.components]
        else:
            whole = node.form in (Form.FLAG, Form.CLASS)
            whole |= node.form is Form.NUMBER and node.kind == "count" and "/" not in node.unit
            out += [whole] * len(node.components)
    return np.array(out)


@lru_cache(maxsize=1)
def category_components() -> NDArray[np.bool_]:
    """bool[259]: components of class and flag nodes."""
    forms = [n.form in (Form.CLASS, Form.FLAG) for n in catalog()]
    return np.array([forms[i] for i in catalog().component_node])
