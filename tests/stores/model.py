"""What stores must hold, kept in plain dicts: one of a journal, one of a graph that journals are fed into."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Any

from riskgraph.core.history import MemoryHistory
from riskgraph.core.order import Order
from riskgraph.core.outcome import Outcome
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import Verdict
from riskgraph.ports import Entry
from riskgraph.stores.crash import synthetic_entry
from tests.stores.builders import DAY, NEEDED, NOW, OPTIONAL, attempt, digest
from tests.stores.streams import crowded_order, spelling

ORDERS, ACCOUNTS, OUTCOMES = 10, 5, 3


def pooled_order(number: int, tries: int = 1, facts: int = 0) -> Order:
    """An order of a small shop; ``facts`` says which, of those that share the number's order id."""
    chance = Random(number + 1000 * facts)
    made = crowded_order(chance, number, NOW - chance.random() * 40 * DAY, people=ACCOUNTS)
    who = made.entities
    assert who.address is not None
    # Each address has one spelling, so that it is no matter which of its orders was first.
    bands = spelling(who.address[8], who.address[10] % 5)
    ip = digest("ip", str(chance.randrange(3))) if chance.random() < 0.8 else None
    order = replace(
        made,
        merchant_id=f"m{number % 3}",
        order_id=f"o{number}",
        entities=replace(who, bands=bands, ip=ip),
        attempt=1,
    )
    return attempt(order, tries, 60.0 * (tries - 1))


def pooled_outcome(order: Order, number: int, kind: str, reverses: int | None) -> Outcome:
    at = order.placed_at + (1 + number) * DAY
    other = None if reverses is None else f"x{reverses}"
    return Outcome(f"x{number}", order.key, kind, at, at + DAY / 2, reverses=other)


def decided(order: Order, decision_id: str, *, flagged: bool = False) -> Entry:
    entry = synthetic_entry(order, decision_id, subgraph_of(order))
    if not flagged:
        return entry
    decision = replace(entry.decision, verdict=Verdict.REVIEW)
    return replace(entry, decision=decision, answer=entry.answer.replace(b"accept", b"review"))


def subgraph_of(order: Order, *, optional: bool = True) -> OrderSubgraph:
    """Values that are an order's own, and another attempt's others; without the optional one if asked."""
    values = {NEEDED: order.amount} | ({OPTIONAL: float(order.attempt)} if optional else {})
    return OrderSubgraph.build(values, {})


def identity(order: Order) -> tuple[Any, ...]:
    """What never changes of an order; a notice of erasure names it by that."""
    who = order.entities
    return order.key, order.placed_at, order.amount, who.account, who.card, who.address, who.phone


def bare(order: Order) -> Order:
    return replace(order, entities=replace(order.entities, device=None))


def without_network(order: Order) -> Order:
    """As in a graph once the report that told the network has ended, or optional values have."""
    return replace(order, entities=replace(order.entities, ip=None))


@dataclass
class Notice:
    """What was taken out of a journal."""

    accounts: set[bytes] = field(default_factory=set)
    orders: set[tuple[Any, ...]] = field(default_factory=set)
    outcomes: set[Outcome] = field(default_factory=set)
    decisions: set[str] = field(default_factory=set)
    optional: set[tuple[Any, ...]] = field(default_factory=set)


Event = Entry | Outcome | Notice


@dataclass
class JournalModel:
    """What an embedded store holds, and which events no feed has carried yet."""

    orders: dict[str, Order] = field(default_factory=dict)
    subgraphs: dict[str, OrderSubgraph] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    decisions: dict[str, Entry] = field(default_factory=dict)
    waiting: list[Event] = field(default_factory=list)
    # Merchants' first times outlive their orders: they are about no person.
    _seen: list[Order] = field(default_factory=list)
    _told: list[Outcome] = field(default_factory=list)
    _guests: Any = field(default_factory=count)
    _subjects: dict[str, Any] = field(default_factory=dict)

    def history(self, others: GraphModel | None = None) -> MemoryHistory:
        """The orders here, with those that are elsewhere only, and all that became of them."""
        orders, outcomes = self.orders, self.outcomes
        if others is not None:
            orders, outcomes = {**others.orders, **orders}, {**others.outcomes, **outcomes}
        made = MemoryHistory()
        for order in orders.values():
            made.add_order(order)
        for outcome in outcomes.values():
            made.add_outcome(outcome)
        for order in self._seen:
            made.activity.set_first(order.merchant_id, order.placed_at)
        for outcome in self._told:
            made.reports.add(outcome)
        return made

    def takes(self, entry: Entry) -> bool:
        """Whether it is a decision that is not there yet."""
        return self.replay(entry.idempotency_key) is None

    def decide(self, entry: Entry) -> None:
        self.decisions[entry.decision.decision_id] = entry
        account = entry.order.entities.account
        self._subjects[entry.decision.decision_id] = account or next(self._guests)
        if entry.order.key not in self.orders:
            self.orders[entry.order.key] = entry.order
            self.subgraphs[entry.order.key] = entry.subgraph
            self._seen.append(entry.order)
        self.waiting.append(entry)

    def replay(self, idempotency_key: str) -> Entry | None:
        return next((e for e in self.decisions.values() if e.idempotency_key == idempotency_key), None)

    def report(self, outcome: Outcome) -> int:
        """How many were new."""
        known = self.outcomes.setdefault((outcome.order_key, outcome.outcome_id), outcome)
        if known is not outcome:
            return 0
        self._told.append(outcome)
        self.waiting.append(outcome)
        return 1

    def erase(self, accounts: Collection[bytes], keys: Collection[str]) -> None:
        """Of all persons who are behind the orders, and of the accounts, everything."""
        who: set[Any] = set(accounts) | {self._subjects[name] for name in self._of(keys)}
        named = [order.entities.account for key, order in self.orders.items() if key in keys]
        who |= {account for account in named if account is not None}
        gone = set(keys) | {key for key, order in self.orders.items() if order.entities.account in who}
        gone |= {e.order.key for name, e in self.decisions.items() if self._subjects[name] in who}
        notice = self._notice(gone, decisions=self._of(gone))
        notice.accounts = {account for account in who if isinstance(account, bytes)}
        self._remove_orders(gone)
        self._remove_decisions(notice.decisions)
        # Of an account even where nothing is here: another service may have fed its orders into the graph.
        if notice.accounts or notice.orders or notice.outcomes or notice.decisions:
            self.waiting.append(notice)

    def retain_orders(self, keys: Collection[str]) -> None:
        self.waiting.append(self._notice(keys))
        self._remove_orders(keys)

    def retain_decisions(self, names: Collection[str]) -> None:
        self._remove_decisions(names)
        self.waiting.append(Notice(decisions=set(names)))

    def retain_optional(self, keys: Collection[str]) -> None:
        self.waiting.append(Notice(optional={identity(self.orders[key]) for key in keys}))
        self.orders |= {key: bare(self.orders[key]) for key in keys}
        self.subgraphs |= {key: subgraph_of(self.orders[key], optional=False) for key in keys}

    def _notice(self, keys: Collection[str], decisions: Iterable[str] = ()) -> Notice:
        return Notice(
            orders={identity(order) for key, order in self.orders.items() if key in keys},
            outcomes={outcome for outcome in self.outcomes.values() if outcome.order_key in keys},
            decisions=set(decisions),
        )

    def _of(self, keys: Collection[str]) -> list[str]:
        return [name for name, entry in self.decisions.items() if entry.order.key in keys]

    def _remove_orders(self, keys: Collection[str]) -> None:
        self.orders = {key: order for key, order in self.orders.items() if key not in keys}
        self.subgraphs = {key: self.subgraphs[key] for key in self.orders}
        self.outcomes = {of: outcome for of, outcome in self.outcomes.items() if of[0] not in keys}
        self.waiting = [event for event in self.waiting if _key(event) not in keys]

    def _remove_decisions(self, names: Collection[str]) -> None:
        self.decisions = {name: entry for name, entry in self.decisions.items() if name not in names}
        self.waiting = [
            event
            for event in self.waiting
            if not isinstance(event, Entry) or event.decision.decision_id not in names
        ]


def _key(event: Event) -> str | None:
    if isinstance(event, Entry):
        return event.order.key
    return event.order_key if isinstance(event, Outcome) else None


@dataclass
class GraphModel:
    """What a graph holds that several journals are fed into.

    Attributes:
        orders: As the journal had them whose feed was first, with the network that its event told.
        subgraphs: Of each order.
        shown: Keys of orders that have behavior nodes.
        decisions: Order keys by decision.
        outcomes: By order key and id, also of orders that are not there.
    """

    orders: dict[str, Order] = field(default_factory=dict)
    subgraphs: dict[str, OrderSubgraph] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)
    decisions: dict[str, str] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)

    def feed(self, journal: JournalModel) -> None:
        """All that waits in a journal is carried here."""
        for event in journal.waiting:
            if isinstance(event, Entry):
                self._decided(event, journal)
            elif isinstance(event, Outcome):
                self.outcomes.setdefault((event.order_key, event.outcome_id), event)
            else:
                self._erased(event, journal)
        journal.waiting = []

    def _decided(self, entry: Entry, journal: JournalModel) -> None:
        key = entry.order.key
        if key not in self.orders:
            here = journal.orders[key]
            self.orders[key] = replace(here, entities=replace(here.entities, ip=entry.order.entities.ip))
            self.subgraphs[key] = journal.subgraphs[key]
        self.decisions.setdefault(entry.decision.decision_id, key)
        if entry.decision.verdict is not Verdict.ACCEPT:
            self.shown.add(key)

    def _erased(self, notice: Notice, journal: JournalModel) -> None:
        gone = {
            key
            for key, order in self.orders.items()
            if order.entities.account in notice.accounts or identity(order) in notice.orders
        }
        self.orders = {key: order for key, order in self.orders.items() if key not in gone}
        self.subgraphs = {key: self.subgraphs[key] for key in self.orders}
        self.shown -= gone
        for key in {self.decisions[name] for name in notice.decisions if name in self.decisions} - gone:
            self.orders[key] = without_network(self.orders[key])
        self.decisions = {
            name: key
            for name, key in self.decisions.items()
            if key not in gone and name not in notice.decisions
        }
        self.outcomes = {
            of: outcome
            for of, outcome in self.outcomes.items()
            if of[0] not in gone and outcome not in notice.outcomes
        }
        for key, order in self.orders.items():
            if identity(order) in notice.optional and key in journal.orders:
                self.orders[key] = without_network(bare(order))
                self.subgraphs[key] = journal.subgraphs[key]
