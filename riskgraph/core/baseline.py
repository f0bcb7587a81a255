"""The human baseline of a merchant: how honest shoppers there move and type, on each kind of device.

Speeds, rhythms and turns belong to a shop and its devices as much as to a person: a threshold on them that
holds in one shop stops people in another. So they are judged by their rank among the merchant's own shoppers
(:mod:`riskgraph.core.baseline_view`), of which a baseline keeps quantiles.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.canonical import canonical_json
from riskgraph.core.catalog import Form, NodeSpec, catalog
from riskgraph.core.errors import Invalid

BASELINE_FILE = "baseline.json"
SCHEMA = "riskgraph.baseline/1"
ANY_DEVICE = "any"
DEVICE_NODE = "B077"
# Of fewer persons the ends of a rank are too coarse to tell odd from rare.
LEAST_UNITS = 500
_TRAJECTORY = "traj"
_MOVING = frozenset({"PTR", "TCH", "KEY"})
_TIMED = frozenset({"dur", "ratio"})


def is_trajectory(node: NodeSpec) -> bool:
    """Whether a node measures a way of moving or typing, and so is judged against the merchant's baseline.

    Numbers and histograms of movement, duration or ratio of pointer, touch and keys, and other movement.
    """
    measured = node.form in (Form.NUMBER, Form.HISTOGRAM)
    return measured and (node.kind == _TRAJECTORY or (node.kind in _TIMED and node.family in _MOVING))


@lru_cache(maxsize=1)
def trajectory_components() -> tuple[int, ...]:
    """Places of the components of all trajectory nodes."""
    nodes = catalog().nodes
    return tuple(c for c, node in enumerate(catalog().component_node) if is_trajectory(nodes[node]))


@lru_cache(maxsize=1)
def device_classes() -> tuple[str, ...]:
    """Kinds of device; ``any``, the last, takes all devices and those of unknown kind."""
    return (*catalog()[DEVICE_NODE].words, ANY_DEVICE)


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of one component on one kind of device.

    Attributes:
        component, device_class: Which; ``any`` takes all devices, of unknown class too.
        units: Persons that stand behind it, estimated: the class's units times its share of the weight.
        values: Quantiles at equal steps of rank, from 0 to 1, each a float32; at least k units between
            neighbours. Empty where fewer than 2 k units stand behind them.
    """

    component: str
    device_class: str
    units: int
    values: tuple[float, ...]

    @cached_property
    def array(self) -> NDArray[np.float64]:
        """The values as the numbers of single precision that components are."""
        return np.array(self.values, dtype=np.float32).astype(np.float64)

    @property
    def calibrated(self) -> bool:
        """Whether enough persons stand behind it to judge others by them."""
        return self.units >= LEAST_UNITS and len(self.values) > 1


@dataclass(frozen=True)
class Baseline:
    """Quantiles of the trajectory components at one merchant.

    Attributes:
        releases: Ids of the releases that it was made of.
        provenance: ``simulated`` or ``merchant``; one simulated release makes it simulated.
        k: Least units between neighbouring quantiles.
        quantiles: One for each trajectory component and kind of device.
        merchants: Ids of those whose shoppers it is of. A simulated one may name none: a simulated shop is
            judged by it whatever its id is.
    """

    releases: tuple[str, ...]
    provenance: str
    k: int
    quantiles: tuple[Quantiles, ...]
    merchants: tuple[str, ...] = ()

    @cached_property
    def by_place(self) -> Mapping[tuple[str, str], Quantiles]:
        """By component and kind of device."""
        return {(q.component, q.device_class): q for q in self.quantiles}

    @cached_property
    def baseline_id(self) -> str:
        """SHA-256 of all that is in it."""
        return hashlib.sha256(canonical_json(self._content())).hexdigest()

    def _content(self) -> dict[str, Any]:
        rows = [{**asdict(q), "values": list(q.values)} for q in self.quantiles]
        head = {"schema": SCHEMA, "releases": list(self.releases), "provenance": self.provenance, "k": self.k}
        # Left out where nobody is named: ids of references, which name nobody, stay what they were.
        named = {"merchants": list(self.merchants)} if self.merchants else {}
        return {**head, **named, "quantiles": rows}

    def to_json(self) -> dict[str, Any]:
        return {**self._content(), "baseline_id": self.baseline_id}

    def to_bytes(self) -> bytes:
        """The bytes of ``baseline.json``: a line for each table, so that two can be compared by eye."""
        data = self.to_json()
        rows = ",\n".join(json.dumps(row) for row in data.pop("quantiles"))
        head = json.dumps(data, indent=1).removesuffix("\n}")
        return f'{head},\n "quantiles": [\n{rows}\n]}}\n'.encode()

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Read a baseline from its file.

        Raises:
            Invalid: If it cannot be opened, is no baseline, or was altered after it was made.
        """
        try:
            data = json.loads(path.read_bytes())
        except OSError as wrong:
            raise Invalid(
                f"the baseline cannot be opened: {path} ({wrong.strerror})", field="baseline"
            ) from wrong
        except (ValueError, RecursionError) as wrong:
            raise Invalid(f"the baseline is not JSON: {path} ({wrong})", field="baseline") from wrong
        try:
            return cls.parse(data)
        except Invalid as wrong:
            raise Invalid(f"{path}: {wrong.message}", field=wrong.field) from wrong

    @classmethod
    def parse(cls, data: Any) -> Baseline:
        """A baseline from its JSON value.

        Raises:
            Invalid: Naming what is missing or wrong in it; an id that does not fit its content, too.
        """
        try:
            if data["schema"] != SCHEMA:
                raise ValueError(f"schema is {data['schema']!r}, expected {SCHEMA!r}")
            if data["provenance"] not in ("simulated", "merchant"):
                raise ValueError(f"provenance is {data['provenance']!r}")
            rows = tuple(_quantiles(row) for row in data["quantiles"])
            releases, named = tuple(map(str, data["releases"])), tuple(map(str, data.get("merchants", ())))
            made = cls(releases, data["provenance"], int(data["k"]), rows, named)
            expected = {
                (catalog().components[c], kind) for c in trajectory_components() for kind in device_classes()
            }
            if len(rows) != len(expected) or made.by_place.keys() != expected:
                raise ValueError("not one table for each trajectory component and kind of device")
            if made.baseline_id != data["baseline_id"]:
                raise ValueError("altered after it was made (baseline_id is not that of its content)")
        except KeyError as missing:
            raise Invalid(f"the baseline lacks {missing}", field="baseline") from missing
        except (ValueError, TypeError, AttributeError, OverflowError) as wrong:
            raise Invalid(f"no sound baseline: {wrong}", field="baseline") from wrong
        return made


def _quantiles(row: Mapping[str, Any]) -> Quantiles:
    """One table, with what the view relies on checked.

    Raises:
        ValueError: If its values fall, are not finite, or its units are none.
    """
    values = tuple(float(value) for value in row["values"])
    name = f"{row['component']} on {row['device_class']}"
    # NaN compares false, so it fails as well.
    if not all(abs(value) < 1e38 for value in values) or not all(a <= b for a, b in pairwise(values)):
        raise ValueError(f"{name}: the quantiles are not finite numbers that rise")
    if type(row["units"]) is not int or row["units"] < 0:
        raise ValueError(f"{name}: units must be a whole number, got {row['units']!r}")
    return Quantiles(str(row["component"]), str(row["device_class"]), row["units"], values)
