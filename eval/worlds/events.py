"""A world as the calls that a shop would have made, each at its time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, NamedTuple

from riskgraph.core.errors import Invalid
from riskgraph.eval.worlds.export import batches
from riskgraph.eval.worlds.exporter import order_bodies, outcome_bodies
from riskgraph.eval.worlds.extras import arrow
from riskgraph.eval.worlds.ndjson import encoded
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.schema import all_order_types, outcome_types

DECISIONS = "/v1/decisions"
OUTCOMES = "/v1/outcomes"


class Event(NamedTuple):
    """One call.

    Attributes:
        at: When the order was placed or the outcome was reported, in epoch seconds UTC.
        path: ``/v1/decisions`` or ``/v1/outcomes``.
        body: The same bytes whenever the same world is read.
    """

    at: float
    path: str
    body: bytes


def events(world: World, since: float = float("-inf")) -> Iterator[Event]:
    """Orders when they were placed and outcomes when they were reported, in order of time.

    Args:
        world: The world.
        since: Only what happened at this time or later (epoch seconds).

    Raises:
        Invalid: If orders or outcomes of the world are not in that order, or hold what no body can.
    """
    return heapq.merge(_orders(world, since), _outcomes(world, since), key=lambda event: event.at)


def _orders(world: World, since: float) -> Iterator[Event]:
    for path in world.order_files:
        for batch in batches(path, all_order_types()):
            table = _since(batch, "placed_at", since)
            bodies = order_bodies(table, world.manifest["entities"])
            yield from _timed(table["placed_at"], DECISIONS, map(encoded, bodies))


def _outcomes(world: World, since: float) -> Iterator[Event]:
    last = float("-inf")
    for path in world.outcome_files:
        for batch in batches(path, outcome_types()):
            table = _since(batch, "reported_at", since)
            for event in _timed(table["reported_at"], OUTCOMES, map(encoded, outcome_bodies(table))):
                if event.at < last:
                    raise Invalid(
                        f"observed/{path.name} is not in order of report; world export and import mend that",
                        field="reported_at",
                    )
                last = event.at
                yield event


def _since(table: Any, column: str, since: float) -> Any:
    return table.filter([at / 1e6 >= since for at in table[column].cast(arrow().int64()).to_pylist()])


def _timed(times: Any, path: str, bodies: Iterator[bytes]) -> Iterator[Event]:
    micros = times.cast(arrow().int64()).to_pylist()
    for moment, body in zip(micros, bodies, strict=True):
        yield Event(moment / 1e6, path, body)
