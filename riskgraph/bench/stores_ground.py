"""What the figures of stores share: sizes, simulated worlds, and stores that hold them."""

from __future__ import annotations

import asyncio
import gc
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
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
BATCH = 2_000
SPARE_S = 20.0
TOGETHER = 32
KEY_ID = "bench"
# One in so many orders goes before the others, untimed.
WARM_UP = 10


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        orders: In the embedded store that lookups are made on; every ``hub_every``-th goes to one address.
        lookups: Orders that are looked up, each once.
        durable: Orders of each series of durable commits.
        decided: Orders that are decided, with all that a decision commits; the backlog of an outage.
        kills: Writing processes that are killed.
        disturbed: Orders that are decided before the outage, and again as many while connections break.
        raw: Orders whose behavior nodes are written by one raw statement.
        read_back: Orders whose behavior nodes are read back.
        shared: Orders in Neo4j that its contexts are read on.
        rate: Orders a second before and in outages.
        normal_s, outage_s: Seconds of that rate before the first fault, and of each fault.
    """

    orders: int = 1_000_000
    hub_every: int = 10
    lookups: int = 2_000
    durable: int = 6_000
    decided: int = 10_000
    kills: int = 200
    disturbed: int = 1_000
    raw: int = 1_000
    read_back: int = 5_000
    shared: int = 200_000
    rate: float = 50.0
    normal_s: float = 30.0
    outage_s: float = 60.0

    @property
    def in_outages(self) -> int:
        """Orders that suffice for all faults, with time for the breaker to open and to close after each."""
        return int(self.rate * (3 * self.normal_s + 3 * (self.outage_s + SPARE_S)))

    @property
    def served(self) -> int:
        """Orders of the world from which decisions are made."""
        return self.decided + 2 * self.disturbed + self.in_outages


QUICK = Sizes(
    orders=50_000, lookups=500, durable=2_000, decided=1_000, kills=20, disturbed=200, raw=200,
    read_back=500, shared=10_000, normal_s=10.0, outage_s=10.0,
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
        store = open_store(f"sqlite:///{self.folder / 'hubbed.db'}", synthetic_secrets())
        world, size = self.world(self.sizes.orders + self.sizes.lookups), self.sizes.orders
        stream = self.with_hub(world, self.sizes.hub_every)
        done, seconds = 0, 0.0
        for orders, outcomes in with_outcomes(stream, world, size):
            start = time.perf_counter()
            store.load(orders, outcomes, lambda *_: None)
            seconds += time.perf_counter() - start
            done += len(orders)
            self.progress("history", done, size)
        return Hubbed(store, list(stream), done, -(-done // self.sizes.hub_every), seconds)

    @cached_property
    def decided(self) -> Path:
        """A journal in which the first orders of a world were decided, without any server."""
        settings, orders = replace(self.settings, home=self.folder / "decided"), self.sizes.decided
        bodies = self.bodies(0, orders)
        service = bootstrap.open_service(
            replace(settings, secrets=self.settings.secret_folder), bootstrap.demo_profile()
        )
        try:
            for done, _ in enumerate(decide_all(bodies, service.line), 1):
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

    def bodies(self, first: int, count: int) -> Iterator[dict[str, Any]]:
        """Orders of the world that is decided, as a checkout would send them."""
        return islice(worlds.requests(self.world(self.sizes.served)), first, first + count)

    def journal(self, name: str) -> Path:
        """A copy of the decided journal, in a folder of its own."""
        path = self.folder / name / self.decided.name
        path.parent.mkdir()
        shutil.copy(self.decided, path)
        return path


def with_outcomes(
    stream: Iterator[Order], world: worlds.World, count: int, at_once: int = BATCH
) -> Iterator[tuple[list[Order], list[Outcome]]]:
    """So many orders in parts, each with what became of its orders, whenever that was reported."""
    by_key: dict[str, list[Outcome]] = {}
    for outcome in world.outcomes():
        by_key.setdefault(outcome.order_key, []).append(outcome)
    while count and (part := list(islice(stream, min(at_once, count)))):
        count -= len(part)
        yield part, [outcome for order in part for outcome in by_key.pop(order.key, ())]


@contextmanager
def frozen() -> Iterator[None]:
    """What is there now is left out of garbage collection, as in the service from its start on."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


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
    return await asyncio.gather(*(decide_one(body, line) for body in bodies))


async def decide_one(body: dict[str, Any], line: Line) -> Answer:
    """Take one order down the line; its idempotency key is the digest of its body."""
    digest = sha256(msgspec.json.encode(body)).hexdigest()
    return await decide(body, line, key_id=KEY_ID, idempotency_key=digest, body_sha256=digest)
