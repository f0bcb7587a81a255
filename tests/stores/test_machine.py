"""The embedded store does what a plain model of it does."""

from __future__ import annotations

from hypothesis.stateful import run_state_machine_as_test

from riskgraph.stores import SqliteStore
from riskgraph.stores.crash import synthetic_secrets
from tests.stores.machine import EVER, StoreMachine, examples


class EmbeddedMachine(StoreMachine):
    def opened(self, number: int) -> SqliteStore:
        return SqliteStore(self.folder / f"{number}.db", synthetic_secrets(), keep_s=EVER)


def test_the_embedded_store_does_what_its_model_does():
    run_state_machine_as_test(EmbeddedMachine, settings=examples(40, 600))
