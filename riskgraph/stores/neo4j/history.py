"""The history that several services share: this one's orders, with what Neo4j adds of the others'.

A context is computed by the functions that compute it locally. What they ask for and Neo4j has not been
asked yet is answered from the local history and noted; then all of it is asked at once, and they run again,
until nothing new is asked. Where all orders are this service's own, the local questions are all there are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import apsw

from riskgraph.core.history import FRAUD_S, HISTORY_LIMIT, HUB_ORDERS, IndexedHistory, any_fraud
from riskgraph.core.order import Order
from riskgraph.core.past import BAD_LINK_KINDS, LINK_KINDS, PastOrder
from riskgraph.core.spelling import parts, unique_alike
from riskgraph.stores.codec import decode_bands, decode_past
from riskgraph.stores.insert import select_in
from riskgraph.stores.neo4j.rows import decode_outcome
from riskgraph.stores.reads import Decoded, SqliteHistory

# What one order asks of the server at most, in links of all its rounds: 300 took 43 to 49 ms on busy cores.
MOST_LINKS = 300
_RECORDED = "SELECT oid, facts FROM orders WHERE key IN"
_Link = tuple[str, bytes]
_Rows = Sequence[Sequence[Any]]
_TOLD = ("newest", "fraud")


class TooMuchAsked(Exception):
    """A ring so large that its questions would not be answered in an order's time."""


class SharedHistory(SqliteHistory):
    """The history of one order, here and in Neo4j; see :class:`riskgraph.core.history.History`.

    An order counts once by its key and stands as it is recorded here; its outcomes are those of both, once
    an id. Of each entity the newest 200 orders of both are read. An entity is a hub if it is one in either.

    Args:
        connection: A connection to the journal; all calls come from its thread.
        indexes: The journal's indexes in memory.
        kept: The journal's orders that were read lately.
        order: The order whose history it is: every call is about what came before it.
    """

    def __init__(
        self, connection: apsw.Connection, indexes: IndexedHistory, kept: Decoded, order: Order
    ) -> None:
        super().__init__(connection, indexes, kept)
        self._order = order
        self._own: tuple[PastOrder | None] | None = None
        self._local: dict[_Link, tuple[float, Sequence[PastOrder]]] = {}
        self._hubs: dict[_Link, bool] = {}
        self._alike: list[bytes] | None = None
        # What Neo4j said: orders that are not here or have more outcomes there, and by which links.
        self._united: dict[str, PastOrder] = {}
        self._theirs: dict[_Link, list[PastOrder]] = {}
        self._their_frauds: dict[_Link, list[PastOrder]] = {}
        self._asked: dict[tuple[str, _Link], float] = {}
        self._open: dict[tuple[str, _Link], float] = {}

    def read(self, order: Order) -> tuple[PastOrder | None, Mapping[str, Sequence[PastOrder]]]:
        """See :class:`riskgraph.core.history.History`."""
        links = list(order.entities.items())
        if self._own is None:
            own, found = super().read(order)
            self._own = (own,)
            self._local |= {(kind, digest): (-math.inf, found.get(kind, ())) for kind, digest in links}
        (own,) = self._own
        return own, {link[0]: self.newest(*link, -math.inf, order.placed_at, own) for link in links}

    def newest(
        self, kind: str, digest: bytes, since: float, before: float, own: PastOrder | None
    ) -> Sequence[PastOrder]:
        """See :class:`riskgraph.core.history.History`."""
        link = kind, digest
        self._ask("newest", link, since)
        reached, mine = self._local.get(link, (math.inf, ()))
        if since < reached:
            mine = super().newest(kind, digest, since, before, own)
            self._local[link] = since, mine
        rows = self._unite(mine, self._theirs.get(link, ()))
        return rows if not rows or rows[-1].at >= since else [p for p in rows if p.at >= since]

    def _unite(self, mine: Sequence[PastOrder], theirs: Sequence[PastOrder]) -> Sequence[PastOrder]:
        if not self._united:
            return mine
        mine = [self._united.get(past.key, past) for past in mine]
        here = {past.key for past in mine}
        others = [self._united.get(past.key, past) for past in theirs if past.key not in here]
        # Stable: of orders of one instant those of this service stand where they stood.
        return sorted([*mine, *others], key=lambda past: -past.at)[:HISTORY_LIMIT] if others else mine

    def alike(self, order: Order) -> Sequence[bytes]:
        """See :class:`riskgraph.core.history.History`."""
        who = order.entities
        if who.address is None or not who.bands:
            return ()
        if self._alike is None:
            self._alike = list(super().alike(order))
        self._ask("alike", ("address", who.address))
        return self._alike

    def is_hub(self, kind: str, digest: bytes, before: float, own: PastOrder | None) -> bool:
        """See :class:`riskgraph.core.history.History`."""
        link = kind, digest
        if link not in self._hubs:
            self._hubs[link] = super().is_hub(kind, digest, before, own)
        if not self._hubs[link]:
            self._ask("hub", link)
        return self._hubs[link]

    def fraud_linked(self, kind: str, digest: bytes, at: float, skip: str) -> bool:
        """See :class:`riskgraph.core.history.History`."""
        link = kind, digest
        self._ask("fraud", link)
        rows = (*self.frauds.orders(kind, digest), *self._their_frauds.get(link, ()))
        return bool(rows) and any_fraud([self._united.get(past.key, past) for past in rows], at, skip)

    def _ask(self, what: str, link: _Link, since: float = 0.0) -> None:
        question = what, link
        if since < self._asked.get(question, math.inf):
            self._open[question] = min(since, self._open.get(question, math.inf))

    def questions(self) -> dict[str, Any] | None:
        """Parameters of the statement that asks what is not known yet; None when everything is.

        Raises:
            TooMuchAsked: If the order has more than ``MOST_LINKS`` of them.
        """
        if not self._open:
            return None
        if len(self._asked.keys() | self._open.keys()) > MOST_LINKS:
            raise TooMuchAsked
        asked: dict[str, list[Any]] = defaultdict(list)
        for (what, (kind, digest)), since in self._open.items():
            if what == "alike":
                asked["parts"] = [parts(self._order.entities.bands)]
            else:
                name = digest.hex()
                row = {"digest": name, "since": since} if what == "newest" else name
                asked[f"{what}_{kind}"].append(row)
        self._asked |= self._open
        self._open = {}
        before, key = self._order.placed_at, self._order.key
        return parameters(asked, before, key)

    def take(self, answers: Sequence[Sequence[Any]]) -> bool:
        """Take what Neo4j answered; whether it tells anything that is not known here."""
        news, recorded = False, self._recorded(answers)
        for what, kind, name, found in answers:
            if what == "alike":
                news |= self._take_alike(found)
                continue
            link = kind, bytes.fromhex(name)
            # So many orders with fraud that they were not read.
            if what == "fraud" and found is None:
                news |= not self._hubs.get(link, False)
                self._hubs[link] = True
            elif what == "hub":
                hub = found[0] > HUB_ORDERS
                news |= hub and not self._hubs[link]
                self._hubs[link] |= hub
            else:
                theirs = self._theirs if what == "newest" else self._their_frauds
                theirs[link], told = self._take_orders(link, found, recorded)
                news |= told
        return news

    def _recorded(self, answers: Iterable[Sequence[Any]]) -> dict[str, PastOrder]:
        """Those of the orders told that are recorded here, whatever entities they have here."""
        told = [
            ((kind, bytes.fromhex(name)), found)
            for what, kind, name, found in answers
            if what in _TOLD and found
        ]
        here = {past.key: past for link, _ in told for past in self.frauds.orders(*link)}
        here |= {past.key: past for _, rows in self._local.values() for past in rows}
        rest = list({row[0] for _, found in told for row in found} - here.keys())
        rows = select_in(self._connection, _RECORDED, rest)
        return here | {past.key: past for past in (self._past(*row) for row in rows)}

    def _take_orders(
        self, link: _Link, found: _Rows, recorded: Mapping[str, PastOrder]
    ) -> tuple[list[PastOrder], bool]:
        """Orders as they are known now, and whether one is new or has an outcome that is."""
        (kind, digest), orders, news = link, [], False
        for key, facts, told in found:
            past = self._united.get(key) or recorded.get(key) or decode_past(facts)
            known = {outcome.outcome_id for outcome in past.outcomes}
            more = [o for o in map(decode_outcome, told or ()) if o.outcome_id not in known]
            if more or key not in recorded:
                past = self._united[key] = replace(past, outcomes=[*past.outcomes, *more])
                news = True
            # Another service may have recorded it with another entity or time; what is recorded here stands.
            if getattr(past, kind) == digest and past.at < self._order.placed_at:
                orders.append(past)
        return orders, news

    def _take_alike(self, found: _Rows) -> bool:
        who = self._order.entities
        assert who.address is not None
        assert self._alike is not None
        rows = [(bytes.fromhex(name), decode_bands(bands)) for name, bands in found]
        others = [a for a in unique_alike(who.address, who.bands, rows) if a not in self._alike]
        self._alike += others
        return bool(others)


_NOTHING: dict[str, list[Any]] = {
    **{f"newest_{kind}": [] for kind in LINK_KINDS},
    **{f"{what}_{kind}": [] for what in ("hub", "fraud") for kind in BAD_LINK_KINDS},
    "parts": [],
}


def parameters(asked: Mapping[str, list[Any]], before: float = 0.0, key: str = "") -> dict[str, Any]:
    """Parameters of the statement ``ASK``."""
    times = {"before": before, "fraud_since": before - FRAUD_S, "key": key}
    return {"asked": _NOTHING | dict(asked) | times, "limit": HISTORY_LIMIT, "hub": HUB_ORDERS + 1}
