"""What the figures of stores share: sizes, simulated worlds, and stores that hold them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from riskgraph import bootstrap, chain
from riskgraph.core.order import Order
from riskgraph.core.outcome import Outcome
from riskgraph.eval import worlds
from riskgraph.pipeline import Answer, Line, decide
from riskgraph.ports import Progress
from riskgraph.settings import Settings
from riskgraph.stores import SqliteStore, open_store
from riskgraph.stores.crash import synthetic_secrets

CONFIG, SEED = "bench", 211
CHUNK = 50_000
TOGETHER = 32
KEY_ID = "bench"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        orders: In the embedded store that lookups are made on; every ``hub_every``-th goes to one address.
        lookups: Orders that are looked up, each once.
        durable: Orders of each series of durable commits.
        decided: Orders that are decided, with all that a decision commits.
        kills: Writing processes that are killed.
        shared: Orders in Neo4j, with a hub as above, behind which contexts are read.
        backlog: Decisions that wait for Neo4j.
        shown: Orders whose behavior nodes are made while it is timed.
        returned: Orders that are read back from their behavior nodes.
        outage_s: How long Neo4j is down while orders come, in seconds; it is slow and half-open for half.
    """

    orders: int = 1_000_000
    hub_every: int = 10
    lookups: int = 2_000
    durable: int = 6_000
    decided: int = 20_000
    kills: int = 200
    shared: int = 200_000
    backlog: int = 10_000
    shown: int = 2_000
    returned: int = 5_000
    outage_s: float = 60.0


QUICK = Sizes(
    orders=50_000, lookups=500, durable=2_000, decided=2_000, kills=20,
    shared=10_000, backlog=1_000, shown=200, returned=300, outage_s=6.0,
)  # fmt: skip


@dataclass(frozen=True)
class Hubbed:
    """A store of a whole world in which one address is a hub, and the orders that come next."""

    store: SqliteStore
    next_orders: Sequence[Order]
    orders: int
    hub_orders: int
    load_s: float


@dataclass
class Ground:
    """Shared ground: a folder, and what is made in it on first use."""

    folder: Path
    progress: Progress
    sizes: Sizes = field(default_factory=Sizes)

    @cached_property
    def settings(self) -> Settings:
        return bootstrap.simulated_settings(self.folder / "home")

    @cached_property
    def hubbed(self) -> Hubbed:
        return self._hubbed("hubbed", self.sizes.orders)

    @cached_property
    def shared(self) -> Hubbed:
        """The journal of the store whose contexts Neo4j takes part in."""
        return self._hubbed("shared", self.sizes.shared)

    def _hubbed(self, name: str, size: int) -> Hubbed:
        store = open_store(f"sqlite:///{self.folder / name}.db", synthetic_secrets())
        done, seconds = 0, 0.0
        for part, known in self.history(size):
            start = time.perf_counter()
            store.load(part, known, lambda *_: None)
            seconds += time.perf_counter() - start
            done += len(part)
            self.progress("history", done, size)
        stream = self.with_hub(self.world(size + self.sizes.lookups), self.sizes.hub_every)
        return Hubbed(
            store, list(islice(stream, size, None)), done, -(-done // self.sizes.hub_every), seconds
        )

    def history(self, size: int) -> Iterator[tuple[list[Order], list[Outcome]]]:
        """So many orders before those that are looked up, in parts, each with the outcomes of its orders."""
        world = self.world(size + self.sizes.lookups)
        outcomes: dict[str, list[Outcome]] = {}
        for outcome in world.outcomes():
            outcomes.setdefault(outcome.order_key, []).append(outcome)
        stream = islice(self.with_hub(world, self.sizes.hub_every), size)
        while part := list(islice(stream, CHUNK)):
            yield part, [outcome for order in part for outcome in outcomes.pop(order.key, ())]

    @cached_property
    def backlog(self) -> Path:
        """A journal of decided orders that no Neo4j has seen; closed."""
        return self.decided("backlog", self.sizes.backlog)

    def decided(self, name: str, orders: int) -> Path:
        """The closed store of a service that decided every order of a world."""
        secrets = self.settings.secret_folder
        settings = replace(self.settings, home=self.folder / f"home-{name}", secrets=secrets)
        service = bootstrap.open_service(settings, bootstrap.demo_profile())
        try:
            for done, _ in enumerate(decide_all(self.bodies(orders), service.line), 1):
                self.progress("decide", done, orders)
        finally:
            service.close()
        return service.store.path

    def world(self, orders: int) -> worlds.World:
        """A simulated world without computed nodes; made once a size."""
        path = self.folder / f"world-{orders}"
        if not path.exists():
            chain.simulate(CONFIG, seed=SEED, orders=orders, out=path, progress=self.progress)
        return chain.open_world(path)

    def with_hub(self, world: worlds.World, every: int) -> Iterator[Order]:
        """A world's orders in time order; every so many-th goes to the address of the first."""
        first: Order | None = None
        for number, order in enumerate(world.orders(bootstrap.open_door(self.settings), signals=False)):
            if number % every:
                yield order
                continue
            first = first or order
            hub = first.entities
            who = replace(order.entities, address=hub.address, bands=hub.bands)
            yield replace(order, entities=who, cell=first.cell)

    def bodies(self, orders: int) -> Iterator[dict[str, Any]]:
        """A world's orders as a checkout would send them."""
        return worlds.requests(self.world(orders))


def decide_all(bodies: Iterable[dict[str, Any]], line: Line) -> Iterator[Answer]:
    """Take orders down the line as the service does, some together, in time order."""
    loop = asyncio.new_event_loop()
    stream = iter(bodies)
    try:
        while part := list(islice(stream, TOGETHER)):
            yield from loop.run_until_complete(_together(part, line))
    finally:
        loop.close()


async def _together(bodies: Sequence[dict[str, Any]], line: Line) -> list[Answer]:
    return await asyncio.gather(*(_one(body, line) for body in bodies))


async def _one(body: dict[str, Any], line: Line) -> Answer:
    digest = sha256(msgspec.json.encode(body)).hexdigest()
    return await decide(body, line, key_id=KEY_ID, idempotency_key=digest, body_sha256=digest)
