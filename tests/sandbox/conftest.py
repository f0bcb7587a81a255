"""A small synthetic history of orders: people, gangs, absent blocks and one planted pair."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from riskgraph.core.bounds import component_bounds, whole_components
from riskgraph.core.catalog import catalog
from riskgraph.core.subgraph import State
from riskgraph.core.table import NODE_PURPOSES, OrderTable
from riskgraph.sandbox import Policy, Release, ReleaseRequest, pairs, swap, write_release
from tests.support.once import made_once

UNTIL = date(2026, 6, 30)
_NODE = np.array(catalog().component_node)
_DAY = 86_400_000_000
_END = 1_782_777_600_000_000  # 2026-06-30 00:00 UTC
_SDK = np.array([n.computed_by == "sdk" for n in catalog()])
_TOUCH = np.arange(25, 29)
_MOUSE = np.array([*range(12, 22), 23, 24])
_FACTORS = 6

MakeWorld = Callable[..., OrderTable]
_WHOLE = (swap.SWEEPS, pairs.pool_cells)


@dataclass(frozen=True)
class FakeSigner:
    """A keyed hash in place of Ed25519: as unforgeable as a test needs."""

    key: bytes = b"k" * 32
    key_id: str = "test-key"

    def sign(self, data: bytes) -> bytes:
        return hmac.digest(self.key, data, hashlib.sha512)

    def verify(self, data: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(self.sign(data), signature)


def _values(
    rng: np.random.Generator, person: NDArray[np.int64], label: NDArray[np.int8]
) -> NDArray[np.float32]:
    """Every component from a few personal factors, shifted a little for fraud."""
    fixed = np.random.default_rng(5)
    count = len(_NODE)
    loading = fixed.normal(0, 0.5, (_FACTORS, count))
    shift = np.where(fixed.random(count) < 0.2, fixed.normal(0, 0.8, count), 0.0)
    factors = rng.standard_normal((person.max() + 1, _FACTORS)).astype(np.float32)[person]
    x = factors @ loading.astype(np.float32)
    x += rng.standard_normal(x.shape, dtype=np.float32)
    x += label[:, None] * shift.astype(np.float32)
    low, high = component_bounds()
    share = 1 / (1 + np.exp(-x))
    wide = low + np.minimum(high - low, 400) * share**3
    narrow = low + (high - low) * share
    out = np.where(high - low > 50, wide, narrow)
    return np.where(whole_components(), np.clip(np.floor(out + 0.3), low, high), out).astype(np.float32)


def _states(
    rng: np.random.Generator, person: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.object_]]:
    rows = len(person)
    front = rng.choice(3, rows, p=[0.17, 0.08, 0.75])
    states = np.zeros((rows, len(_SDK)), dtype=np.uint8)
    gone = (rng.random((rows, len(_SDK))) < 0.15) & (np.arange(len(_SDK)) % 5 == 0)
    states[gone] = State.NOT_DELIVERED
    touch = (person % 5) < 2
    states[np.ix_(touch, _MOUSE)] = State.NOT_APPLICABLE
    states[np.ix_(~touch, _TOUCH)] = State.NOT_APPLICABLE
    states[np.ix_(front == 0, _SDK)] = State.NOT_DELIVERED
    states[np.ix_(front == 1, _SDK)] = State.REFUSED
    words = np.array(["pre_auth/no_front_end", "pre_auth/refused", "pre_auth/front_end"], dtype=object)
    return states, words[front]


def _plant(rng: np.random.Generator, values: NDArray[np.float32], label: NDArray[np.int8]) -> None:
    """Far delivery and unavailable location, together, in fraud only; each alone is common in both."""
    far, where = (catalog().component_index[f"{b}.value"] for b in ("B110", "B085"))
    rows = len(label)
    together = (label == 1) & (rng.random(rows) < 0.5)
    is_far = np.where(together, True, rng.random(rows) < 0.25)
    unavailable = np.where(together, True, rng.random(rows) < 0.3)
    values[:, far] = np.where(is_far, rng.integers(3, 5, rows), rng.integers(0, 3, rows))
    values[:, where] = unavailable


def _purposes(states: NDArray[np.uint8]) -> NDArray[np.int8]:
    """As the door leaves it: where a node of a purpose is there, the purpose was granted."""
    present = states == State.PRESENT
    nodes = [[n.index for n in catalog() if n.purpose == purpose] for purpose in NODE_PURPOSES]
    return np.column_stack([present[:, places].any(axis=1) for places in nodes]).astype(np.int8)


def build_world(
    seed: int = 1,
    honest: int = 10_500,
    fraud: int = 1_500,
    honest_people: int = 4_000,
    fraud_people: int = 500,
    gang: int = 4,
) -> OrderTable:
    """``fraud`` orders of gangs that share an address, and honest ones that share lockers."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.array([0, 1], np.int8), [honest, fraud])
    person = np.concatenate(
        [rng.integers(0, honest_people, honest), honest_people + rng.integers(0, fraud_people, fraud)]
    )
    mix = rng.permutation(len(label))
    label, person = label[mix], person[mix]
    values = _values(rng, person, label)
    _plant(rng, values, label)
    states, availability = _states(rng, person)
    values[(states != State.PRESENT)[:, _NODE]] = np.nan
    address = np.where(label == 1, 10**6 + person // max(1, gang), person)
    locker = (label == 0) & (rng.random(len(label)) < 0.1)
    return OrderTable(
        order_id=np.array([f"o{i}" for i in range(len(label))], dtype=object),
        placed_at=_END - 71 * _DAY - rng.integers(0, 60 * _DAY, len(label)),
        components=values,
        states=states,
        availability=availability,
        account=person.astype(np.int64),
        device=person.astype(np.int64),
        card=np.where(rng.random(len(label)) < 0.2, -1, person).astype(np.int64),
        address=np.where(locker, 2 * 10**6, address).astype(np.int64),
        label=label,
        training_consent=np.ones(len(label), dtype=np.bool_),
        jurisdiction=(person % 3).astype(np.int8),
        purposes=_purposes(states),
        objected=np.zeros(len(label), dtype=np.bool_),
    )


@pytest.fixture(scope="session")
def make_world() -> MakeWorld:
    return build_world


@pytest.fixture(scope="session")
def signer() -> FakeSigner:
    return FakeSigner()


@pytest.fixture(scope="session")
def world() -> OrderTable:
    return build_world()


@pytest.fixture(scope="session")
def release(world: OrderTable, signer: FakeSigner, tmp_path_factory: pytest.TempPathFactory) -> Release:
    request = ReleaseRequest(until=UNTIL, seed=7, provenance="simulated", now=1_782_800_000.0, code="test")

    def make(folder: Path) -> None:
        assert _WHOLE == (swap.SWEEPS, pairs.pool_cells)
        write_release(world, folder / "release", request, signer, policy=Policy.default())

    return Release.open(made_once(tmp_path_factory, "sandbox-release", make) / "release", signer)


@contextmanager
def nothing_told_of_pairs() -> Iterator[None]:
    """Releases whose joint tables are all too thin to be told, which need no search, no swaps, no raking."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "pool_cells", lambda *_: np.full(pairs.CELLS, pairs.APART, dtype=np.uint8))
        yield


@pytest.fixture(scope="module")
def without_pairs() -> Iterator[None]:
    """For files that look at no pair, nor at the shared release."""
    with nothing_told_of_pairs():
        yield


@contextmanager
def swept_once() -> Iterator[None]:
    """Releases whose drawn rows are not as near to the joint tables as they could be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(swap, "SWEEPS", 1)
        yield


@pytest.fixture(scope="module")
def one_sweep() -> Iterator[None]:
    """For files that look neither at how near drawn rows come to R4, nor at the shared release."""
    with swept_once():
        yield
