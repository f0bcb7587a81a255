"""From a node's wire value to its components: the only place where this happens.

Rules of contracts section 1: ``n`` is log2(1 + n); quantiles are linear inside a bin and the last
bin ends at twice its lower edge; ``spread`` is log2((p90 + w) / (p10 + w)) with w the width of the
first bin; entropy in bits. Everything is rounded to float32 here, shares to uint8, so that every
store gives back the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import BIN_COUNT, HISTOGRAM_COMPONENTS, Form, NodeSpec
from riskgraph.core.errors import Invalid

MAX_COUNT = 10_000_000
_HUGE = 1e38  # what float32 can hold
_QUANTILES = np.array([0.1, 0.5, 0.9])
_HISTOGRAM_KEYS = {"n", "bins"}
_INTEGERS = frozenset({int})
_NUMBERS = (int, float)
Floats = NDArray[np.float64]
PlainParser = Callable[[Any], tuple[float, ...]]
HistogramParser = Callable[[Any], list[list[int]]]


def histogram_quantiles(edges: Floats, counts: NDArray[np.int64], q: Floats) -> Floats:
    """Quantiles of H histograms, linear inside their bin, in the unit of ``edges``: float64[Q, H].

    Args:
        edges: float64[H, 17].
        counts: int64[H, 16], no row empty.
        q: float64[Q], each above 0 and at most 1.
    """
    total = counts.cumsum(axis=1)
    target = q[:, None] * total[:, -1]
    at = (total >= target[:, :, None]).argmax(axis=2)
    rows = np.arange(len(counts))
    cell, edge = at + rows * counts.shape[1], at + rows * edges.shape[1]
    here, low = counts.take(cell), edges.take(edge)
    inside = (target - (total.take(cell) - here)) / here
    return np.asarray(low + inside * (edges.take(edge + 1) - low))


def histogram_components(edges: Floats, counts: NDArray[np.int64]) -> Floats:
    """``n, p50, spread, entropy, mode_share`` of H histograms, as float64[H, 5].

    Args:
        edges: float64[H, 17], see ``HistogramSpec.edges``.
        counts: int64[H, 16], each row with at least one entry.
    """
    total = np.add.reduce(counts, axis=1)
    p10, p50, p90 = histogram_quantiles(edges, counts, _QUANTILES)
    width = edges[:, 1] - edges[:, 0]
    shares = counts / total[:, None]
    out = np.empty((len(counts), len(HISTOGRAM_COMPONENTS)))
    out[:, 0] = np.log2(1.0 + total)
    out[:, 1] = p50
    out[:, 2] = np.log2((p90 + width) / (p10 + width))
    entropy = -np.add.reduce(shares * np.log2(np.where(counts > 0, shares, 1.0)), axis=1)
    out[:, 3] = np.maximum(entropy, 0.0)
    out[:, 4] = np.maximum.reduce(shares, axis=1)
    return out


def histogram_shares(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Shares of the 16 bins of H histograms, rounded to 1/255: uint8[H, 16]."""
    total = np.add.reduce(counts, axis=1, keepdims=True)
    shares: NDArray[np.uint8] = np.rint(255 * counts / total).astype(np.uint8)
    return shares


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and value is not True and value is not False and abs(value) < _HUGE


def _wrong(node: NodeSpec, what: str) -> Invalid:
    return Invalid(f"{node.id} ({node.name}) {what}", field=f"signals.{node.id}")


def _number_parser(node: NodeSpec) -> PlainParser:
    low, high = node.bounds

    def parse(value: Any) -> tuple[float, ...]:
        if type(value) is not float and not _is_number(value):
            raise _wrong(node, f"needs a finite number, got {value!r:.40}")
        if not low <= value <= high:
            raise _wrong(node, f"must lie in {low:g}..{high:g} {node.unit}, got {value:g}")
        return (value,)

    return parse


def _class_parser(node: NodeSpec) -> PlainParser:
    codes = {word: (float(i),) for i, word in enumerate(node.words)}

    def parse(value: Any) -> tuple[float, ...]:
        code = codes.get(value) if isinstance(value, str) else None
        if code is None:
            raise _wrong(node, f"must be one of {', '.join(node.words)}; got {value!r:.40}")
        return code

    return parse


def _flag_parser(node: NodeSpec) -> PlainParser:
    def parse(value: Any) -> tuple[float, ...]:
        if not isinstance(value, bool):
            raise _wrong(node, f"must be true or false, got {value!r:.40}")
        return (float(value),)

    return parse


def _context_parser(node: NodeSpec) -> PlainParser:
    names = node.components
    known = set(names)

    def parse(value: Any) -> tuple[float, ...]:
        if not isinstance(value, Mapping) or not value or not value.keys() <= known:
            raise _wrong(node, f"needs named numbers out of {', '.join(names)}")
        if not all(map(_is_number, value.values())):
            raise _wrong(node, "needs finite numbers")
        return tuple([value.get(name, math.nan) for name in names])

    return parse


_PARSERS = {
    Form.NUMBER: _number_parser,
    Form.CLASS: _class_parser,
    Form.FLAG: _flag_parser,
    Form.CONTEXT: _context_parser,
}


def plain_parser(node: NodeSpec) -> PlainParser:
    """What turns a wire value of a node, which is no histogram, into its components.

    The parser raises Invalid if the value is not of the node's form; the field is named.
    """
    return _PARSERS[node.form](node)


def _parse_counts(value: Any, field: str) -> list[int]:
    """Check one ``{"n": …, "bins": [16 counts]}`` and return its counts.

    Raises:
        Invalid: If the shape is wrong, a count is not a non-negative integer, the sum is not ``n``
            or the histogram is empty (an empty histogram is an absent node).
    """
    if not isinstance(value, dict) or value.keys() != _HISTOGRAM_KEYS:
        raise Invalid('a histogram is {"n": count, "bins": [16 counts]}', field=field)
    bins = value["bins"]
    if not isinstance(bins, list) or len(bins) != BIN_COUNT:
        raise Invalid(f"a histogram has {BIN_COUNT} bins", field=f"{field}.bins")
    if not _INTEGERS.issuperset(map(type, bins)) or min(bins) < 0 or max(bins) > MAX_COUNT:
        raise Invalid(f"bins are whole counts from 0 to {MAX_COUNT}", field=f"{field}.bins")
    total = sum(bins)
    if value["n"] != total:
        raise Invalid(f"n is {value['n']!r:.20} but the bins sum to {total}", field=f"{field}.n")
    if not total:
        raise Invalid("an empty histogram is an absent node: leave it out", field=f"{field}.n")
    return bins


def histogram_parser(node: NodeSpec) -> HistogramParser:
    """What turns a wire value of a histogram node into the counts of each histogram, in catalogue order.

    The parser raises Invalid if a histogram is missing, unknown or wrong; the field is named.
    """
    field = f"signals.{node.id}"
    if len(node.histograms) == 1:
        return lambda value: [_parse_counts(value, field)]
    fields = {h.name: f"{field}.{h.name}" for h in node.histograms}

    def parse(value: Any) -> list[list[int]]:
        if not isinstance(value, dict) or value.keys() != fields.keys():
            raise _wrong(node, f"needs the histograms {', '.join(fields)}")
        return [_parse_counts(value[name], inner) for name, inner in fields.items()]

    return parse
