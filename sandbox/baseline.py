"""What is usual at one merchant: quantiles of the SDK's behavior components, per device class.

A way of typing is judged against how honest shoppers of the same merchant type on the same kind of device.
That yardstick leaves the sandbox too, so it must tell no more than a release does: it is computed from a
release's drawn rows alone, which are drawn from R1 to R4. That is post-processing; no raw value is read.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.canonical import canonical_json
from riskgraph.core.catalog import Form, catalog
from riskgraph.core.units import LEAST_K
from riskgraph.sandbox.draw import ReleasedRows
from riskgraph.sandbox.release import Release

SCHEMA = "riskgraph.baseline/1"
ANY_DEVICE = "any"
MAX_BINS = 20
_DEVICE = catalog().component_index["B077.value"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of one component on one kind of device.

    Attributes:
        component, device_class: Which; ``any`` takes all devices, of unknown class too.
        units: Persons that stand behind it, estimated: the class's units times its share of the weight.
        values: Quantiles at equal steps of rank, from 0 to 1; at least k units between neighbours.
    """

    component: str
    device_class: str
    units: int
    values: tuple[float, ...]


def behavior_components() -> tuple[int, ...]:
    """Places of the numbers and histogram components that the SDK measures of behavior and motion."""
    nodes = catalog().nodes
    return tuple(
        column
        for column, node in enumerate(catalog().component_node)
        if nodes[node].computed_by == "sdk"
        and nodes[node].purpose in ("behavior", "motion")
        and nodes[node].form in (Form.NUMBER, Form.HISTOGRAM)
    )


def human_baseline(release: Release) -> dict[str, Any]:
    """The baseline that follows from one release, as one JSON value.

    Args:
        release: A verified release; its honest drawn rows are used, by weight.

    Returns:
        ``schema``, ``baseline_id`` (SHA-256 of all else), ``release_id``, ``provenance``, ``k``,
        ``quantiles`` (see :class:`Quantiles`), and ``left_out``: component and device class of what fewer
        than 2 k units stand behind.

    Raises:
        TypeError: If anything but a ``Release`` is passed.
    """
    if not isinstance(release, Release):
        raise TypeError(f"a baseline is made of a release, got {type(release).__name__}; see Release.open")
    k = max(release.k, LEAST_K)
    units = next(c["units"] for c in release.manifest["input"]["classes"] if c["label"] == 0)
    found = honest_quantiles(release.rows, units, k)
    content = {
        "schema": SCHEMA,
        "release_id": release.release_id,
        "provenance": release.provenance,
        "k": k,
        "quantiles": [asdict(table) for table in found if table.values],
        "left_out": [[t.component, t.device_class] for t in found if not t.values],
    }
    return {**content, "baseline_id": hashlib.sha256(canonical_json(content)).hexdigest()}


def honest_quantiles(rows: ReleasedRows, units: int, k: int) -> list[Quantiles]:
    """Quantiles of each behavior component on all devices and on each kind; without values where too few.

    Args:
        rows: Drawn rows of both classes.
        units: Persons that all honest rows together stand for.
        k: Least units of a bin.
    """
    honest = rows.label == 0
    values, weight = rows.components[honest], rows.weight[honest]
    weight = weight * (units / weight.sum())
    kinds = {ANY_DEVICE: np.ones(len(values), dtype=np.bool_)}
    kinds |= {word: values[:, _DEVICE] == place for place, word in enumerate(catalog()["B077"].words)}
    found = []
    for column in behavior_components():
        name, present = catalog().components[column], ~np.isnan(values[:, column])
        for kind, mine in kinds.items():
            there = mine & present
            table = weighted_quantiles(values[there, column], weight[there], k)
            found.append(Quantiles(name, kind, int(weight[there].sum()), tuple(map(float, table))))
    return found


def weighted_quantiles(values: Floats, units: Doubles, k: int) -> Floats:
    """Quantiles at equal steps of rank, as many as leave at least ``k`` units between neighbours.

    Args:
        values: float32[n], without NaN.
        units: float64[n], units that each row stands for.
        k: Least units of a bin.

    Returns:
        float32[B + 1] with B at most 20, rising from the least value to the greatest; empty where there
        are fewer than two bins.
    """
    bins = min(MAX_BINS, int(units.sum() // k))
    if bins < 2:
        return np.empty(0, dtype=np.float32)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(units[order])
    # Each row is one step of the inverse of the weighted distribution: a quantile is a drawn value.
    place = np.searchsorted(reached, np.arange(bins + 1) / bins * reached[-1] * (1 - 1e-12), side="left")
    out: Floats = values[order][np.minimum(place, len(values) - 1)]
    return out
