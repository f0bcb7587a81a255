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

from riskgraph.core.catalog import BIN_COUNT, Form, NodeSpec
from riskgraph.core.errors import Invalid

MAX_COUNT = 10_000_000
_HUGE = 1e300
Floats = NDArray[np.float64]


def histogram_quantiles(edges: Floats, counts: NDArray[np.int64], q: float) -> Floats:
    """Quantile ``q`` of H histograms, linear inside its bin, in the unit of ``edges``.

    Args:
        edges: float64[H, 17].
        counts: int64[H, 16], no row empty.
        q: Above 0, at most 1.
    """
    rows = np.arange(len(counts))
    total = counts.cumsum(axis=1)
    target = q * total[:, -1]
    at = (total >= target[:, None]).argmax(axis=1)
    here, low = counts[rows, at], edges[rows, at]
    inside = (target - (total[rows, at] - here)) / here
    return np.asarray(low + inside * (edges[rows, at + 1] - low))


def histogram_components(edges: Floats, counts: NDArray[np.int64]) -> Floats:
    """``n, p50, spread, entropy, mode_share`` of H histograms, as float64[H, 5].

    Args:
        edges: float64[H, 17], see ``HistogramSpec.edges``.
        counts: int64[H, 16], each row with at least one entry.
    """
    total = counts.sum(axis=1)
    p10, p50, p90 = (histogram_quantiles(edges, counts, q) for q in (0.1, 0.5, 0.9))
    width = edges[:, 1] - edges[:, 0]
    shares = counts / total[:, None]
    entropy = -(shares * np.log2(np.where(counts > 0, shares, 1.0))).sum(axis=1)
    spread = np.log2((p90 + width) / (p10 + width))
    mode = counts.max(axis=1) / total
    return np.stack([np.log2(1.0 + total), p50, spread, np.maximum(entropy, 0.0), mode], axis=1)


def histogram_shares(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Shares of the 16 bins of H histograms, rounded to 1/255: uint8[H, 16]."""
    shares: NDArray[np.uint8] = np.rint(255 * counts / counts.sum(axis=1, keepdims=True)).astype(np.uint8)
    return shares


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _HUGE


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
    if set(map(type, bins)) != {int} or min(bins) < 0 or max(bins) > MAX_COUNT:
        raise Invalid(f"bins are whole counts from 0 to {MAX_COUNT}", field=f"{field}.bins")
    total = sum(bins)
    if value["n"] != total:
        raise Invalid(f"n is {value['n']!r:.20} but the bins sum to {total}", field=f"{field}.n")
    if not total:
        raise Invalid("an empty histogram is an absent node: leave it out", field=f"{field}.n")
    return bins


def parse_histograms(node: NodeSpec, value: Any, field: str) -> list[list[int]]:
    """The checked counts of each histogram of a node, in catalogue order.

    Raises:
        Invalid: If a histogram is missing, unknown or wrong; the field is named.
    """
    if len(node.histograms) == 1:
        return [parse_histogram(value, field)]
    names = [h.name for h in node.histograms]
    if not isinstance(value, Mapping) or set(value) != set(names):
        raise Invalid(f"{node.id} ({node.name}) needs the histograms {', '.join(names)}", field=field)
    return [parse_histogram(value[name], f"{field}.{name}") for name in names]


def _context(node: NodeSpec, value: Any, field: str) -> list[float]:
    if not isinstance(value, Mapping) or not set(value) <= set(node.components):
        raise Invalid(f"{node.id} needs named numbers out of {', '.join(node.components)}", field=field)
    if any(not _is_number(v) for v in value.values()):
        raise Invalid(f"{node.id} needs finite numbers", field=field)
    return [float(value.get(name, math.nan)) for name in node.components]


def parse_plain(node: NodeSpec, value: Any, field: str) -> list[float]:
    """Components of a node that is no histogram.

    Raises:
        Invalid: If the value is not of the node's form; the field is named.
    """
    if node.form is Form.NUMBER:
        return [_number(node, value, field)]
    if node.form is Form.CLASS:
        return [_class(node, value, field)]
    if node.form is Form.FLAG:
        return [_flag(node, value, field)]
    return _context(node, value, field)
