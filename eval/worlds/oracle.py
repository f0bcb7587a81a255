"""The only reader of a simulated world's oracle. Training must never see it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import NotFound
from riskgraph.eval.window import Truth
from riskgraph.eval.worlds.extras import parquet
from riskgraph.eval.worlds.reader import World


@dataclass(frozen=True, eq=False)
class Oracle:
    """The simulator's truth about N orders, in time order.

    Attributes:
        order_id: Ids as in the observed orders.
        is_fraud: bool[N].
        archetype: Kind of fraud, or ``honest``.
        family: Group of archetypes, or ``honest``.
        gang_id: Gang, or None.
        camouflage: float64[N] of the gang, 0 open to 1 like an honest person.
        honest_type: Kind of honest person, or None for a gang's order.
    """

    order_id: NDArray[np.object_]
    is_fraud: NDArray[np.bool_]
    archetype: NDArray[np.object_]
    family: NDArray[np.object_]
    gang_id: NDArray[np.object_]
    camouflage: NDArray[np.float64]
    honest_type: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.order_id)


def read_oracle(world: World) -> Oracle:
    """Read ``oracle/labels.parquet``.

    Raises:
        NotFound: If the world has no oracle: a shop's own history has none.
    """
    path = world.path / "oracle" / "labels.parquet"
    if not path.is_file():
        raise NotFound("the world has no oracle/labels.parquet", field="oracle/labels.parquet")
    table = parquet().read_table(path)

    def texts(name: str) -> NDArray[np.object_]:
        return np.array(table[name].to_pylist(), dtype=object)

    return Oracle(
        order_id=texts("order_id"),
        is_fraud=np.array(table["is_fraud"].to_pylist(), dtype=np.bool_),
        archetype=texts("archetype"),
        family=texts("family"),
        gang_id=texts("gang_id"),
        camouflage=np.array(table["camouflage"].to_pylist(), dtype=np.float64),
        honest_type=texts("honest_type"),
    )


def truth_of(world: World) -> Truth:
    """What a backtest may know of a simulated world's oracle.

    Raises:
        NotFound: If the world has none.
    """
    # Copied field by field, since the worlds' type and the backtest's may each grow fields of their own.
    oracle = read_oracle(world)
    return Truth(**{field.name: getattr(oracle, field.name) for field in fields(Truth)})
