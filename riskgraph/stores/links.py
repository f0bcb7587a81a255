"""One order and the others behind its entities, from the embedded store; for people, not for verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import apsw

from riskgraph.core.history import HUB_ORDERS
from riskgraph.core.links import OrderLinks, order_links
from riskgraph.stores.codec import decode_past
from riskgraph.stores.insert import select_in
from riskgraph.stores.rows import KIND_CODE

_COUNT = "SELECT count(*) FROM oe WHERE kind=? AND digest=?"
_NEWEST = (
    "SELECT facts FROM (SELECT oid AS newest FROM oe WHERE kind=? AND digest=? ORDER BY ts DESC LIMIT ?) "
    "CROSS JOIN orders ON oid = newest"
)
# Decisions have no index by order; who looks at one order can wait for a scan.
_VERDICTS = "SELECT key, verdict FROM decisions WHERE key IN"


def links_of(order_key: str, most: int, connection: apsw.Connection) -> OrderLinks | None:
    """The order with at most ``most`` others; None if it is not there."""
    facts = connection.execute("SELECT facts FROM orders WHERE key=?", (order_key,)).get
    if facts is None:
        return None
    own = decode_past(facts)
    counts, found = {}, []
    for kind, digest in own.links():
        entity = (KIND_CODE[kind], digest)
        counts[kind] = connection.execute(_COUNT, entity).get
        if counts[kind] <= HUB_ORDERS:
            # All of them: what shares most is drawn first, however old.
            found += [decode_past(row) for (row,) in connection.execute(_NEWEST, (*entity, HUB_ORDERS))]
    return order_links(own, counts, found, partial(_verdicts, connection), most)


def _verdicts(connection: apsw.Connection, keys: list[str]) -> Mapping[str, str]:
    return dict(select_in(connection, _VERDICTS, keys))


def decision_of(order_key: str, connection: apsw.Connection) -> str | None:
    """Id of the newest decision on an order; None if there is none."""
    query = "SELECT decision_id FROM decisions WHERE key=? ORDER BY seq DESC LIMIT 1"
    found: str | None = connection.execute(query, (order_key,)).get
    return found


def first_decision(order_key: str, connection: apsw.Connection) -> str | None:
    """Id of the oldest decision on an order; None if there is none."""
    query = "SELECT decision_id FROM decisions WHERE key=? ORDER BY seq LIMIT 1"
    found: str | None = connection.execute(query, (order_key,)).get
    return found
