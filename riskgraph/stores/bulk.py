"""Loading a shop's earlier orders, so that the first decision already knows its history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import apsw

from riskgraph.core.history import IndexedHistory
from riskgraph.core.outcome import FRAUD_KINDS, Outcome
from riskgraph.core.past import PastOrder, merchant_of
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.stores.codec import encode_past
from riskgraph.stores.graph import OUTCOME_COLUMNS, After, note_report, write_orders, write_outcomes
from riskgraph.stores.insert import present
from riskgraph.stores.rows import OrderRows

BATCH = 2_000
_NOTHING_KEPT = OrderSubgraph.build({}, {}).pack()


def batches(
    orders: Sequence[PastOrder], outcomes: Sequence[Outcome]
) -> Iterator[tuple[list[PastOrder], list[Outcome]]]:
    """Orders in pieces, each with the outcomes of its orders; outcomes of other orders come last."""
    by_key: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_key.setdefault(outcome.order_key, []).append(outcome)
    for start in range(0, len(orders), BATCH):
        part = list(orders[start : start + BATCH])
        yield part, [o for past in part for o in by_key.pop(past.key, ())]
    if by_key:
        yield [], [o for rest in by_key.values() for o in rest]


def write_history(
    orders: Sequence[PastOrder],
    outcomes: Sequence[Outcome],
    indexes: IndexedHistory,
    connection: apsw.Connection,
    after: After,
) -> None:
    """Insert orders with their outcomes; what is there already is left alone.

    History makes no decision: there is no report and no meter row, and an event only for outcomes
    of orders that were there before.
    """
    seen = present(connection, "orders", "key", [past.key for past in orders])
    new = {past.key: past for past in orders if past.key not in seen}
    mine = [o for o in outcomes if o.order_key in new]
    for outcome in mine:
        known = new[outcome.order_key].outcomes
        if all(o.outcome_id != outcome.outcome_id for o in known):
            known.append(outcome)
    rows = [OrderRows(past, encode_past(past), _NOTHING_KEPT) for past in new.values()]
    write_orders(connection, rows, indexes, after)
    _insert_outcomes(connection, mine)
    for outcome in mine:
        note_report(connection, outcome, indexes)
        indexes.reports.add(outcome)
    write_outcomes([o for o in outcomes if o.order_key not in new], indexes, connection, after)


def _insert_outcomes(connection: apsw.Connection, outcomes: Sequence[Outcome]) -> None:
    connection.executemany(
        f"INSERT OR IGNORE INTO outcomes({OUTCOME_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?)",
        [
            (o.order_key, o.outcome_id, o.kind, o.effective_at, o.reported_at, o.reason, o.source,
             o.reverses, merchant_of(o.order_key))
            for o in outcomes
        ],
    )  # fmt: skip
    frauds = {(o.order_key,) for o in outcomes if o.kind in FRAUD_KINDS}
    connection.executemany("INSERT OR IGNORE INTO fraud_orders VALUES(?)", sorted(frauds))
