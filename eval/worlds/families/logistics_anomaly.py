"""Logistics anomalies: a seller enters numbers for parcels that it never sends.

Numbers stay blank, have a wrong format or were used before. Most buyers are honest and see nothing at the
checkout but a good price; some orders the seller places itself, to keep its rate of punctual deliveries.
"""

from __future__ import annotations

import numpy as np

from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import Gang
from riskgraph.eval.worlds.parcels import BLANK, FORMAT, REUSED
from riskgraph.eval.worlds.profiles import Archetype
from riskgraph.eval.worlds.scene import Scene, first_channels, first_times, owners, token
from riskgraph.eval.worlds.shop import DAY
from riskgraph.eval.worlds.streams import chance, pick


def play(scene: Scene, gang: Gang) -> None:
    """A seller of some age, mostly victims, and a number for each parcel that does not hold."""
    rng = scene.rng(gang)
    n, channel = gang.size, scene.channels(gang)
    owner = owners(rng, gang)
    first = first_times(gang, owner)
    m = len(first)
    opened = gang.times[:1] - np.exp(rng.normal(4.3, 0.9, 1)) * DAY
    shop = scene.open_shops(rng, gang, opened, popularity=0.01)
    account = scene.accounts(rng, gang, first, 15.0)
    device = scene.devices(rng, gang, first_channels(channel, owner))[np.arange(m) // 2 * 2]
    doors = scene.doors(rng, np.full(3, gang.city), pick(rng, (0.75, 0.15, 0, 0.1), 3))
    drawn = scene.victims(rng, gang, gang.times, 1)
    # Hiding means numbers that a carrier has seen: those of other people's parcels.
    reused = 0.3 + 0.4 * gang.camouflage
    blank = 0.6 * (1 - reused)
    flaw = np.array([BLANK, FORMAT, REUSED])[pick(rng, (blank, 1 - reused - blank, reused), n)]
    scene.place(
        rng, gang, channel, np.where(chance(rng, 0.12, n), drawn, -1), merchant=shop[0],
        account=account[owner], device=device[owner], address=doors[rng.integers(0, 3, m)][owner],
        phone=scene.phones(rng, gang, m, 0.15)[owner], other=chance(rng, 0.1, n), parcel=flaw,
        basket=pick(rng, (0.75, 0.15, 0, 0.1), n), seek_coupon=rng.beta(2.2, 2.5, n),
        **token(rng, channel, scene.cards(rng, m)[owner], 0.4),
    )  # fmt: skip


FAMILY = Family(
    Archetype(
        name="logistics_anomaly",
        family="merchant",
        share=0.07,
        orders_per_account=1.8,
        position_fails=0.2,
        window_days=(20, 90),
        bursts=4,
        delay_days=20,
        reported=(0.4, 0.7),
        report="confirmed_fraud",
        marketplace=0.4,
        shifts=(
            ("haste", 0.8), ("depth", -0.7), ("interest", -0.6), ("regular", 0.6), ("switching", 0.5),
            ("familiar", 0.4),
        ),
    ),
    play,
    stopped=0.05,
)  # fmt: skip
