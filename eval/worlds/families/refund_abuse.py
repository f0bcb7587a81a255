"""Refund abuse: people who know the tricks order as anybody does and claim the money back afterwards.

At the checkout they are customers: own account, own device, own home, ordinary habits. What they share is a
history of claims on a pretext, and at times a door or a phone with somebody from the same chat group.
"""

from __future__ import annotations

import numpy as np

from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import Gang
from riskgraph.eval.worlds.profiles import Archetype
from riskgraph.eval.worlds.scene import Scene, owners, token
from riskgraph.eval.worlds.streams import chance, pick


def play(scene: Scene, gang: Gang) -> None:
    """Few lasting accounts that order again and again."""
    rng = scene.rng(gang)
    n, channel = gang.size, scene.channels(gang)
    # Shuffled, since these accounts buy side by side for months and not one after the other.
    owner = rng.permutation(owners(rng, gang))
    m = int(owner.max()) + 1
    first = np.full(m, np.inf)
    np.minimum.at(first, owner, gang.times)
    account = scene.accounts(rng, gang, first, 16.0)
    device = scene.devices(rng, gang, channel[np.searchsorted(gang.times, first)])
    home = scene.doors(rng, np.where(chance(rng, 0.6, m), gang.city, scene.cities(rng, gang, m)))
    # Some let parcels come to a friend's door, so that no address collects all claims.
    friend = home[np.arange(m) // 3 * 3]
    address = np.where(chance(rng, 0.3 * (1 - gang.camouflage), n), friend[owner], home[owner])
    scene.place(
        rng, gang, channel, account=account[owner], device=device[owner], address=address,
        phone=scene.phones(rng, gang, m, 0.06)[owner], other=chance(rng, 0.1, n),
        basket=pick(rng, (0.6, 0.35, 0.05), n), seek_coupon=rng.beta(1.8, 3, n),
        **token(rng, channel, scene.cards(rng, m)[owner], 0.45),
    )  # fmt: skip


FAMILY = Family(
    Archetype(
        name="refund_abuse",
        family="abuse",
        share=0.09,
        orders_per_account=5.0,
        position_fails=0.12,
        window_days=(60, 180),
        bursts=8,
        delay_days=20,
        reported=(0.35, 0.7),
        report="confirmed_fraud",
        marketplace=0.3,
        shifts=(("bargain", 0.7), ("haste", 0.4), ("interest", -0.5), ("familiar", 0.3), ("care", 0.3)),
    ),
    play,
    burst_hours=72.0,
    awake=0.9,
    stopped=0.05,
    refunded=0.6,
)
