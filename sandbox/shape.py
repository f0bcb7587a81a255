"""R3: class marginals on bins, the shape inside a bin, and the correlation of honest residuals.

Every cell stands for at least k units. Inside a bin both classes take the honest shape. The
correlation is pooled over honest residuals only: a fraud-class correlation gives fraud persons away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.sandbox.absence import FLAG_COUNT, PARTS
from riskgraph.sandbox.bins import Binned, Scale, round_up
from riskgraph.sandbox.bounds import category_components, component_bounds, whole_components
from riskgraph.sandbox.frame import COMPONENT_COUNT, Frame

MAX_CELLS = 4
SHRINK = 0.03
_SAMPLE = 20_000
_NODE = np.array(catalog().component_node)

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """Released cells of one component, in rising order of value.

    Attributes:
        lower, upper: float64[C]; a cell covers ``(lower, upper]``, or one value when they agree.
        bin: int8[C], the bin that the cell lies in.
        share: float64[2, C], share of each class's present rows; sums to 1 (or 0 where none is).
        whole: Whether the component takes whole numbers only.
    """

    lower: Doubles
    upper: Doubles
    bin: NDArray[np.int8]
    share: Doubles
    whole: bool


@dataclass(frozen=True)
class _Cell:
    lower: float
    upper: float
    weight: float


def _run(values: Doubles, low: float | None, high: float | None, k: int) -> list[_Cell]:
    """Cells of one bin. ``values``: sorted, one per honest unit, so that a cell's size is in units."""
    parts = max(1, min(MAX_CELLS, len(values) // k))
    cuts = [len(values) * i // parts for i in range(parts + 1)]
    cells: list[_Cell] = []
    for i in range(parts):
        part = values[cuts[i] : cuts[i + 1]]
        if part[0] == part[-1]:
            cells.append(_Cell(float(part[0]), float(part[0]), len(part)))
            continue
        mean = float(part.mean())
        inner = round_up(part[[0, -1]]).tolist()
        # the outer end of an open bin would be one person's value: mirror the other end instead
        upper = inner[1] if i < parts - 1 else high if high is not None else None
        lower = inner[0] if i else low if low is not None else None
        if lower is None and upper is None:
            spread = float(part.std())
            lower, upper = mean - 2 * spread, mean + 2 * spread
        elif lower is None:
            lower = 2 * mean - float(upper or 0.0)
        elif upper is None:
            upper = 2 * mean - lower
        cells.append(_Cell(min(lower, mean), max(float(upper or 0.0), mean), len(part)))
    return cells


def _categories(values: Doubles, k: int) -> list[_Cell]:
    """Cells of a bin of classes: the words that k units show, else the commonest alone."""
    words, sizes = np.unique(values, return_counts=True)
    kept = sizes >= k
    if not kept.any():
        kept = sizes == sizes.max()
    return [_Cell(float(w), float(w), float(n)) for w, n in zip(words[kept], sizes[kept], strict=True)]


def _thin(values: Doubles, under: float, over: float, category: bool) -> _Cell:
    """One cell for a bin that k honest units share, too few of them with it in their first row."""
    if category:
        words, sizes = np.unique(values, return_counts=True)
        common = float(words[np.argmax(sizes)])
        return _Cell(common, common, 1.0)
    mean, spread = float(values.mean()), float(values.std())
    return _Cell(max(under, mean - spread), min(over, mean + spread), 1.0)


def _component(
    frame: Frame, codes: NDArray[np.uint8], scale: Scale, j: int, k: int
) -> list[tuple[int, _Cell]]:
    """Cells of component ``j`` with their bins, from honest rows; weights sum to 1 in each bin."""
    first = frame.unit_starts[frame.units_of(0)]
    honest, category = frame.rows_of(0), bool(category_components()[j])
    samples, places = frame.values[j, first], codes[first]
    low, high = (float(b[j]) for b in component_bounds())
    out: list[tuple[int, _Cell]] = []
    for b in range(len(scale.z)):
        inside = np.sort(samples[places == b + 1].astype(np.float64))
        under = float(scale.edges[b - 1]) if b else None
        over = float(scale.edges[b]) if b < len(scale.edges) else None
        bottom, top = low if under is None else under, high if over is None else over
        if len(inside) >= k:
            found = _categories(inside, k) if category else _run(inside, under, over, k)
        elif len(np.unique(frame.unit[honest][codes[honest] == b + 1])) >= k:
            everyone = frame.values[j, honest][codes[honest] == b + 1].astype(np.float64)
            found = [_thin(everyone, bottom, top, category)]
        else:
            found = [_Cell(bottom, top, 1.0)]
        weight = sum(c.weight for c in found)
        out += [(b, _Cell(c.lower, c.upper, c.weight / weight)) for c in found]
    return out


def fit_shapes(frame: Frame, binned: Binned, k: int) -> tuple[Shape, ...]:
    """Shapes of all 259 components."""
    clean, units = frame.rows_of(0).stop, _class_units(frame, binned)
    shapes = []
    for j, (scale, codes) in enumerate(zip(binned.scales, binned.codes, strict=True)):
        low, high = (float(b[j]) for b in component_bounds())
        parts = (codes[:clean], codes[clean:])
        bins = len(scale.z)
        tally = np.stack([np.bincount(p, minlength=bins + 1)[1:] for p in parts]).astype(np.float64)
        if units[1, j] < k:
            # too few fraud units have the component at all: no marginal of their own
            tally[1] = tally[0]
        cells = _component(frame, codes, scale, j, k)
        place = np.array([b for b, _ in cells], dtype=np.int8)
        share = np.where(tally.sum(axis=1, keepdims=True) > 0, tally, 1.0)
        share /= share.sum(axis=1, keepdims=True)
        shapes.append(
            Shape(
                lower=np.clip([c.lower for _, c in cells], low, high),
                upper=np.clip([c.upper for _, c in cells], low, high),
                bin=place,
                share=share[:, place] * np.array([c.weight for _, c in cells]),
                whole=bool(whole_components()[j]),
            )
        )
    return tuple(shapes)


def _class_units(frame: Frame, binned: Binned) -> NDArray[np.int64]:
    """int64[2, 259]: units of each class that have the component at all."""
    out = np.zeros((2, COMPONENT_COUNT), dtype=np.int64)
    for j, codes in enumerate(binned.codes):
        has = np.maximum.reduceat(codes, frame.unit_starts) > 0
        out[:, j] = [np.count_nonzero(has[frame.units_of(c)]) for c in (0, 1)]
    return out


def honest_correlation(
    frame: Frame,
    binned: Binned,
    group: NDArray[np.int32],
    moments: tuple[Floats, Floats, Floats],
    k: int,
    rng: np.random.Generator,
) -> Floats:
    """Correlation of honest residuals within groups, over 259 values and 141 presence flags.

    Args:
        frame: The accepted rows.
        binned: Their bins.
        group: int32[N], group of each row, -1 for none.
        moments: Exact mean and sd, float32[G, 259], and presence shares, float32[G, 141].
        k: Pairs seen together in fewer than k sampled rows count as uncorrelated.
        rng: Source of the row sample.

    Returns:
        float32[400, 400]: pairwise present, eigenvalues clipped, shrunk 3 % to identity.
    """
    mean, sd, share = moments
    rows = np.flatnonzero(group[frame.rows_of(0)] >= 0)
    rows = np.sort(rng.choice(rows, min(_SAMPLE, len(rows)), replace=False))
    mine = group[rows]
    size = COMPONENT_COUNT + FLAG_COUNT
    left = np.zeros((len(rows), size), dtype=np.float32)
    seen = np.ones_like(left)
    for j, scale in enumerate(binned.scales):
        codes = binned.codes[j, rows]
        seen[:, j] = codes > 0
        left[:, j] = seen[:, j] * (scale.latent(codes) - mean[mine, j]) / np.maximum(sd[mine, j], 0.05)
    flags = np.vstack([frame.present[:, rows], [binned.codes[j][rows] > 0 for _, j in PARTS]]).T
    for i, (node, _) in enumerate(PARTS, start=COMPONENT_COUNT + NODE_COUNT):
        seen[:, i] = frame.present[node, rows]
    spread = np.sqrt(np.maximum(share * (1 - share), 1e-4))
    left[:, COMPONENT_COUNT:] = seen[:, COMPONENT_COUNT:] * (flags - share[mine]) / spread[mine]
    np.clip(left, -4, 4, out=left)
    return _positive(_pairwise(left, seen, k))


def _pairwise(left: Floats, seen: Floats, k: int) -> Doubles:
    together = seen.T @ seen
    squares = (left * left).T @ seen
    cross = (left.T @ left).astype(np.float64)
    out: Doubles = cross / np.sqrt(np.maximum(squares.astype(np.float64) * squares.T, 1e-9))
    out[together < k] = 0.0
    # a flag is a cut latent variable: sin(pi/2 phi) is exact for two median cuts, 1.25 is sqrt(pi/2)
    flags = slice(COMPONENT_COUNT, None)
    out[flags, flags] = np.sin(np.pi / 2 * np.clip(out[flags, flags], -1, 1))
    out[flags, :COMPONENT_COUNT] *= 1.25
    out[:COMPONENT_COUNT, flags] *= 1.25
    return np.clip(out, -1, 1)


def _positive(matrix: Doubles) -> Floats:
    """Nearest usable correlation matrix: clip eigenvalues, rescale, shrink."""
    np.fill_diagonal(matrix, 1.0)
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * np.maximum(values, 1e-3)) @ vectors.T
    scale = np.sqrt(np.diag(matrix))
    matrix = (1 - SHRINK) * matrix / np.outer(scale, scale)
    np.fill_diagonal(matrix, 1.0)
    return matrix.astype(np.float32)
