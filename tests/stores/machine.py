"""Stores against a plain model of them, whatever is done in whichever order."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from riskgraph.core.context import compute_context
from riskgraph.core.errors import Conflict
from riskgraph.core.order import Order
from riskgraph.core.outcome import FRAUD_KINDS
from riskgraph.ports import Entry
from riskgraph.stores.retention import Due
from riskgraph.stores.sqlite import SqliteStore
from tests.stores.builders import DAY, NOW, digest
from tests.stores.model import (
    ACCOUNTS,
    ORDERS,
    OUTCOMES,
    JournalModel,
    decided,
    pooled_order,
    pooled_outcome,
)

EVER = 1e12
CAP = 3
# So that a hub is one after four orders.
CAPPED = ("riskgraph.core.history", "riskgraph.stores.reads")

NUMBERS = st.integers(0, ORDERS - 1)
TRIES, FACTS = st.integers(1, 3), st.sampled_from((0, 0, 0, 0, 1))
KINDS = st.sampled_from(("paid", "refund", *sorted(FRAUD_KINDS)))
AGES = st.floats(-1.0, 50.0)
# Which of the services; most of what happens happens at the first.
WHICH = st.sampled_from((0, 0, 0, 1))
SOME = st.sets(NUMBERS, min_size=1, max_size=4)


def examples(few: int, many: int) -> settings:
    """A few long examples, or many of them with the profile ``full``."""
    full = settings().max_examples > 100
    return settings(max_examples=many if full else few, stateful_step_count=60, deadline=None)


class StoreMachine(RuleBasedStateMachine):
    """One embedded store; where there are more services than one, each has a journal of its own."""

    services = 1

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        for module in CAPPED:
            self.patch.setattr(f"{module}.HUB_ORDERS", CAP)
        self.names = count()
        self.models = [JournalModel() for _ in range(self.services)]
        self.stores: list[Any] = [self.opened(number) for number in range(self.services)]

    def opened(self, number: int) -> SqliteStore:
        raise NotImplementedError

    def at(self, which: int) -> tuple[Any, JournalModel]:
        number = min(which, self.services - 1)
        return self.stores[number], self.models[number]

    def teardown(self) -> None:
        try:
            for which in range(self.services):
                self.everything_is_there(which)
            for store in self.stores:
                assert store.integrity_problems() == []
                assert store.verify().problems == ()
        finally:
            for store in self.stores:
                store.close()
            self.patch.undo()
            shutil.rmtree(self.folder)

    # ---- what a service records ---------------------------------------------------------------
    @rule(which=WHICH, number=NUMBERS, tries=TRIES, facts=FACTS, flagged=st.booleans())
    def an_order_is_decided(self, which: int, number: int, tries: int, facts: int, flagged: bool) -> None:
        """Also a further attempt, or one more order under an id, or one whose idempotency key is taken."""
        store, model = self.at(which)
        entry = decided(pooled_order(number, tries, facts), f"d{next(self.names)}", flagged=flagged)
        if model.takes(entry):
            store.append(entry)
            model.decide(entry)
        else:
            with pytest.raises(Conflict):
                store.append(entry)

    @rule(
        which=WHICH, number=NUMBERS, facts=FACTS, name=st.integers(0, OUTCOMES - 1), kind=KINDS,
        reverses=st.none() | st.integers(0, OUTCOMES - 1),
    )  # fmt: skip
    def an_outcome_is_reported(
        self, which: int, number: int, facts: int, name: int, kind: str, reverses: int | None
    ) -> None:
        """Also before its order, or again, or with other facts under an id that is taken."""
        store, model = self.at(which)
        outcome = pooled_outcome(pooled_order(number, 1, facts), name, kind, reverses)
        known = model.outcomes.get((outcome.order_key, outcome.outcome_id), outcome)
        if known == outcome:
            assert store.append_outcomes([outcome]) == model.report(outcome)
        else:
            with pytest.raises(Conflict):
                store.append_outcomes([outcome])

    # ---- what is taken out --------------------------------------------------------------------
    @rule(which=WHICH, person=st.integers(0, ACCOUNTS - 1))
    def a_person_is_erased(self, which: int, person: int) -> None:
        self.erase(which, (digest("account", str(person)),), ())

    @rule(which=WHICH, number=NUMBERS)
    def who_is_behind_an_order_is_erased(self, which: int, number: int) -> None:
        self.erase(which, (), (pooled_order(number).key,))

    def erase(self, which: int, accounts: tuple[Any, ...], keys: tuple[str, ...]) -> None:
        store, model = self.at(which)
        before = len(model.orders), len(model.decisions)
        done = store.subjects.erase(accounts, keys, NOW)
        model.erase(accounts, keys)
        gone = before[0] - len(model.orders), before[1] - len(model.decisions)
        assert (done["orders"], done["decisions"]) == gone

    @rule(which=WHICH, numbers=SOME, what=st.sampled_from(("orders", "optional", "reports")))
    def something_is_over_its_period(self, which: int, numbers: set[int], what: str) -> None:
        store, model = self.at(which)
        wanted = {pooled_order(number).key for number in numbers}
        keys = [key for key in model.orders if key in wanted]
        if what == "reports":
            names = [name for name, entry in model.decisions.items() if entry.order.key in wanted]
            query = "SELECT seq, decision_id, subject FROM decisions ORDER BY seq"
            rows = [row for row in store._fetch(query) if row[1] in names]
            done = store.retention.remove(Due(reports=rows), NOW)
            assert done["report"] == len(names)
            if names:
                model.retain_decisions(names)
        elif what == "orders":
            assert store.retention.remove(Due(orders=keys), NOW)["contract_record"] == len(keys)
            if keys:
                model.retain_orders(keys)
        else:
            assert store.retention.remove(Due(optional=keys), NOW)["optional"] == len(keys)
            if keys:
                model.retain_optional(keys)

    # ---- what is asked ------------------------------------------------------------------------
    @rule(which=WHICH, number=st.integers(0, 2 * ORDERS), tries=TRIES, facts=FACTS, age=AGES)
    def a_context_is_that_of_the_model(
        self, which: int, number: int, tries: int, facts: int, age: float
    ) -> None:
        store, model = self.at(which)
        order = self.asked(number, tries, facts, age)
        assert store.context(order) == compute_context(order, model.history())

    @staticmethod
    def asked(number: int, tries: int, facts: int, age: float) -> Order:
        return replace(pooled_order(number, tries, facts), placed_at=NOW - age * DAY)

    @rule(which=WHICH, number=NUMBERS, tries=TRIES, facts=FACTS)
    def a_retry_is_answered_as_it_was(self, which: int, number: int, tries: int, facts: int) -> None:
        store, model = self.at(which)
        key = decided(pooled_order(number, tries, facts), "").idempotency_key
        known = model.replay(key)
        assert store.replay(key) == (None if known is None else (known.body_sha256, known.answer))

    @precondition(lambda self: self.models[0].decisions)
    @rule(data=st.data())
    def a_decision_is_read_back(self, data: st.DataObject) -> None:
        store, model = self.at(0)
        self.check_decision(store, model.decisions[data.draw(st.sampled_from(list(model.decisions)))])

    def check_decision(self, store: SqliteStore, entry: Entry) -> None:
        found = store.read_record(entry.decision.decision_id)
        assert found is not None
        assert (found.answer, found.report) == (entry.answer, entry.decision.report)

    @rule(which=WHICH)
    def everything_is_there(self, which: int) -> None:
        store, model = self.at(which)
        assert {row["decision_id"] for row in store.decisions(limit=10_000)} == set(model.decisions)
        packed = {key: graph.pack() for key, graph in model.subgraphs.items()}
        assert dict(store._fetch("SELECT key, vec FROM orders")) == packed
        assert packed.keys() == model.orders.keys()
        told = store._fetch("SELECT order_key, outcome_id FROM outcomes")
        assert set(told) == set(model.outcomes)
        assert len(told) == len(model.outcomes)

    # ---- what happens to a service ------------------------------------------------------------
    @rule(which=WHICH)
    def a_service_is_restarted(self, which: int) -> None:
        number = min(which, self.services - 1)
        self.stores[number].close()
        self.stores[number] = self.opened(number)
