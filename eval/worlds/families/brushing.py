"""Brushing: a seller pays people to buy its own goods, for sales figures and reviews.

Buyers browse by a script that tells how long to look at what. The parcels are empty or go to strangers, with
logistics numbers that were used before; the money flows back.
"""

from __future__ import annotations

import numpy as np

from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import Gang
from riskgraph.eval.worlds.parcels import REUSED
from riskgraph.eval.worlds.profiles import Archetype
from riskgraph.eval.worlds.scene import Scene, first_channels, first_times, owners, token
from riskgraph.eval.worlds.shop import DAY
from riskgraph.eval.worlds.streams import chance, pick


def play(scene: Scene, gang: Gang) -> None:
    """One seller with real customers, and a circle of buyers who order there and nowhere else."""
    rng = scene.rng(gang)
    n, channel = gang.size, scene.channels(gang)
    owner = owners(rng, gang)
    first = first_times(gang, owner)
    m = len(first)
    account = scene.accounts(rng, gang, first, 16.0)
    hired = scene.victims(rng, gang, first, 1)
    account = np.where(chance(rng, 0.35, m) & (hired >= 0), scene.honest.account[hired], account)
    devices = scene.devices(rng, gang, first_channels(channel, owner))
    device = np.where(chance(rng, 0.5 + 0.4 * gang.camouflage, m), devices, devices[np.arange(m) // 4 * 4])
    opened = gang.times[:1] - np.exp(rng.normal(3.5, 0.8, 1)) * DAY
    shop = scene.open_shops(rng, gang, opened, popularity=0.02)
    # Few doors take the empty parcels, unless each buyer takes their own.
    stores = scene.doors(rng, np.full(5, gang.city), pick(rng, (0.5, 0.1, 0, 0.2, 0, 0.2), 5))
    own = scene.doors(rng, scene.cities(rng, gang, m))
    apart = chance(rng, 0.4 + 0.5 * gang.camouflage, m)
    payers = scene.cards(rng, m)[np.arange(m) // 3 * 3]
    scene.place(
        rng, gang, channel, account=account[owner], device=device[owner], merchant=shop[0],
        address=np.where(apart, own, stores[rng.integers(0, 5, m)])[owner],
        phone=scene.phones(rng, gang, m, 0.12)[owner], other=chance(rng, 0.15, n),
        basket=pick(rng, (0.8, 0.2), n), seek_coupon=rng.beta(1.5, 4, n),
        parcel=np.where(chance(rng, 0.8 - 0.5 * gang.camouflage, n), REUSED, 0),
        **token(rng, channel, payers[owner], 0.35),
    )  # fmt: skip


FAMILY = Family(
    Archetype(
        name="brushing",
        family="merchant",
        share=0.08,
        orders_per_account=1.6,
        position_fails=0.3,
        window_days=(15, 70),
        bursts=5,
        delay_days=45,
        reported=(0.3, 0.6),
        report="confirmed_fraud",
        marketplace=0.3,
        shifts=(
            ("depth", 0.9), ("interest", 0.7), ("regular", 1.0), ("switching", 0.9), ("paste", 0.4),
            ("haste", -0.5), ("bargain", -0.4),
        ),
    ),
    play,
    stopped=0.1,
)  # fmt: skip
