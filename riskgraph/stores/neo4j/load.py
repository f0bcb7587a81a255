"""Many orders at once into the graph; what is there already is left as it is, so a load can be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from riskgraph.core.outcome import Outcome
from riskgraph.stores.neo4j.nodes import BATCH as MADE_AT_ONCE
from riskgraph.stores.neo4j.nodes import make_nodes
from riskgraph.stores.neo4j.rows import OrderRow, Packed, Written, write_packed
from riskgraph.stores.neo4j.schema import Writes, migrate

BATCH = 500


@dataclass(frozen=True, slots=True)
class Part:
    """Some orders with their outcomes, and keys of those whose behavior nodes are made."""

    orders: Sequence[OrderRow]
    outcomes: Sequence[Outcome] = ()
    shown: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many nodes were new after a part, all parts before it counted; ``read`` orders were looked at."""

    read: int = 0
    orders: int = 0
    outcomes: int = 0
    materialised: int = 0


async def load(neo4j: Writes, parts: Iterable[Part]) -> AsyncGenerator[Loaded, None]:
    """Write parts, and tell after each how far it came."""
    await migrate(neo4j)
    done, left = Loaded(), iter(parts)
    # While the server writes one part the next is made.
    coming = asyncio.create_task(asyncio.to_thread(next, left, None))
    while (part := await coming) is not None:
        coming = asyncio.create_task(asyncio.to_thread(next, left, None))
        written = Written()
        for packed in _batches(part):
            more = await neo4j.write(partial(write_packed, packed=packed))
            written = Written(written.orders + more.orders, 0, written.outcomes + more.outcomes)
        made = 0
        for start in range(0, len(part.shown), MADE_AT_ONCE):
            made += await neo4j.write(partial(make_nodes, keys=part.shown[start : start + MADE_AT_ONCE]))
        done = Loaded(
            done.read + len(part.orders), done.orders + written.orders, done.outcomes + written.outcomes,
            done.materialised + made,
        )  # fmt: skip
        yield done


def _batches(part: Part) -> Iterator[Packed]:
    """Orders with their own outcomes; outcomes of other orders come last."""
    by_key: dict[str, list[Outcome]] = {}
    for outcome in part.outcomes:
        by_key.setdefault(outcome.order_key, []).append(outcome)
    for start in range(0, len(part.orders), BATCH):
        orders = list(part.orders[start : start + BATCH])
        yield Packed(orders=orders, outcomes=[o for row in orders for o in by_key.pop(row.key, ())])
    rest = [outcome for outcomes in by_key.values() for outcome in outcomes]
    for start in range(0, len(rest), BATCH):
        yield Packed(outcomes=rest[start : start + BATCH])
