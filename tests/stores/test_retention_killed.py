"""A run of retention whose process is killed: whole steps are done, and the next run does the others."""

from __future__ import annotations

import shutil
import signal
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from riskgraph.bench.explain_integrity import count_in_files
from riskgraph.stores import SqliteStore
from riskgraph.stores.crash import synthetic_entry, synthetic_secrets
from riskgraph.stores.verify import verify_file
from tests.stores.builders import DAY, an_order, an_outcome
from tests.stores.erasing_child import AT, DAYS, PERIODS
from tests.stores.test_erasure_killed import child, spread

SECRETS = synthetic_secrets()
OVER = NEW = 4
# What may be left of the reports and the orders that are over: they go step by step, and whole each.
STAGES = [(OVER, OVER), (0, OVER), (0, 0)]


@dataclass(frozen=True)
class Before:
    """A store at rest, bytes of reports and of orders that are over in it, and how many steps a run takes."""

    path: Path
    reports: set[bytes]
    orders: set[bytes]
    steps: int


def add(store: SqliteStore, name: str, days: float) -> None:
    """A decision issued so many days before the run, with an outcome."""
    ago = 1_790_000_000.0 - AT + days * DAY  # ``an_order`` counts from another moment
    order = an_order(name, ago=ago, account=name, device=name)
    made = synthetic_entry(order, f"d-{name}")
    report = made.decision.report
    issued = datetime.fromtimestamp(order.placed_at, UTC).isoformat()
    report = replace(report, issued_at=issued, order={**report.order, "jurisdiction": "CN"})
    store.append(replace(made, decision=replace(made.decision, report=report)))
    store.append_outcomes([an_outcome(name, "chargeback_fraud", ago=ago)])


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    path = tmp_path_factory.mktemp("rest") / "store.db"
    with closing(SqliteStore(path, SECRETS)) as store:
        for i in range(OVER):
            add(store, f"over-{i}", DAYS + 10.0)
        for i in range(NEW):
            add(store, f"new-{i}", 1.0)
    reports, orders = ({f"{kind}over-{i}".encode() for i in range(OVER)} for kind in ("d-", "m|web|"))
    other = tmp_path_factory.mktemp("whole") / "store.db"
    shutil.copy(path, other)
    done = child(other, "retention")
    assert done.returncode == 0, done.stderr
    assert count_in_files(reports, path.parent) * count_in_files(orders, path.parent) > 0
    return Before(path, reports, orders, int(done.stdout))


def left(store: SqliteStore) -> tuple[int, int]:
    """Reports and orders that are over and still there; an order never goes without its outcome."""
    names = [row["decision_id"] for row in store.decisions()]
    assert all(store.read_record(name) is not None for name in names)
    orders = [key for (key,) in store._fetch("SELECT key FROM orders")]
    outcomes = [key for (key,) in store._fetch("SELECT order_key FROM outcomes")]
    assert sorted(orders) == sorted(outcomes)
    assert (len(names), len(orders)) >= (NEW, NEW)
    return len(names) - NEW, len(orders) - NEW


def after_kill(before: Before, step: int, folder: Path) -> tuple[int, int]:
    """What is left after the kill; the next start and the next run then leave nothing that is over."""
    folder.mkdir()
    path = folder / "store.db"
    shutil.copy(before.path, path)
    assert child(path, "retention", step).returncode == -signal.SIGKILL
    with closing(SqliteStore(path, SECRETS)) as store:
        found = left(store)
        assert store.integrity_problems() == []
        assert store.verify().problems == ()
        # The start has wiped what whole steps took out; an order's key stands in its report too.
        assert (count_in_files(before.reports, folder) == 0) == (found[0] == 0)
        assert (count_in_files(before.orders, folder) == 0) == (found == (0, 0))
        store.retention.remove(store.retention.due(PERIODS, AT), AT)
        assert left(store) == (0, 0)
    assert count_in_files(before.reports | before.orders, folder) == 0
    verified = verify_file(path, SECRETS)
    assert (verified.problems, verified.decisions, verified.erased) == ((), NEW, OVER)
    shutil.rmtree(folder)
    return found


def check(before: Before, steps: list[int], folder: Path) -> None:
    found = [after_kill(before, step, folder / str(step)) for step in steps]
    # The later the kill, the more is gone.
    assert found == sorted(found, key=STAGES.index)
    assert {found[0], found[-1]} == {STAGES[0], STAGES[-1]}


def test_a_kill_within_a_run_leaves_whole_steps_and_the_next_run_does_the_others(
    before: Before, tmp_path: Path
) -> None:
    check(before, spread(before.steps, 6), tmp_path)


@pytest.mark.slow
def test_no_step_of_a_run_can_be_killed_so_that_a_part_of_it_stays(before: Before, tmp_path: Path) -> None:
    check(before, spread(before.steps, 100), tmp_path)
