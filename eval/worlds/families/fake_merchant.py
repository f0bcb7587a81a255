"""Fake merchants: shops opened in a burst with machine-made documents, gone before complaints come.

The documents share a layout. First the gang buys from itself, with logistics numbers out of one range that it
uses again; then honest people order, pay, and get nothing or a number that is not theirs.
"""

from __future__ import annotations

import numpy as np

from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import Gang
from riskgraph.eval.worlds.parcels import BLANK, REUSED
from riskgraph.eval.worlds.profiles import Archetype
from riskgraph.eval.worlds.scene import Scene, first_channels, first_times, owners, token
from riskgraph.eval.worlds.shop import BASKETS
from riskgraph.eval.worlds.streams import chance, pick

# About 2,000 shops a day where 100,000 are open: at most as large a share of a smaller platform.
BURST_SHARE = 0.02
_VICTIMS = 0.2


def play(scene: Scene, gang: Gang) -> None:
    """A day's burst of shops, self-bought orders early, victims' orders late."""
    rng = scene.rng(gang)
    n, channel = gang.size, scene.channels(gang)
    owner = owners(rng, gang)
    first = first_times(gang, owner)
    m = len(first)
    shops = max(1, min(n // 2, max(3, round(scene.config.sellers * BURST_SHARE))))
    # Onboarding has a rhythm: one form after the other, within a day before the first order.
    opened = gang.times[0] - 86_400.0 + np.sort(rng.random(shops)) * 80_000.0
    merchant = scene.open_shops(rng, gang, opened)[rng.integers(0, shops, n)]
    account = scene.accounts(rng, gang, first, 12.5)
    device = scene.devices(rng, gang, first_channels(channel, owner))[np.arange(m) // 3 * 3]
    stores = scene.doors(rng, np.full(4, gang.city), pick(rng, (0.6, 0.2, 0, 0, 0, 0.2), 4))
    late = np.linspace(0.0, 2 * _VICTIMS, n)
    drawn = scene.victims(rng, gang, gang.times, 1)
    scene.place(
        rng, gang, channel, np.where(chance(rng, late, n), drawn, -1), merchant=merchant,
        account=account[owner], device=device[owner], address=stores[rng.integers(0, 4, m)][owner],
        phone=scene.phones(rng, gang, m, 0.2)[owner], other=chance(rng, 0.1, n),
        basket=np.where(chance(rng, 0.35, n), BASKETS.index("valuable"), BASKETS.index("usual")),
        parcel=np.where(chance(rng, 0.8, n), REUSED, BLANK), seek_coupon=rng.beta(1.6, 3, n),
        **token(rng, channel, scene.cards(rng, m)[np.arange(m) // 4 * 4][owner], 0.3),
    )  # fmt: skip


FAMILY = Family(
    Archetype(
        name="fake_merchant",
        family="merchant",
        share=0.08,
        orders_per_account=1.5,
        position_fails=0.4,
        window_days=(4, 20),
        bursts=2,
        delay_days=14,
        reported=(0.5, 0.85),
        report="confirmed_fraud",
        marketplace=0.25,
        shifts=(
            ("haste", 1.0), ("depth", -0.8), ("interest", -0.8), ("regular", 0.9), ("paste", 0.8),
            ("switching", 0.7), ("spoof", 0.5),
        ),
    ),
    play,
    stopped=0.1,
)  # fmt: skip
