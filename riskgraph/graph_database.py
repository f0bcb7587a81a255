"""Neo4j and whole worlds, models and journals: loading, exporting, checking and keeping the graph.

Beside ``chain`` the only module that brings the offline parts and a store together; worlds need the extra
``lab``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from riskgraph import bootstrap
from riskgraph.core.door import Door
from riskgraph.core.errors import Conflict, Invalid, NotFound, Unavailable
from riskgraph.core.links import OrderLinks
from riskgraph.core.order import Order
from riskgraph.core.outcome import FRAUD_KINDS, Outcome
from riskgraph.core.past import DAY_S, PastOrder
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.eval import worlds
from riskgraph.ports import Progress
from riskgraph.settings import Settings
from riskgraph.stores.neo4j import links, nodes, removal
from riskgraph.stores.neo4j.connect import FORM, Connection, is_neo4j, parse_url, read_credentials
from riskgraph.stores.neo4j.feed import Feed
from riskgraph.stores.neo4j.load import BATCH, Loaded, Part, load
from riskgraph.stores.neo4j.queries import AnalystQuery, run_query
from riskgraph.stores.neo4j.rows import OrderRow, decode_outcome, order_row
from riskgraph.stores.neo4j.schema import SCHEMA_VERSION
from riskgraph.stores.rows import training_facts

_LOG = logging.getLogger("riskgraph.stores.neo4j")
T = TypeVar("T")
ANSWER_S = 5.0
NOTHING = "none"

_PING = "RETURN 1"
_COUNTS = """
RETURN COUNT { (:Order) } AS orders, COUNT { MATCH (o:Order) WHERE o.nodes } AS with_nodes,
  COUNT { (:Decision) } AS decisions, COUNT { (:Outcome) } AS outcomes,
  COUNT { (:Behavior) } AS behavior_nodes,
  COUNT { (:Account) } AS accounts, COUNT { (:Device) } AS devices, COUNT { (:Fraud) } AS fraud_orders,
  coalesce(head(COLLECT { MATCH (s:Schema) RETURN s.version }), 0) AS schema
"""
# Of a day at a time, since days have an index; a shop's busiest day fits in memory.
_SPAN = """
MATCH (o:Order)
RETURN min(CASE WHEN o.jurisdiction IS NOT NULL THEN o.day END),
  max(CASE WHEN o.jurisdiction IS NOT NULL THEN o.day END), count(o.jurisdiction),
  count(CASE WHEN o.jurisdiction IS NULL THEN 1 END),
  count(CASE WHEN o.jurisdiction IS NOT NULL AND o.simulated THEN 1 END)
"""
_DAY = """
MATCH (o:Order {day: $day}) WHERE o.jurisdiction IS NOT NULL
RETURN o { .* } AS o ORDER BY o.at, o.key
"""
_ORDERS = "MATCH (o:Order) RETURN count(o)"
_FEEDS = "MATCH (f:Feed) RETURN f.name AS name, f.packed AS packed, f.nodes AS nodes ORDER BY name"


@contextmanager
def connected(settings: Settings) -> Iterator[Connection]:
    """The way to the configured server, which has answered once.

    Raises:
        Invalid: If the configured store has no Neo4j.
        Unavailable: If it does not answer within five seconds.
        ExtraMissing: If the driver is not installed.
    """
    if not is_neo4j(settings.store):
        raise Invalid(f"no Neo4j is configured: set RISKGRAPH_STORE_URL={FORM}", field="RISKGRAPH_STORE_URL")
    target = parse_url(settings.store)
    credentials = read_credentials(target.uri, settings.neo4j_user, settings.neo4j_password_file)
    connection = Connection(target, credentials)
    try:
        wait(connection, connection.fetch(_PING, {}, ANSWER_S), target.uri, ANSWER_S)
        yield connection
    finally:
        connection.close()


def wait(
    connection: Connection, work: Coroutine[Any, Any, T], uri: str = "", limit: float | None = None
) -> T:
    """The result of work on the connection's loop.

    Raises:
        Unavailable: If the server does not answer, or refuses the statement: by its code alone, since what it
            says has keys of orders in it.
    """
    from neo4j.exceptions import ClientError, DriverError, Neo4jError

    future = connection.submit(work)
    try:
        return future.result(limit)
    except TimeoutError:
        future.cancel()
        raise Unavailable(_unreached("no answer", uri)) from None
    except ClientError as wrong:
        if "TimedOut" in (wrong.code or "") or "Terminated" in (wrong.code or ""):
            raise Unavailable("Neo4j ended the statement at its time limit: ask for less") from wrong
        raise Unavailable(f"Neo4j refused: {wrong.code}") from wrong
    except (DriverError, Neo4jError) as wrong:
        raise Unavailable(_unreached(type(wrong).__name__, uri)) from wrong


def _unreached(what: str, uri: str) -> str:
    return (
        f"Neo4j {uri or 'server'} cannot be reached ({what}): start it, or mend RISKGRAPH_STORE_URL; "
        "decisions do not need it and wait in the journal"
    )


def ask(settings: Settings, query: AnalystQuery, given: dict[str, str]) -> list[dict[str, Any]]:
    """Rows of an analyst's query."""
    query.parameters_of(given)  # what is wrong with them needs no server
    with connected(settings) as neo4j:
        return wait(neo4j, run_query(neo4j, query, given))


@dataclass(frozen=True)
class GraphOrders:
    """Orders as the graph has them, for a picture."""

    neo4j: Connection

    def subgraph(self, order_key: str) -> OrderSubgraph | None:
        vec = wait(self.neo4j, self.neo4j.read(partial(links.read_vec, key=order_key)))
        return None if vec is None else OrderSubgraph.unpack(vec)

    def links(self, order_key: str, most: int) -> OrderLinks | None:
        return wait(self.neo4j, self.neo4j.read(partial(links.read_links, key=order_key, most=most)))


def load_world(settings: Settings, folder: Path, shown: str, progress: Progress) -> dict[str, Any]:
    """Put a world's orders, outcomes and subgraphs into the graph; a second time adds nothing.

    Orders over ``neo4j_days`` are counted and warned of: a service beside the graph takes them out.

    Args:
        settings: Where Neo4j is, and the key that entities are hashed with.
        folder: The world.
        shown: Of which orders behavior nodes are made: ``all``, ``flagged`` (a fraud outcome is on record,
            since a world has no verdicts), ``sample:P`` or ``none``.
        progress: Called with (step, done, total).
    """
    policy = None if shown == NOTHING else nodes.Policy.parse(shown, "--nodes")
    world = worlds.World.open(folder)
    door = bootstrap.open_door(settings)
    worlds.replay(world, door, progress)
    total = worlds.row_counts(world)["orders"]
    with connected(settings) as neo4j:
        began = time.monotonic()
        ages = _Ages(int(time.time() // DAY_S) - settings.neo4j_days)
        done = wait(neo4j, _load(neo4j, ages.seen(_parts(world, door, policy)), total, progress))
        took = time.monotonic() - began
    if ages.over:
        _LOG.warning(
            "%d orders were placed over %d days ago: a service beside this graph takes them out within the "
            "hour, unless RISKGRAPH_NEO4J_DAYS there is higher",
            ages.over,
            settings.neo4j_days,
        )
    return {
        "orders": done.read, "new_orders": done.orders, "new_outcomes": done.outcomes,
        "materialised": done.materialised, "seconds": round(took, 1), "orders_s": round(done.read / took, 1),
        "over_days": ages.over,
    }  # fmt: skip


class _Ages:
    """Counts orders placed before a day, in days since the epoch."""

    def __init__(self, day: int) -> None:
        self._day, self.over = day, 0

    def seen(self, parts: Iterator[Part]) -> Iterator[Part]:
        for part in parts:
            self.over += sum(row.properties["day"] < self._day for row in part.orders)
            yield part


async def _load(neo4j: Connection, parts: Iterator[Part], total: int, progress: Progress) -> Loaded:
    done = Loaded()
    progress("load", 0, total)
    async with aclosing(load(neo4j, parts)) as steps:
        async for done in steps:
            progress("load", min(done.read, total), total)
    return done


def _parts(world: worlds.World, door: Door, policy: nodes.Policy | None) -> Iterator[Part]:
    by_order: dict[str, list[Outcome]] = {}
    for outcome in world.outcomes():
        by_order.setdefault(outcome.order_key, []).append(outcome)
    rows: list[OrderRow] = []
    outcomes: list[Outcome] = []
    shown: list[str] = []
    for order, graph in worlds.orders_with_subgraphs(world, door):
        rows.append(_row(order, graph, world.simulated))
        mine = by_order.pop(order.key, [])
        outcomes += mine
        fraud = any(outcome.kind in FRAUD_KINDS for outcome in mine)
        if policy is not None and policy.chooses(order.key, "reject" if fraud else "accept"):
            shown.append(order.key)
        if len(rows) == BATCH:
            yield Part(rows, outcomes, shown)
            rows, outcomes, shown = [], [], []
    yield Part(rows, [*outcomes, *(o for rest in by_order.values() for o in rest)], shown)


def _row(order: Order, graph: OrderSubgraph, simulated: bool) -> OrderRow:
    """The order, with what a release must know of its shopper's choices."""
    ip = order.entities.ip
    row = order_row(PastOrder.of(order), graph.pack(), None if ip is None else ip.hex())
    row.properties.update(training_facts(order, simulated=simulated))
    return row


def export_world(settings: Settings, out: Path, progress: Progress) -> dict[str, Any]:
    """Write orders and outcomes of the graph as a packed world, from which the sandbox can release.

    An order of which the graph does not know what its shopper granted is left out, and counted: nothing may
    be learned from it (see ``docs/neo4j.md``). So is an order whose number another one has too, of another
    channel or merchant, since a world holds each once (contracts, section 5): the earlier one stays.

    Raises:
        Invalid: If some orders are simulated and others are not. Of a simulated world a release says that
            nobody stands behind it: its noise needs no key, and no ledger counts what its people gave.
        NotFound: If there is nothing to export.
    """
    with connected(settings) as neo4j:
        ((first, last, total, unknown, made_up),) = wait(neo4j, neo4j.fetch(_SPAN, {}, 4 * ANSWER_S))
        if first is None:
            raise NotFound("the graph has no orders that a world can be made of: load one first")
        simulated = made_up == total
        if made_up and not simulated:
            raise _mixed(f"{made_up} of {total} orders are simulated")
        outcomes: list[Outcome] = []
        facts = {"provenance": "simulated" if simulated else "merchant"}
        numbers: set[str] = set()
        same_number = 0

        def orders() -> Iterator[dict[str, Any]]:
            nonlocal same_number
            done = 0
            for day in range(first, last + 1):
                for order in wait(neo4j, neo4j.rows(_DAY, {"day": day}, 4 * ANSWER_S)):
                    if order["o"]["simulated"] != simulated:
                        raise _mixed("an order of the other kind came meanwhile")
                    row, done = _world_row(order["o"]), done + 1
                    if row["order_id"] in numbers:
                        same_number += 1
                        continue
                    numbers.add(row["order_id"])
                    outcomes.extend(map(decode_outcome, order["o"].get("outcomes", ())))
                    yield row
                progress("export", min(done, total), total)

        counts = worlds.write_packed_world(out, orders(), outcomes, facts)
    left = {"unknown_consent": unknown, "same_number": same_number}
    return {**counts, **facts, "left_out": left, "world": str(out)}


def _mixed(what: str) -> Invalid:
    return Invalid(
        f"simulated orders and a merchant's make no world together: {what}; keep simulated ones in a "
        "Neo4j of their own, and load each into an empty one",
        field="RISKGRAPH_STORE_URL",
    )


def _world_row(order: Mapping[str, Any]) -> dict[str, Any]:
    merchant, channel, number = order["key"].split("|")
    answers = dict.fromkeys(order["granted"], True) | dict.fromkeys(order["refused"], False)
    return {
        "merchant_id": merchant, "order_id": number, "channel_code": channel, "phase": order["phase"],
        "placed_at": order["at"], "jurisdiction": order["jurisdiction"], "amount_value": order["amount"],
        "amount_currency": order["currency"], "objected": order["objected"], "subgraph": bytes(order["vec"]),
        **{kind: order.get(kind) for kind in worlds.ENTITY_COLUMNS},
        **{column: answers.get(purpose) for purpose, column in worlds.PURPOSE_COLUMNS.items()},
    }  # fmt: skip


@contextmanager
def _feeding(settings: Settings) -> Iterator[tuple[Connection, Feed]]:
    with bootstrap.open_keys(settings) as store, connected(settings) as neo4j:
        yield neo4j, Feed(store.journal(), neo4j, nodes.Policy.parse(settings.neo4j_nodes))


def status(settings: Settings) -> dict[str, Any]:
    """What the graph holds, and how far each feed came; nothing is written.

    Returns:
        Also the ``journal``'s name in the graph and its feed's ``lag`` in events, both None where it was
        never fed.
    """
    with bootstrap.open_keys(settings) as store, connected(settings) as neo4j:
        (counts,) = wait(neo4j, neo4j.rows(_COUNTS, {}, 4 * ANSWER_S))
        feeds = wait(neo4j, neo4j.rows(_FEEDS, {}, ANSWER_S))
        last, name = store.journal().last(), store.journal().known_name()
    mine = next((feed["packed"] for feed in feeds if feed["name"] == name), 0)
    lag = None if name is None else last - mine
    return {**counts, "schema_known": SCHEMA_VERSION, "journal": name, "lag": lag, "feeds": feeds}


def erase_guests(settings: Settings, keys: Sequence[str]) -> dict[str, Any]:
    """Take guests' orders out of Neo4j that the journal does not know (GDPR Art. 17; PIPL Art. 47).

    Raises:
        Conflict: If the journal knows one, or one is of an account: ``riskgraph subject erase`` takes it out.
    """
    with bootstrap.open_keys(settings) as store, connected(settings) as neo4j:
        known = [key for key in keys if store.subgraph(key) or store.decision_of(key)]
        if known:
            name = " ".join(known[0].split("|"))
            raise Conflict(f"the journal has order {known[0]}: riskgraph subject erase --order {name}")
        return {"orders": wait(neo4j, neo4j.write(partial(removal.remove_guests, keys=keys)))}


def drain(settings: Settings) -> dict[str, Any]:
    """Write all that waits in the journal, now; a service beside it takes turns with this."""
    with _feeding(settings) as (neo4j, feed):
        wait(neo4j, feed.drain())
        return feed.status.to_json()


def rebuild(settings: Settings, progress: Progress) -> dict[str, Any]:
    """Make all behavior nodes anew that the policy asks for, of decided orders and of loaded ones."""
    with _feeding(settings) as (neo4j, feed):
        wait(neo4j, feed.drain())
        policy = nodes.Policy.parse(settings.neo4j_nodes)
        return wait(neo4j, _rebuild(neo4j, policy, progress))


async def _rebuild(neo4j: Connection, policy: nodes.Policy, progress: Progress) -> dict[str, Any]:
    total, told = (await neo4j.fetch(_ORDERS, {}, 4 * ANSWER_S))[0][0], (0, 0, 0)
    progress("rebuild", 0, total)
    async with aclosing(nodes.rebuild(neo4j, policy)) as steps:
        async for told in steps:
            progress("rebuild", min(told[0], total), total)
    return dict(zip(("orders", "materialised", "had_nodes"), told, strict=True))


def retain(settings: Settings, days: int, *, dry_run: bool) -> dict[str, Any]:
    """Take out orders that were placed more than ``days`` days ago, with all that hangs on them."""
    today = int(time.time() // DAY_S)
    with connected(settings) as neo4j:
        count = wait(neo4j, removal.retain(neo4j, today - days, dry_run=dry_run))
    before = (datetime.fromtimestamp(today * DAY_S, UTC) - timedelta(days=days)).date().isoformat()
    return {"before": before, "orders": count, "dry_run": dry_run}
