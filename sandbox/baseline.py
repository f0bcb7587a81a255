"""Making a baseline of releases: quantiles of the trajectory components among honest shoppers.

A way of typing is judged against how honest shoppers of the same merchant type on the same kind of device.
That yardstick leaves the sandbox too, so it must tell no more than a release does: it is computed from
drawn rows alone, which are drawn from R1 to R4. That is post-processing; no raw value is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.baseline import (
    ANY_DEVICE,
    DEVICE_NODE,
    Baseline,
    Quantiles,
    device_classes,
    is_trajectory,
)
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid
from riskgraph.core.units import LEAST_K
from riskgraph.sandbox.release import Release

MAX_BINS = 20
_DEVICE = catalog().component_index[f"{DEVICE_NODE}.value"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def human_baseline(releases: Sequence[Release], merchants: Iterable[str] = ()) -> Baseline:
    """The baseline that follows from releases, pooled; their honest drawn rows are used, by weight.

    A person who is in two of them counts twice: a record enters one release only, a person may enter more.

    Args:
        releases: Verified releases, one at least.
        merchants: Ids of those whose shoppers they are of, which releases do not tell.

    Raises:
        TypeError: If anything but a ``Release`` is passed.
        Invalid: If there is none, or one is passed twice; or a merchant has no name.
    """
    for release in releases:
        if not isinstance(release, Release):
            raise TypeError(f"a baseline is made of releases, got {type(release).__name__}; see Release.open")
    ids = [release.release_id for release in releases]
    if not ids or len(set(ids)) < len(ids):
        raise Invalid("a baseline needs releases, each once", field="release")
    named = tuple(sorted(set(merchants)))
    if not all(name.strip() for name in named):
        raise Invalid("a merchant's id is empty", field="merchant")
    merchant = all(release.provenance == "merchant" for release in releases)
    k = max(LEAST_K, *(release.k for release in releases))
    units = [_persons(release) for release in releases]
    honest = [release.stored.label == 0 for release in releases]

    def columns(part: slice) -> Floats:
        read = zip(releases, honest, strict=True)
        return np.concatenate([release.stored.columns(part)[rows] for release, rows in read])

    mine = zip(releases, honest, units, strict=True)
    weight = np.concatenate([_persons_each(release.stored.weight[rows], of) for release, rows, of in mine])
    found = honest_quantiles(columns, weight, k)
    return Baseline(tuple(ids), "merchant" if merchant else "simulated", k, tuple(found), named)


def _persons(release: Release) -> int:
    """Honest persons of a release."""
    return int(next(c["units"] for c in release.manifest["input"]["classes"] if c["label"] == 0))


def _persons_each(weight: Doubles, units: int) -> Doubles:
    """Persons that each row stands for, so that all rows stand for all persons."""
    return np.asarray(weight * (units / weight.sum()))


def honest_quantiles(columns: Callable[[slice], Floats], units: Doubles, k: int) -> list[Quantiles]:
    """Quantiles of each trajectory component on all devices and on each kind; without values where too few.

    Args:
        columns: Reads some neighbouring components of the honest rows, float32[N, C], NaN where absent.
        units: float64[N], persons that each of them stands for.
        k: Least units of a bin.
    """
    device = columns(slice(_DEVICE, _DEVICE + 1))[:, 0]
    kinds: Mapping[str, NDArray[np.bool_]] = {
        **{word: device == place for place, word in enumerate(device_classes()[:-1])},
        ANY_DEVICE: np.ones(len(device), dtype=np.bool_),
    }
    found = []
    for node in filter(is_trajectory, catalog()):
        part = catalog().component_slices[node.index]
        for name, values in zip(catalog().components[part], columns(part).T, strict=True):
            present = ~np.isnan(values)
            for kind, mine in kinds.items():
                there = mine & present
                table = weighted_quantiles(values[there], units[there], k)
                # As short as a float32 can be written: the same number once it is read as one.
                told = tuple(float(str(value)) for value in table)
                found.append(Quantiles(name, kind, int(units[there].sum()), told))
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
