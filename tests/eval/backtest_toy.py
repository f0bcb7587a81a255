"""A toy shop for backtests: gangs that are caught or missed together, and a noisy scorer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.table import OrderTable
from riskgraph.core.verdict import Thresholds
from riskgraph.eval.backtest import BacktestResult, Issue, Origin, Trial, run_backtest
from riskgraph.eval.window import Truth, Window

START = datetime(2026, 5, 1, tzinfo=UTC)
KNOWN_AT = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = Window(date(2026, 7, 1), date(2026, 9, 30))
CLASSES = np.array(["pre_auth/front_end", "pre_auth/no_front_end", "pre_auth/refused"], dtype=object)
ISSUE = ("signer", "now", "code", "lang")
KEY_BYTES = bytes(range(32))


class ToySigner:
    """Ed25519 with a fixed key, so that reports can be compared byte for byte."""

    def __init__(self, key_id: str = "toy", secret: bytes = KEY_BYTES) -> None:
        self.key_id = key_id
        self._key = Ed25519PrivateKey.from_private_bytes(secret)

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)

    def verify(self, data: bytes, signature: bytes) -> bool:
        try:
            self._key.public_key().verify(signature, data)
        except InvalidSignature:
            return False
        return True


class ToyScorer:
    """Reads its logit from one component of each order; ``noise`` blurs it, repeatably."""

    provenance = "simulated"

    def __init__(self, noise: float = 0.0, name: str = "toy-1") -> None:
        self.versions = {"model": name, "model_sha256": "ab" * 32}
        self._noise = noise

    def score_batch(self, components: Any, availability: Any) -> tuple[Any, Any]:
        column = components[:, catalog().component_index["B069.value"]].astype(float)
        blur = np.sin(column * 1e4) * self._noise
        logit = column + blur
        return logit, 1.0 / (1.0 + np.exp(-logit))

    def thresholds(self, availability: str) -> Thresholds:
        return Thresholds(0.6, 0.9)


@dataclass(frozen=True)
class Toy:
    table: OrderTable
    truth: Truth


def make_toy(orders: int = 6_000, gangs: int = 60, fraud_share: float = 0.08, seed: int = 1) -> Toy:
    rng = np.random.default_rng(seed)
    fraud = np.sort(rng.random(orders)) < 0
    fraud[rng.choice(orders, int(orders * fraud_share), replace=False)] = True
    gang = np.where(fraud, rng.integers(0, gangs, orders), -1)
    hidden = rng.beta(2, 3, gangs)
    logit = np.where(
        fraud, 5.5 - 7.0 * hidden[gang] + rng.normal(0, 0.8, orders), rng.normal(-4.0, 1.6, orders)
    )
    components = np.full((orders, len(catalog().components)), np.nan, dtype=np.float32)
    components[:, catalog().component_index["B069.value"]] = logit
    components[:, catalog().component_index["B131.accounts_30d"]] = rng.poisson(np.where(fraud, 3, 0.3))
    components[:, catalog().component_index["B092.value"]] = rng.integers(0, 7, orders)
    span = (KNOWN_AT - START).total_seconds() * 1e6
    placed = np.sort(START.timestamp() * 1e6 + rng.random(orders) * span).astype(np.int64)
    ids = np.array([f"o-{i}" for i in range(orders)], dtype=object)
    table = OrderTable(
        order_id=ids,
        placed_at=placed,
        components=components,
        states=np.zeros((orders, NODE_COUNT), dtype=np.uint8),
        availability=CLASSES[rng.choice(3, orders, p=[0.6, 0.3, 0.1])],
        account=np.where(fraud, orders + gang, rng.integers(0, orders // 3, orders)),
        device=np.where(fraud, gang, -1),
        card=np.full(orders, -1, dtype=np.int64),
        address=np.full(orders, -1, dtype=np.int64),
        label=np.where(rng.random(orders) < 0.3, -1, fraud).astype(np.int8),
        training_consent=np.ones(orders, dtype=bool),
        jurisdiction=np.zeros(orders, dtype=np.int8),
        purposes=np.ones((orders, 4), dtype=np.int8),
        objected=np.zeros(orders, dtype=bool),
    )
    return Toy(table, _truth(rng, ids, fraud, gang, hidden))


def _truth(rng: np.random.Generator, ids: Any, fraud: Any, gang: Any, hidden: Any) -> Truth:
    """Who did it, in an order of its own."""
    orders = len(ids)
    names: NDArray[np.object_] = np.array(["proxy_buying", "card_testing"], dtype=object)[gang % 2]
    shuffled = rng.permutation(orders)
    return Truth(
        order_id=ids[shuffled],
        is_fraud=fraud[shuffled],
        gang_id=np.array([f"g{g}" if g >= 0 else "" for g in gang], dtype=object)[shuffled],
        archetype=np.where(fraud, names, "honest")[shuffled],
        camouflage=np.where(fraud, hidden[gang], np.nan)[shuffled],
        honest_type=np.where(fraud, "", np.where(rng.random(orders) < 0.1, "elderly", "ordinary"))[shuffled],
    )


def bands(table: OrderTable, probability: Any) -> Any:
    return np.where(probability >= 0.9, "reject", np.where(probability >= 0.6, "review", "accept")).astype(
        object
    )


def backtest(toy: Toy, out: Path, **changes: Any) -> BacktestResult:
    given: dict[str, Any] = {
        "table": toy.table,
        "truth": toy.truth,
        "scorer": ToyScorer(),
        "verdicts": bands,
        "window": WINDOW,
        "origin": Origin("simulated", KNOWN_AT, data={"orders-0.parquet": "cd" * 32}, seeds={"world": 7},
                         trained_until=date(2026, 6, 30)),
        "signer": ToySigner(),
        "now": datetime(2026, 11, 2, 3, 4, 5, tzinfo=UTC),
        "code": {"version": "0.1.0", "commit": "0000000"},
        "reps": 200,
    }  # fmt: skip
    given |= changes
    progress = given.pop("progress", None)
    issue = Issue(**{name: given.pop(name) for name in ISSUE if name in given})
    return run_backtest(Trial(**given), out, issue, progress)
