"""Third-party sellers on the shop's platform, and the documents with which they were admitted.

Seller 0 is the shop itself. Sizes are design choices: a few sellers make most sales, a quarter of them had
their documents made by an agency whose layout others use too, and a few honest scans look synthetic.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from riskgraph.core.subgraph import State
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.pools import Cast
from riskgraph.eval.worlds.shop import DAY, OPENED
from riskgraph.eval.worlds.signals import Signals
from riskgraph.eval.worlds.streams import Floats, Ints, chance, pick, stream

if TYPE_CHECKING:
    from riskgraph.eval.worlds.visits import Visits

GANG_TEMPLATES = 1_000_000
# Share of orders that go to the shop itself where there are sellers.
_OWN_GOODS = 0.5
_SHOPS_PER_AGENCY = 12
_UNCHECKED = 0.2


def build_sellers(config: WorldConfig, cast: Cast) -> None:
    """The shop itself and its honest sellers, some of whom open during the world."""
    cast.sellers.add(1, opened=OPENED)
    n = config.sellers
    if not n:
        return
    rng = stream(config.seed, "sellers")
    age = np.exp(rng.normal(6.0, 1.1, n)) * DAY
    new = chance(rng, 0.2, n)
    opened = np.where(new, config.start_s + rng.random(n) * config.days * DAY, config.start_s - age)
    agency = rng.integers(0, max(1, n // (4 * _SHOPS_PER_AGENCY)), n)
    cast.sellers.add(
        n, opened=np.maximum(opened, OPENED), template=np.where(chance(rng, 0.25, n), agency, -1),
        synthetic=chance(rng, 0.03, n), popularity=(1.0 + rng.permutation(n)) ** -0.7,
    )  # fmt: skip


def stalls(config: WorldConfig, cast: Cast, merchant: Ints, t: Floats) -> Ints:
    """The seller of each order: where none is given (-1), the shop or a seller that is open by then."""
    popularity = cast.sellers["popularity"]
    if not popularity.any():
        return np.maximum(merchant, 0)
    rng = stream(config.seed, "stalls")
    drawn = pick(rng, popularity, len(t))
    drawn = np.where(chance(rng, _OWN_GOODS, len(t)) | (cast.sellers["opened"][drawn] > t), 0, drawn)
    return np.where(merchant >= 0, merchant, drawn).astype(np.int64)


def documents(rng: np.random.Generator, visits: Visits, out: Signals) -> None:
    """Enter B127 and B128: layouts that other sellers use too by then, and marks of synthesis."""
    seller, sellers = visits["merchant"], visits.cast.sellers
    others = np.zeros(len(visits))
    template, opened = sellers["template"], sellers["opened"]
    for shared in np.unique(template[template >= 0]):
        rows = np.flatnonzero(template[seller] == shared)
        moments = np.sort(opened[template == shared])
        # Without the seller's own documents.
        others[rows] = np.maximum(np.searchsorted(moments, visits["t"][rows], side="right") - 1, 0)
    third = seller > 0
    out.put("B127", others, third)
    out.put("B128", sellers["synthetic"][seller], third)
    # A check is made of the seller, not of each order.
    unchecked = chance(rng, _UNCHECKED, sellers.count)[seller]
    out.withhold("B128", third & unchecked, State.NOT_DELIVERED)


def merchant_ids(config: WorldConfig, sellers: Ints) -> list[str]:
    """The ``merchant_id`` of each seller; it does not tell when or for whom it was made."""
    names = [config.merchant_id]
    for number in range(1, int(sellers.max(initial=0)) + 1):
        digest = hashlib.blake2b(f"{config.seed}|seller|{number}".encode(), digest_size=6).hexdigest()
        names.append(f"{config.merchant_id}-{digest}")
    return [names[number] for number in sellers.tolist()]
