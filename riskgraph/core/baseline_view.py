"""What a model sees of an order at a merchant: trajectory nodes as ranks among the merchant's own shoppers.

A component's value becomes its rank in the merchant's baseline, and the rank the value that has it in the
*reference*, the baseline of the releases that the model was trained on (quantile mapping, as climate models
are fitted to a place; Panofsky and Brier 1968). So the model's bins mean the same everywhere. Where nobody
knows the merchant's shoppers well enough, the node is absent to the model and adds exactly zero: *abstain
until calibrated*. What is stored is never touched, or no baseline could ever be made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.baseline import (
    DEVICE_NODE,
    Baseline,
    Quantiles,
    device_classes,
    trajectory_components,
)
from riskgraph.core.bounds import component_bounds
from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.subgraph import OrderSubgraph

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

NONE = "none"
_PLACES = np.array(trajectory_components())
_NODE_OF_PLACE = np.array(catalog().component_node)[_PLACES]
_COLUMNS = np.arange(len(_PLACES))
_COLUMN = {int(place): column for column, place in enumerate(_PLACES)}
_DEVICE = catalog().component_index[f"{DEVICE_NODE}.value"]
_ANY = len(device_classes()) - 1
_LOW, _HIGH = component_bounds()[:, _PLACES].astype(np.float64)


class Curve:
    """The rising map of one component from the merchant's scale to the reference's, linear in pieces.

    Between two of the merchant's quantiles the rank rises evenly. A value that holds many shoppers (a flat
    part) has the middle of their ranks. Beyond the merchant's ends the reference's end goes on by the
    overhang, scaled by the spread of both, or unscaled where one of them has none: a clamp there would hide
    who moves as no honest shopper does. All is held to what the component can take.

    Attributes:
        knots: float64[K], where pieces begin, rising.
        at: float64[K], image of each knot.
        base, slope, top: float64[K + 1], of each piece its image's start, slope and end; the first piece lies
            below all knots.
        low: Least image.
    """

    def __init__(self, merchant: Quantiles, reference: Quantiles, low: float, high: float) -> None:
        own, other = merchant.array, reference.array
        ranks, steps = np.linspace(0.0, 1.0, len(own)), np.linspace(0.0, 1.0, len(other))
        values, first, count = np.unique(own, return_index=True, return_counts=True)
        begin, end = ranks[first], ranks[first + count - 1]
        # Knots are the merchant's values, and between them where the reference has a quantile: so each piece
        # is a line. Ranks of a knot: where its piece ends, itself, where the next begins.
        inner = [steps[(steps > a) & (steps < b)] for a, b in zip(end[:-1], begin[1:], strict=True)]
        knots, reached = [values[:1]], [[begin[0], (begin[0] + end[0]) / 2, end[0]]]
        for j, between in enumerate(inner, start=1):
            share = (between - end[j - 1]) / (begin[j] - end[j - 1])
            knots += [values[j - 1] + share * (values[j] - values[j - 1]), values[j : j + 1]]
            reached += [[rank] * 3 for rank in between]
            reached.append([begin[j], (begin[j] + end[j]) / 2, end[j]])
        image = np.interp(np.array(reached), steps, other)
        # Rounding must not make it fall anywhere.
        image = np.maximum.accumulate(image.ravel()).reshape(-1, 3).clip(low, high)
        self.low, self.knots = low, np.concatenate(knots)
        before, self.at, after = image.T
        self.base, self.top = np.append(before[0], after), np.append(before, high)
        spread = (other[-1] - other[0]) / (own[-1] - own[0]) if own[-1] > own[0] else 0.0
        # Without spread there is no scale; 0 would clamp.
        width, beyond = np.diff(self.knots), [float(spread) or 1.0]
        # Two knots can round to one; between them nothing lies.
        rise = np.divide(before[1:] - after[:-1], width, out=np.zeros_like(width), where=width > 0)
        self.slope = np.concatenate([beyond, rise, beyond])

    def __call__(self, values: Floats) -> Floats:
        """Images float32[N] of values float32[N]; NaN stays NaN."""
        x = values.astype(np.float64)
        piece = np.searchsorted(self.knots, x, side="right")
        start = np.maximum(piece - 1, 0)
        y = self.base[piece] + self.slope[piece] * (x - self.knots[start])
        y = np.maximum(np.minimum(y, self.top[piece]), self.low)
        y = np.where((piece > 0) & (x == self.knots[start]), self.at[start], y)
        return np.asarray(y, dtype=np.float32)


class _Curves:
    """The curves of all trajectory components on one kind of device, side by side: one order in microseconds.

    Rows are knots or pieces, columns components; where there is no curve, columns are NaN.
    """

    def __init__(self, curves: Mapping[int, Curve]) -> None:
        knots = max((len(curve.knots) for curve in curves.values()), default=0)
        shape = (knots + 1, len(_PLACES))
        self._knots = np.full((knots, len(_PLACES)), np.inf)
        start, at, base, slope, top = (np.full(shape, np.nan) for _ in range(5))
        for column, curve in curves.items():
            k = len(curve.knots)
            self._knots[:k, column] = curve.knots
            start[: k + 1, column] = np.append(curve.knots[0], curve.knots)
            at[1 : k + 1, column] = curve.at
            base[: k + 1, column], slope[: k + 1, column] = curve.base, curve.slope
            top[: k + 1, column] = curve.top
        self._flat = [table.ravel() for table in (start, at, base, slope, top)]

    def __call__(self, values: Floats) -> Floats:
        """Images float32[115] of one order's trajectory components; NaN stays NaN."""
        x = values.astype(np.float64)
        cell = np.add.reduce((self._knots <= x).view(np.uint8), axis=0, dtype=np.intp)
        cell *= len(_PLACES)
        cell += _COLUMNS
        start, at, base, slope, top = [table.take(cell) for table in self._flat]
        y = np.maximum(np.minimum(base + slope * (x - start), top), _LOW)
        # At the first piece start is a knot that is not reached, so nothing equals it.
        return np.asarray(np.where(x == start, at, y), dtype=np.float32)


class BaselineView:
    """How one model sees the orders of one merchant; safe to share between threads.

    Args:
        merchant: The merchant's baseline; None where there is none: the model sees no trajectory node.
        reference: The baseline of the releases that the model was trained on; None as well.
        abstain: False where a model was trained on values of few shoppers too, and is asked about the very
            merchant that it was trained on.

    Where both are one and the same, values stay what they are, bit for bit.

    Raises:
        ValueError: If it shall not abstain at another merchant than the model's own.
    """

    def __init__(
        self, merchant: Baseline | None, reference: Baseline | None, *, abstain: bool = True
    ) -> None:
        self.merchant, self.reference, self.abstains = merchant, reference, abstain
        both = merchant is not None and reference is not None
        own = both and self.baseline_id == (reference.baseline_id if reference else NONE)
        if not abstain and not own:
            raise ValueError("whoever is not judged by the model's own baseline needs persons behind theirs")
        kinds = device_classes()
        calibrated = [[self._pair(place, kind) is not None for place in _PLACES.tolist()] for kind in kinds]
        self._hidden = np.zeros((len(kinds), NODE_COUNT), dtype=np.bool_)
        # A node of which one component is not calibrated is not.
        for row, known in zip(self._hidden, calibrated, strict=True):
            row[_NODE_OF_PLACE[~np.array(known)]] = abstain
        # With nothing to map, or on the same scale.
        self._same = own or not both
        self._curves = [self._curves_of(kind) for kind in kinds] if not self._same else []
        self._together = [_Curves(curves) for curves in self._curves]

    @property
    def baseline_id(self) -> str:
        return NONE if self.merchant is None else self.merchant.baseline_id

    def _pair(self, place: int, kind: str) -> tuple[Quantiles, Quantiles] | None:
        """The merchant's and the reference's quantiles; None unless enough persons stand behind both."""
        if self.merchant is None or self.reference is None:
            return None
        key = catalog().components[place], kind
        own, other = self.merchant.by_place[key], self.reference.by_place[key]
        return (own, other) if own.calibrated and other.calibrated else None

    def _curves_of(self, kind: str) -> dict[int, Curve]:
        """By column of ``trajectory_components``."""
        pairs = {column: self._pair(place, kind) for place, column in _COLUMN.items()}
        return {c: Curve(*pair, _LOW[c], _HIGH[c]) for c, pair in pairs.items() if pair is not None}

    def see(self, subgraph: OrderSubgraph) -> OrderSubgraph:
        """The order as the model sees it; the same object where nothing differs."""
        kind = device_of(subgraph)
        hidden = subgraph.present & self._hidden[kind]
        if self._same:
            return subgraph.seen(subgraph.components, hidden) if hidden.any() else subgraph
        components = subgraph.components.copy()
        components[_PLACES] = self._together[kind](components.take(_PLACES))
        return subgraph.seen(components, hidden)

    def see_columns(self, values: Floats, part: slice, kinds: NDArray[np.intp]) -> Floats:
        """Some neighbouring components of many orders, as the model sees them.

        Args:
            values: float32[N, C], NaN where absent.
            part: Which components.
            kinds: intp[N], see :func:`devices_of`.
        """
        seen = values.copy()
        for offset, place in enumerate(range(*part.indices(len(catalog().components)))):
            if place not in _COLUMN:
                continue
            for kind in np.unique(kinds).tolist():
                rows = kinds == kind
                if self._hidden[kind, catalog().component_node[place]]:
                    seen[rows, offset] = np.nan
                elif not self._same:
                    seen[rows, offset] = self._curves[kind][_COLUMN[place]](values[rows, offset])
        return seen

    def unseen(self, subgraph: OrderSubgraph) -> list[str]:
        """Ids of nodes that the order has and the model did not see."""
        hidden = subgraph.present & self._hidden[device_of(subgraph)]
        return [catalog().nodes[i].id for i in hidden.nonzero()[0].tolist()]

    def told(self, subgraph: OrderSubgraph) -> dict[str, Any]:
        """What a report has to say of it, as JSON."""
        merchant, reference = self.merchant, self.reference
        return {
            "id": self.baseline_id,
            "provenance": None if merchant is None else merchant.provenance,
            "releases": [] if merchant is None else list(merchant.releases),
            "reference": NONE if reference is None else reference.baseline_id,
            "abstains": self.abstains,
            "device_class": device_classes()[device_of(subgraph)],
            "unseen": self.unseen(subgraph),
        }


@dataclass(frozen=True, slots=True)
class Views:
    """By which view a model sees the orders of each merchant; without any it sees what is stored.

    Attributes:
        other: Of every merchant that is not named.
        named: By merchant id.
    """

    other: BaselineView | None = None
    named: Mapping[str, BaselineView] = field(default_factory=dict)

    def of(self, merchant_id: str) -> BaselineView | None:
        return self.named.get(merchant_id, self.other)

    def see(self, subgraph: OrderSubgraph, merchant_id: str) -> OrderSubgraph:
        """An order of a merchant as the model sees it."""
        view = self.of(merchant_id)
        return subgraph if view is None else view.see(subgraph)


def device_of(subgraph: OrderSubgraph) -> int:
    """Place of an order's kind of device in ``device_classes``; the last where it is not known."""
    value = float(subgraph.components[_DEVICE])
    return _ANY if value != value else int(value)


def devices_of(values: Floats) -> NDArray[np.intp]:
    """The same of many orders, intp[N], from float32[N], their component ``B077.value``."""
    return np.where(np.isnan(values), _ANY, np.nan_to_num(values)).astype(np.intp)


def rank_distance(one: Baseline, other: Baseline) -> dict[tuple[str, str], float]:
    """How far two baselines are apart: by component and kind of device the largest difference of rank.

    The Kolmogorov-Smirnov distance of the two distributions as their quantiles give them; only where enough
    persons stand behind both.
    """
    found = {}
    for key, own in one.by_place.items():
        its = other.by_place[key]
        if own.calibrated and its.calibrated:
            values = np.unique(np.concatenate([own.array, its.array]))
            below = np.abs(_shares_below(own, values) - _shares_below(its, values))
            upto = np.abs(_shares_upto(own, values) - _shares_upto(its, values))
            found[key] = float(max(below.max(), upto.max()))
    return found


def _shares_upto(quantiles: Quantiles, values: Doubles) -> Doubles:
    """Shares at most at values, linear between quantiles; of quantiles that are equal the last counts."""
    ranks = np.linspace(0.0, 1.0, len(quantiles.values))
    return np.interp(values, quantiles.array, ranks, left=0.0, right=1.0)


def _shares_below(quantiles: Quantiles, values: Doubles) -> Doubles:
    ranks = np.linspace(0.0, 1.0, len(quantiles.values))
    return 1.0 - np.interp(-values, -quantiles.array[::-1], ranks, left=0.0, right=1.0)
