"""Certified configurations: a committed list that is added to and never edited.

A certificate binds a configuration, the reference learners and the worlds that passed by digest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

from riskgraph.core.errors import CheckFailed
from riskgraph.eval.worlds import reference
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.gates.certify import holds
from riskgraph.eval.worlds.gates.figure import Figure
from riskgraph.eval.worlds.presets import PRESETS


@dataclass(frozen=True)
class Certificate:
    """A configuration that passed all gates.

    Attributes:
        name: The configuration, for instance ``world-1``.
        config_sha256: Digest of its parameters, as in ``PRESETS``.
        reference_sha256: Digest of the reference learners that measured it.
        orders: Orders of each world.
        seeds: Seeds of the worlds.
        figures: The gates' table, one row a figure and seed.
    """

    name: str
    config_sha256: str
    reference_sha256: str
    orders: int
    seeds: tuple[int, ...]
    figures: tuple[Mapping[str, Any], ...]


def row(figure: Figure) -> dict[str, Any]:
    """A figure for JSON; a value that does not exist and an open bound are null."""
    finite = {k: None if isinstance(v, float) and not abs(v) < float("inf") else v
              for k, v in asdict(figure).items()}  # fmt: skip
    return finite | {"held": figure.held}


def certificate(config: WorldConfig, seeds: Sequence[int], figures: Sequence[Figure]) -> Certificate:
    """The certificate of a configuration whose gates all hold.

    Raises:
        CheckFailed: If a gate does not hold, or the reference learners are not the frozen ones.
    """
    failed = [str(gate) for gate, held in holds(figures).items() if not held]
    if failed or reference.changed():
        why = f"gates {', '.join(failed)} do not hold" if failed else "the reference learners have changed"
        raise CheckFailed(f"{config.name} cannot be certified: {why}")
    rows = tuple(row(f) for f in figures)
    return Certificate(config.name, config.sha256, reference.digest(), config.orders, tuple(seeds), rows)


def certified() -> list[Certificate]:
    """The certified configurations, oldest first."""
    text = resources.files(__package__).joinpath("certified.json").read_text(encoding="utf-8")
    return [
        Certificate(**{**entry, "seeds": tuple(entry["seeds"]), "figures": tuple(entry["figures"])})
        for entry in json.loads(text)
    ]


def broken(certificates: Sequence[Certificate], presets: Mapping[str, WorldConfig] = PRESETS) -> list[str]:
    """Names of certified configurations that are gone or no longer what was certified."""
    return [
        c.name
        for c in certificates
        if c.name not in presets
        or presets[c.name].sha256 != c.config_sha256
        or c.reference_sha256 != reference.digest()
        or not all(row["held"] for row in c.figures)
    ]
