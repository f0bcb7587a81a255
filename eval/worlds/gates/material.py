"""What the gates look at: one simulated world's orders, truth, relations and reference scores."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.door import Door
from riskgraph.core.order import order_key
from riskgraph.core.table import OrderTable
from riskgraph.eval.intervals import Clusters, cluster_orders
from riskgraph.eval.metrics import Bools, Floats, Ints
from riskgraph.eval.window import gang_codes
from riskgraph.eval.worlds import reference
from riskgraph.eval.worlds.gates.figure import crossed_flags, halves
from riskgraph.eval.worlds.oracle import Oracle, read_oracle
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.reference import Relations
from riskgraph.eval.worlds.writer import Progress, quiet

_KINDS = ("account", "device", "card", "address", "phone", "ip")


@dataclass(frozen=True, eq=False)
class Material:
    """N orders of a simulated world in time order.

    Attributes:
        seed: The world's seed.
        table: Orders, with labels as known at ``known_at``.
        known_at: Epoch seconds at which the later half begins.
        oracle: The truth.
        keys: Order keys as outcomes carry them.
        relations: Shared entities as the world's files hold them.
    """

    seed: int
    table: OrderTable
    known_at: float
    oracle: Oracle
    keys: list[str]
    relations: Relations

    @classmethod
    def of(cls, world: World, door: Door, progress: Progress = quiet) -> Material:
        """Read a world, with its computed nodes (made first where missing).

        Raises:
            NotFound: If the world has no oracle.
        """
        oracle = read_oracle(world)
        columns = [*_KINDS, "merchant_id", "channel_code", "order_id", "placed_at", "ship_lat", "ship_lon"]
        raw: dict[str, list[object]] = {c: [] for c in columns}
        for part in world.parts(columns):
            for name in columns:
                raw[name] += part[name].to_pylist()
        placed = np.array([t.timestamp() for t in raw["placed_at"]])  # type: ignore[attr-defined]
        known_at = float(placed[~reference.settings().earlier(len(placed))][0])
        lat, lon = (np.array(raw[c], dtype=np.float64) for c in ("ship_lat", "ship_lon"))
        kinds = {kind: _codes(raw[kind]) for kind in _KINDS}
        kinds["door"] = reference.doors(lat, lon, np.array(raw["address"], dtype=object))
        named = zip(*(map(str, raw[c]) for c in ("merchant_id", "channel_code", "order_id")), strict=True)
        return cls(
            seed=int(world.manifest["seed"]),
            table=world.table(known_at, door, progress),
            known_at=known_at,
            oracle=oracle,
            keys=[order_key(*name) for name in named],
            relations=Relations(kinds, placed),
        )

    @cached_property
    def later(self) -> Bools:
        """bool[N]: the orders that are measured."""
        return ~reference.settings().earlier(len(self.table))

    @cached_property
    def gang(self) -> Ints:
        """int64[N], -1 for none."""
        return np.where(self.oracle.is_fraud, gang_codes(self.oracle.gang_id), -1)

    @cached_property
    def clusters(self) -> Clusters:
        """Gangs and accounts, which intervals draw as a whole."""
        return cluster_orders(self.oracle.is_fraud, self.gang, self.relations.kinds["account"])

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """The order's own components."""
        return reference.order_features(self.table)

    @cached_property
    def alone(self) -> Floats:
        """Scores of trees on the order alone, of the later orders; NaN before."""
        return self.scores(self.features)

    def scores(self, features: NDArray[np.float32]) -> Floats:
        """Learn from the earlier orders, float64[N] scores of the later ones; NaN before."""
        learned = reference.fit(features[~self.later], self.oracle.is_fraud[~self.later])
        out = np.full(len(features), np.nan)
        out[self.later] = reference.score(learned, features[self.later])
        return out

    def related(self, relations: Relations) -> Floats:
        """The same with relation features beside the order's own."""
        linked = reference.relation_features(relations, self.oracle.is_fraud)
        return self.scores(np.concatenate([self.features, linked], axis=1))

    def flags(self, scores: Floats, fpr: float | None = None) -> Bools:
        """bool[N]: later orders flagged at the references' false-positive rate, or at ``fpr``."""
        flagged = np.zeros(len(scores), dtype=np.bool_)
        later, fraud = self.later, self.oracle.is_fraud
        half = halves(self.relations.kinds["account"])[later]
        flagged[later] = crossed_flags(scores[later], fraud[later], half, fpr or reference.settings().fpr)
        return flagged


def _codes(values: Iterable[Hashable]) -> Ints:
    known: dict[Hashable, int] = {}
    return np.array([-1 if v is None else known.setdefault(v, len(known)) for v in values], dtype=np.int64)
