"""From a node's wire value to its components: the only place where this happens.

Rules of contracts section 1: ``n`` is log2(1 + n); quantiles are linear inside a bin and the last
bin ends at twice its lower edge; ``spread`` is log2((p90 + w) / (p10 + w)) with w the width of the
first bin; entropy in bits. Everything is rounded to float32 here, shares to uint8, so that every
store gives back the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import BIN_COUNT, Form, HistogramSpec, NodeSpec
from riskgraph.core.errors import Invalid

MAX_COUNT = 10_000_000


def histogram_quantile(edges: tuple[float, ...], counts: list[int], q: float) -> float:
    """Quantile ``q`` of a 16-bin histogram, linear inside its bin, in the unit of ``edges``."""
    target = q * sum(counts)
    below = 0
    for i, count in enumerate(counts):
        if count and below + count >= target:
            inside = (target - below) / count
            return edges[i] + inside * (edges[i + 1] - edges[i])
        below += count
    return edges[-1]


def histogram_components(spec: HistogramSpec, counts: list[int]) -> list[float]:
    """``n, p50, spread, entropy, mode_share`` of one histogram with at least one entry."""
    total = sum(counts)
    p10, p50, p90 = (histogram_quantile(spec.edges, counts, q) for q in (0.1, 0.5, 0.9))
    width = spec.edges[1] - spec.edges[0]
    shares = [c / total for c in counts if c]
    entropy = -sum(s * math.log2(s) for s in shares)
    spread = math.log2((p90 + width) / (p10 + width))
    return [math.log2(1 + total), p50, spread, max(0.0, entropy), max(counts) / total]


def histogram_shares(counts: list[int]) -> NDArray[np.uint8]:
    """Shares of the 16 bins, rounded to 1/255."""
    total = sum(counts)
    return np.array([round(255 * c / total) for c in counts], dtype=np.uint8)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(node: NodeSpec, value: Any, field: str) -> float:
    low, high = node.bounds
    if not _is_number(value):
        raise Invalid(f"{node.id} ({node.name}) needs a finite number, got {value!r:.40}", field=field)
    if not low <= value <= high:
        raise Invalid(
            f"{node.id} ({node.name}) must lie in {low:g}..{high:g} {node.unit}, got {value:g}",
            field=field,
        )
    return float(value)


def _class(node: NodeSpec, value: Any, field: str) -> float:
    if value not in node.words:
        known = ", ".join(node.words)
        raise Invalid(f"{node.id} ({node.name}) must be one of {known}; got {value!r:.40}", field=field)
    return float(node.words.index(value))


def _flag(node: NodeSpec, value: Any, field: str) -> float:
    if not isinstance(value, bool):
        raise Invalid(f"{node.id} ({node.name}) must be true or false, got {value!r:.40}", field=field)
    return float(value)


def parse_histogram(value: Any, field: str) -> list[int]:
    """Check one ``{"n": …, "bins": [16 counts]}`` and return its counts.

    Raises:
        Invalid: If the shape is wrong, a count is not a non-negative integer, the sum is not ``n``
            or the histogram is empty (an empty histogram is an absent node).
    """
    if not isinstance(value, Mapping) or set(value) != {"n", "bins"}:
        raise Invalid('a histogram is {"n": count, "bins": [16 counts]}', field=field)
    bins = value["bins"]
    if not isinstance(bins, list) or len(bins) != BIN_COUNT:
        raise Invalid(f"a histogram has {BIN_COUNT} bins", field=f"{field}.bins")
    if any(type(b) is not int or not 0 <= b <= MAX_COUNT for b in bins):
        raise Invalid(f"bins are whole counts from 0 to {MAX_COUNT}", field=f"{field}.bins")
    if value["n"] != sum(bins):
        raise Invalid(f"n is {value['n']!r:.20} but the bins sum to {sum(bins)}", field=f"{field}.n")
    if not sum(bins):
        raise Invalid("an empty histogram is an absent node: leave it out", field=f"{field}.n")
    return bins


def _histograms(node: NodeSpec, value: Any, field: str) -> tuple[list[float], list[NDArray[np.uint8]]]:
    if len(node.histograms) == 1:
        value, named = {"": value}, False
    else:
        named = True
        if not isinstance(value, Mapping) or set(value) != {h.name for h in node.histograms}:
            names = ", ".join(h.name for h in node.histograms)
            raise Invalid(f"{node.id} ({node.name}) needs the histograms {names}", field=field)
    components: list[float] = []
    shares: list[NDArray[np.uint8]] = []
    for spec in node.histograms:
        counts = parse_histogram(value[spec.name], f"{field}.{spec.name}" if named else field)
        components += histogram_components(spec, counts)
        shares.append(histogram_shares(counts))
    return components, shares


def _context(node: NodeSpec, value: Any, field: str) -> list[float]:
    if not isinstance(value, Mapping) or not set(value) <= set(node.components):
        raise Invalid(f"{node.id} needs named numbers out of {', '.join(node.components)}", field=field)
    if any(not _is_number(v) for v in value.values()):
        raise Invalid(f"{node.id} needs finite numbers", field=field)
    return [float(value.get(name, math.nan)) for name in node.components]


def node_components(
    node: NodeSpec, value: Any, field: str
) -> tuple[NDArray[np.float32], list[NDArray[np.uint8]]]:
    """Validate one wire value and derive its components.

    Args:
        node: The catalogue row.
        value: The JSON value (contracts, section 1).
        field: Path for error messages, for instance ``signals.B033``.

    Returns:
        float32 components in catalogue order (NaN only for a left-out part of a context node) and
        the uint8 shares of each histogram.

    Raises:
        Invalid: If the value is not of the node's form; the field is named.
    """
    shares: list[NDArray[np.uint8]] = []
    if node.form is Form.NUMBER:
        components = [_number(node, value, field)]
    elif node.form is Form.CLASS:
        components = [_class(node, value, field)]
    elif node.form is Form.FLAG:
        components = [_flag(node, value, field)]
    elif node.form is Form.CONTEXT:
        components = _context(node, value, field)
    else:
        components, shares = _histograms(node, value, field)
    return np.array(components, dtype=np.float32), shares
