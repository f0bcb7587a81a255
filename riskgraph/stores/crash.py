"""Kill a writing process at a random moment and count what it had promised: ``bench line`` and tests.

The child appends synthetic decisions from several threads and reports each id only after
``append`` returned; whatever it reported must be there when the file is opened again.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from riskgraph.core.order import Entities, Order
from riskgraph.core.report import Decision, DecisionReport, Reason
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import Verdict
from riskgraph.ports import Entry
from riskgraph.stores.schema import connect
from riskgraph.stores.sealing import Secrets
from riskgraph.stores.sqlite import SqliteStore

CHILD_THREADS = 4
MAX_ACKNOWLEDGED = 150
_EPOCH = 1_780_000_000.0


@dataclass(frozen=True, slots=True)
class KillResult:
    """What a series of kills left behind.

    Attributes:
        kills: Processes killed while writing.
        acknowledged: Decisions whose commit had been reported.
        lost: Reported ones that were not there afterwards.
        problems: What the integrity checks after the kills found, and decisions without their
            order, event or meter row.
    """

    kills: int
    acknowledged: int
    lost: int
    problems: tuple[str, ...] = ()


def synthetic_entry(order: Order, decision_id: str, subgraph: OrderSubgraph | None = None) -> Entry:
    """A decision on ``order`` with a report record of the usual size, 3 to 4 KB.

    Args:
        order: The order; its idempotency key is the one of contracts section 2.
        decision_id: Any id.
        subgraph: Node values; none is an order of which nothing was delivered.
    """
    graph = subgraph or OrderSubgraph.build({}, {})
    filler = sha256(decision_id.encode()).digest()
    report = DecisionReport(
        decision_id=decision_id,
        issued_at="2026-11-11T04:03:04.567Z",
        order={"amount": order.amount, "currency": order.currency, "merchant_id": order.merchant_id},
        subgraph=graph.pack(),
        score={"logit": -2.5, "probability": 0.0759, "offset": -4.0},
        phi=filler * 34,
        pairs=filler * 71,
        reasons=(Reason("far_address_location_unconfirmed", ("B110", "B085"), "risk", "strong", 0.4),),
        mitigating=(),
        other_share=0.1,
        versions={"catalog": "1", "model": "synthetic"},
        provenance="simulated",
    )
    decision = Decision(
        decision_id=decision_id,
        trace_id=order.trace_id,
        verdict=Verdict.ACCEPT,
        action="none",
        mode="observe",
        score=0.0759,
        path=("leaf:accept",),
        degraded_cause=None,
        context="local",
        availability="pre_auth/no_front_end",
        report=report,
    )
    answer = f'{{"decision_id":"{decision_id}","verdict":"accept"}}'.encode()
    key = f"{order.key}|{order.attempt}|{order.phase}"
    return Entry(
        order, graph, decision, key, sha256(key.encode()).hexdigest(), answer, "key-1", simulated=True
    )


class _PublicSigner:
    """Signs with a key that everyone knows, where nothing is to be protected."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(bytes(32))
        self.key_id = "public"

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data)

    def verify(self, data: bytes, signature: bytes) -> bool:
        return signature == self.sign(data)

    signs_now = verify


def synthetic_secrets() -> Secrets:
    """Secrets that are none, for stores of synthetic decisions."""
    return Secrets(bytes(32), _PublicSigner())


def synthetic_order(name: str, number: int) -> Order:
    """An order whose entities recur every few hundred numbers."""

    def digest(kind: str, of: int) -> bytes:
        return sha256(f"{kind}{of}".encode()).digest()[:16]

    return Order(
        merchant_id=f"m-{number % 7}",
        order_id=name,
        channel_code="own_web",
        placed_at=_EPOCH + number,
        amount=10.0 + number % 90,
        currency="CNY",
        jurisdiction="CN",
        entities=Entities(
            account=digest("account", number % 500),
            device=digest("device", number % 400),
            card=digest("card", number % 450),
            address=digest("address", number % 300),
            phone=digest("phone", number % 500),
        ),
    )


def run_kills(rounds: int, directory: Path, seed: int = 1) -> KillResult:
    """Start, kill with SIGKILL and reopen ``rounds`` times, on one file that keeps growing.

    Args:
        rounds: Processes to kill; each takes about a second.
        directory: Where the file is made.
        seed: Decides after how many reports each one dies.
    """
    chance = random.Random(seed)
    path = directory / "kill.db"
    acknowledged, lost = 0, 0
    problems: list[str] = []
    for number in range(rounds):
        promised = _one_kill(path, number, chance.randint(1, MAX_ACKNOWLEDGED))
        store = SqliteStore(path, synthetic_secrets())
        try:
            problems += store.integrity_problems()
            problems += [found.problem for found in store.verify().problems]
            lost += sum(store.read_record(decision_id) is None for decision_id in promised)
            problems += torn(path, promised)
        finally:
            store.close()
        acknowledged += len(promised)
    return KillResult(rounds, acknowledged, lost, tuple(problems))


def torn(path: Path, promised: Iterable[str]) -> list[str]:
    """Decisions on record without all that their transaction holds: order, event and meter row."""
    connection = connect(path, write=False)
    parts = {
        "order": "SELECT decision_id FROM decisions JOIN orders USING(key)",
        "event": "SELECT decision_id FROM outbox WHERE type='decision.recorded'",
        "meter row": "SELECT decision_id FROM meter",
    }
    missing = [
        f"{decision_id} has no {part}"
        for part, query in parts.items()
        for decision_id in sorted(set(promised) - {row[0] for row in connection.execute(query)})
    ]
    connection.close()
    return missing


def _one_kill(path: Path, number: int, after: int) -> list[str]:
    """Ids that one process reported before it was killed, those still in the pipe included."""
    command = [sys.executable, "-m", "riskgraph.stores.crash", str(path), str(number)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    promised: list[str] = []
    try:
        for line in child.stdout:
            promised.append(line.strip())
            if len(promised) == after:
                break
        if len(promised) < after:
            raise RuntimeError(f"the writing process ended by itself with {child.wait()}")
    finally:
        child.kill()
        rest, _ = child.communicate()
    # The last line may have been cut off by the kill.
    return promised + rest.split("\n")[:-1]


def append_for_ever(path: Path, number: int) -> None:
    """What the killed process does: append from a few threads, report each id once committed."""
    store = SqliteStore(path, synthetic_secrets())
    report = threading.Lock()

    def work(thread: int) -> None:
        count = thread
        while True:
            name = f"{number}-{count}"
            store.append(synthetic_entry(synthetic_order(name, count), f"decision-{name}"))
            with report:
                sys.stdout.write(f"decision-{name}\n")
                sys.stdout.flush()
            count += CHILD_THREADS

    threads = [threading.Thread(target=work, args=(i,)) for i in range(CHILD_THREADS)]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    append_for_ever(Path(sys.argv[1]), int(sys.argv[2]))
