"""Baselines for tests: quantiles that rise within what each component can take."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from riskgraph.core.baseline import Baseline, Quantiles, device_classes, trajectory_components
from riskgraph.core.bounds import component_bounds
from riskgraph.core.catalog import catalog

Units = Callable[[str, str], int]


def some_baseline(
    seed: int = 0,
    units: Units = lambda component, kind: 1000,
    *,
    provenance: str = "merchant",
    merchants: tuple[str, ...] = (),
    steps: int = 20,
) -> Baseline:
    """A random baseline; ``units`` tells how many persons stand behind a component on a kind of device."""
    rng, bounds = np.random.default_rng(seed), component_bounds()
    rows = []
    for place in trajectory_components():
        low, high = bounds[:, place]
        name = catalog().components[place]
        for kind in device_classes():
            values = np.sort(low + (high - low) * rng.beta(2, 5, steps + 1)).astype(np.float32)
            # A tenth of the shoppers have the least value: what is flat must be mapped as well.
            values[: steps // 10 + 1] = values[0]
            count = units(name, kind)
            told = tuple(float(str(v)) for v in values) if count >= 100 else ()
            rows.append(Quantiles(name, kind, count, told))
    return Baseline((f"rel-{seed:016x}",), provenance, 50, tuple(rows), merchants)
