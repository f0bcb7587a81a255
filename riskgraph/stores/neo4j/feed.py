"""The one writer of the graph: what the journal's outbox tells, in its order, exactly once in effect.

How far it came is committed in the graph with what it wrote, so nothing is repeated or left out after a lost
acknowledgement or a kill; two processes of one journal take turns, since both lock the place first. It has
two places: ``packed`` for orders, decisions, outcomes and erasures, and behind it ``nodes``, for behavior
nodes, which are made while nothing else waits.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

from riskgraph.core.errors import StorageUnavailable
from riskgraph.core.outcome import Outcome
from riskgraph.core.past import PastOrder
from riskgraph.stores.erasure import ERASED
from riskgraph.stores.journal import Anchor, Event, Journal
from riskgraph.stores.neo4j import nodes, removal
from riskgraph.stores.neo4j.removal import Notice
from riskgraph.stores.neo4j.rows import (
    OrderRow,
    Packed,
    Written,
    decision_row,
    join_waiting,
    order_row,
    write_packed,
)
from riskgraph.stores.neo4j.schema import Writes, migrate
from riskgraph.stores.rows import training_facts_of

if TYPE_CHECKING:
    from neo4j import AsyncManagedTransaction

_LOG = logging.getLogger("riskgraph.stores.neo4j")
BATCH = 500
STRIPPED = 50
POLL_S, LOOK_S = 0.25, 10.0
# It goes through all outcomes, since none is marked.
JOIN_S = 3600.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
DECIDED, REPORTED, REVIEWED = "decision.recorded", "outcome.recorded", "review.closed"
T = TypeVar("T")

_PLACE = """
MERGE (f:Feed {name: $name})
ON CREATE SET f.packed = 0, f.nodes = 0, f.event = $event, f.leaves = $leaves, f.root = $root
RETURN f.packed, f.nodes, f.event, f.leaves, f.root
"""
# The first SET takes the lock; only then is the place compared.
_MOVE_PACKED = """
MATCH (f:Feed {name: $name})
SET f.moved = true
WITH f WHERE f.packed = $old
SET f.packed = $new, f.event = $event, f.leaves = $leaves, f.root = $root
RETURN f.packed
"""
_STAY_PACKED = """
MATCH (f:Feed {name: $name})
SET f.moved = true
WITH f WHERE f.packed = $old
RETURN f.packed
"""
_MOVE_NODES = """
MATCH (f:Feed {name: $name})
SET f.moved = true
WITH f WHERE f.nodes = $old AND f.packed >= $new
SET f.nodes = $new
RETURN f.nodes
"""


class Overtaken(Exception):
    """Another process moved the place, or the acknowledgement of our own move was lost."""


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How the feed stands, since this process started.

    Attributes:
        name: The journal's, under which its place is kept; empty before Neo4j was first reached.
        running: Whether the task runs.
        packed: The newest event that the graph holds.
        nodes: The newest event whose behavior nodes are made.
        last: The newest event of the journal when the feed last looked.
        orders: Orders that it wrote; the other counts likewise.
        erased: Orders that it took out.
        failures: Tries in a row that failed; 0 while all is well.
        error: What the last failed try said; empty while all is well.
        notice: What an operator has to know: that the journal did not go on from its place.
    """

    name: str = ""
    running: bool = False
    packed: int = 0
    nodes: int = 0
    last: int = 0
    orders: int = 0
    decisions: int = 0
    outcomes: int = 0
    materialised: int = 0
    erased: int = 0
    failures: int = 0
    error: str = ""
    notice: str = ""

    @property
    def lag(self) -> int:
        """Events that the graph does not hold yet; numbers of erased events count too."""
        return max(0, self.last - self.packed)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "lag": self.lag}


class Feed:
    """Reads the outbox of one journal and writes the graph.

    Args:
        journal: What is read.
        neo4j: What is written.
        policy: Of which orders behavior nodes are made.
        jitter: From 0 to 1, for the length of pauses.
        clock: Seconds, after which an idle feed looks whether the graph is still the one that it fed.
    """

    def __init__(
        self,
        journal: Journal,
        neo4j: Writes,
        policy: nodes.Policy,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal, self._neo4j, self._policy, self._jitter = journal, neo4j, policy, jitter
        self._clock = clock
        self.status = FeedStatus()
        self._placed = False
        self._read_at = self._join_at = 0.0
        self._turn = asyncio.Lock()
        # Orders whose behavior nodes come next, read from the journal many at a time.
        self._ahead: list[tuple[str, int]] = []
        self._scanned = 0
        self._stopping = asyncio.Event()
        # Apart from the loop, on which hot reads run; one thread, since each opens the file anew.
        self._thread = ThreadPoolExecutor(1, "riskgraph-feed")
        self._reading: Future[Any] | None = None

    async def run(self) -> None:
        """Write until :meth:`stop`; whatever goes wrong is tried again, less and less often."""
        self._note(running=True)
        try:
            while not self._stopping.is_set():
                try:
                    pause = 0.0 if await self.step() else POLL_S
                    self._note(failures=0, error="")
                except Exception as wrong:  # the task must outlive any failure of the server
                    pause = self._failed(wrong)
                if pause:
                    await self._wait(pause)
        finally:
            self._note(running=False)
            self._thread.shutdown(wait=False)

    def stop(self) -> None:
        """End :meth:`run` after the transaction in progress; to be called on its loop."""
        self._stopping.set()

    def end(self, seconds: float) -> None:
        """Let the thread that reads the journal finish, for so long at most; once :meth:`run` has ended."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._reading is not None:
            wait([self._reading], seconds)

    async def drain(self) -> None:
        """Write all that waits, by turns with another process of the journal, and raise what goes wrong."""
        more = True
        while more:
            with suppress(Overtaken):
                more = await self.step()

    async def step(self) -> bool:
        """Write one batch; False if nothing waits."""
        async with self._turn:
            return await self._step()

    async def look_again(self) -> None:
        """Read the place anew: a server that was away may have come back empty, or from a backup."""
        async with self._turn:
            self._placed = False
            await self._find_place()

    async def _step(self) -> bool:
        try:
            await self._find_place()
            status = self.status
            self._note(last=await self._off_loop(self._journal.last))
            if self.status.last > status.packed:
                return await self._step_packed()
            if status.nodes < status.packed:
                return await self._step_nodes()
            return await self._idle()
        except BaseException:
            # Whether it was committed is not known: the place is read again, and tells.
            self._placed = False
            raise

    def _failed(self, wrong: Exception) -> float:
        """Take note, and say how long to wait."""
        if isinstance(wrong, Overtaken):
            return 0.0
        failures = self.status.failures + 1
        if failures == 1:
            _LOG.warning("orders do not reach Neo4j and wait in the journal: %s", _told(wrong))
        self._note(failures=failures, error=_told(wrong))
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10))
        return longest * (0.5 + 0.5 * self._jitter())

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _off_loop(self, work: Callable[..., T], *args: Any) -> T:
        self._reading = reading = self._thread.submit(work, *args)
        return await asyncio.wrap_future(reading)

    def _note(self, **changed: Any) -> None:
        self.status = replace(self.status, **changed)

    async def _idle(self) -> bool:
        """Nothing tells an idle feed that an older graph was put back, or an empty one: it looks itself.

        Nor that another service wrote an order while its outcome was written here, and neither saw the other.
        """
        if self._clock() >= self._join_at:
            while await self._neo4j.write(join_waiting):
                pass
            self._join_at = self._clock() + JOIN_S
        self._placed = self._clock() - self._read_at < LOOK_S
        return not self._placed

    async def _find_place(self) -> None:
        if self._placed:
            return
        self._read_at = self._clock()
        await migrate(self._neo4j)
        name = await self._off_loop(self._journal.name)
        packed, nodes_at, anchor = await self._read_place(name)
        if not await self._off_loop(self._journal.goes_on, packed, anchor):
            name = await self._take_other_name(name, packed)
            packed, nodes_at, _ = await self._read_place(name)
        self._note(name=name, packed=packed, nodes=nodes_at)
        self._ahead = []
        self._placed = True

    async def _read_place(self, name: str) -> tuple[int, int, Anchor]:
        anchor = await self._off_loop(self._journal.anchor, 0)
        place = _running(_PLACE, name=name, **asdict(anchor))
        ((packed, nodes_at, *rest),) = await self._neo4j.write(place)
        return packed, nodes_at, Anchor(*rest)

    async def _take_other_name(self, name: str, packed: int) -> str:
        made = await self._off_loop(self._journal.rename, name)
        notice = (
            f"the journal does not go on from event {packed}, up to which Neo4j has it as {name}: it was put "
            f"back from a backup or copied; as {made} it is fed from its beginning, and orders that it "
            "lost stay in Neo4j"
        )
        _LOG.warning("%s", notice)
        self._note(notice=notice)
        return made

    async def _step_packed(self) -> bool:
        old, last = self.status.packed, self.status.last
        events = await self._off_loop(self._journal.events, old, last, BATCH)
        first = events[:1]
        if first and first[0]["type"] == ERASED:
            new = first[0]["seq"]
            await self._erase(Notice.of(first[0]), old, new)
        else:
            recorded = list(takewhile(lambda event: event["type"] != ERASED, events))
            # Where nothing is left to read, the numbers up to the newest were those of erased events.
            new = recorded[-1]["seq"] if recorded else last
            await self._record(recorded, old, new)
        self._note(packed=new)
        return True

    async def _record(self, events: Sequence[Event], old: int, new: int) -> None:
        packed = await self._off_loop(self._packed, events)
        move = await self._moving(old, new)

        async def work(tx: AsyncManagedTransaction) -> Written:
            await move(tx)
            return await write_packed(tx, packed)

        done = await self._neo4j.write(work)
        self._count(orders=done.orders, decisions=done.decisions, outcomes=done.outcomes)

    async def _erase(self, notice: Notice, old: int, new: int) -> None:
        """In as many transactions as it takes, each under the lock of the place, which moves with the last.

        All may be repeated, but not by two at once: each would count down what both have taken out.
        """
        stay = _move(_STAY_PACKED, name=self.status.name, old=old)

        async def write(step: Callable[[AsyncManagedTransaction], Awaitable[T]]) -> T:
            async def work(tx: AsyncManagedTransaction) -> T:
                await stay(tx)
                return await step(tx)

            done: T = await self._neo4j.write(work)
            return done

        while count := await write(partial(removal.erase_some, notice=notice)):
            self._count(erased=count)
        keys = await write(partial(removal.optional_orders, notice=notice))
        for start in range(0, len(keys), STRIPPED):
            rows = await self._off_loop(self._journal.orders, keys[start : start + STRIPPED])
            orders = [order_row(past, vec) for past, vec in rows.values()]
            await write(partial(removal.strip, orders=orders))
        move = await self._moving(old, new)

        async def work(tx: AsyncManagedTransaction) -> None:
            await move(tx)
            await removal.erase_rest(tx, notice)

        await self._neo4j.write(work)

    async def _moving(self, old: int, new: int) -> Callable[[AsyncManagedTransaction], Awaitable[None]]:
        anchor = await self._off_loop(self._journal.anchor, new)
        return _move(_MOVE_PACKED, name=self.status.name, old=old, new=new, **asdict(anchor))

    def _packed(self, events: Sequence[Event]) -> Packed:
        """What events tell; of what was taken out meanwhile, nothing."""
        decided = [event for event in events if event["type"] == DECIDED]
        rows = self._journal.orders([event["payload"]["order_key"] for event in decided])
        packed = Packed()
        for event in events:
            told, key = event["payload"], event["payload"].get("order_key")
            if event["type"] == DECIDED and key in rows:
                packed.orders.append(_order(*rows[key], told))
                if told.get("objected"):
                    packed.objections.append({"order_key": key, "facts": training_facts_of(told)})
                packed.decisions.append(decision_row(key, str(event["decision_id"]), event["at"], told))
            elif event["type"] == REPORTED:
                packed.outcomes.append(_outcome(event))
            elif event["type"] == REVIEWED:
                stands = {name: told[name] for name in ("verdict", "action", "mode")}
                packed.reviews.append({"id": event["decision_id"], **stands})
        return packed

    async def _step_nodes(self) -> bool:
        old = self.status.nodes
        if not self._ahead:
            self._ahead, self._scanned = await self._off_loop(self._scan, old, self.status.packed)
        part, rest = self._ahead[: nodes.BATCH], self._ahead[nodes.BATCH :]
        keys, new = [key for key, _ in part], rest[0][1] - 1 if rest else self._scanned
        move = _move(_MOVE_NODES, name=self.status.name, old=old, new=new)

        async def work(tx: AsyncManagedTransaction) -> int:
            await move(tx)
            return await nodes.make_nodes(tx, keys) if keys else 0

        self._count(materialised=await self._neo4j.write(work))
        self._ahead = rest
        self._note(nodes=new)
        return True

    def _scan(self, after: int, until: int) -> tuple[list[tuple[str, int]], int]:
        """Orders of which nodes are made, each with its event, and the event up to which they are those."""
        events = self._journal.events(after, until, BATCH)
        chosen: dict[str, int] = {}
        for event in events:
            told = event["payload"]
            if event["type"] == DECIDED and self._policy.chooses(told["order_key"], told["verdict"]):
                chosen.setdefault(told["order_key"], event["seq"])
        return list(chosen.items()), events[-1]["seq"] if len(events) == BATCH else until

    def _count(self, **more: int) -> None:
        self._note(**{name: getattr(self.status, name) + count for name, count in more.items()})


def _order(past: PastOrder, vec: bytes, told: Mapping[str, Any]) -> OrderRow:
    """The order; what its shopper granted is known of the values that this decision was made from alone."""
    row = order_row(past, vec, told.get("ip"))
    if told.get("first"):
        row.properties.update(training_facts_of(told))
    return row


def _outcome(event: Event) -> Outcome:
    told = event["payload"]
    return Outcome(
        told["outcome_id"], told["order_key"], told["kind"], told["effective_at"],
        told.get("reported_at", event["at"]), told["reason"], told.get("source"), told["reverses"],
    )  # fmt: skip


def _running(
    statement: LiteralString, **parameters: Any
) -> Callable[[AsyncManagedTransaction], Coroutine[Any, Any, Any]]:
    async def work(tx: AsyncManagedTransaction) -> list[list[Any]]:
        return await (await tx.run(statement, parameters)).values()

    return work


def _move(
    statement: LiteralString, **parameters: Any
) -> Callable[[AsyncManagedTransaction], Awaitable[None]]:
    """Lock the place, and move it or let it be.

    Raises:
        Overtaken: If it is not where it was.
    """

    async def work(tx: AsyncManagedTransaction) -> None:
        if not await (await tx.run(statement, parameters)).values():
            raise Overtaken(f"the place of {parameters['name']} moved")

    return work


def _told(wrong: Exception) -> str:
    """Messages of the driver hold keys and digests of orders; our own name nobody."""
    more = wrong.message if isinstance(wrong, StorageUnavailable) else getattr(wrong, "code", None)
    return f"{type(wrong).__name__}: {more}" if more else type(wrong).__name__
