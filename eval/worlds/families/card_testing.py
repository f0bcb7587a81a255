"""Stolen cards are tried in quick succession with small amounts, many cards on a device."""

from __future__ import annotations

import numpy as np

from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import Gang
from riskgraph.eval.worlds.profiles import Archetype
from riskgraph.eval.worlds.scene import BINS, Scene, first_channels, first_times, owners, token
from riskgraph.eval.worlds.streams import chance


def play(scene: Scene, gang: Gang) -> None:
    rng = scene.rng(gang, "testing")
    n, channel = gang.size, scene.channels(gang)
    owner = owners(rng, gang)
    first = first_times(gang, owner)
    m = len(first)
    account = scene.accounts(rng, gang, first, 12.0)
    devices = scene.devices(rng, gang, first_channels(channel, owner))
    device = devices[np.arange(m) // 2 * 2]
    doors = scene.doors(rng, scene.cities(rng, gang, m), 0)
    bins = BINS[rng.integers(0, len(BINS), 2)]
    cards = scene.cast.cards.add(n, bin=bins[rng.integers(0, 2, n)])
    again = chance(rng, 0.35 + scene.config.cover * gang.camouflage, n) & (np.r_[-1, owner[:-1]] == owner)
    card = np.where(again, np.r_[cards[:1], cards[:-1]], cards)
    tiny = 0.65 * (1 - 0.5 * gang.camouflage)
    scene.place(
        rng, gang, channel, account=account[owner], device=device[owner], address=doors[owner],
        phone=scene.phones(rng, gang, m, 0.2)[owner], other=chance(rng, 0.15, n),
        basket=np.where(chance(rng, tiny, n), 3, 0), seek_coupon=rng.beta(1.0, 6, n),
        **token(rng, channel, card, 0.0),
    )  # fmt: skip


FAMILY = Family(
    Archetype(
        name="card_testing",
        family="payment",
        share=0.12,
        orders_per_account=2.4,
        position_fails=0.35,
        window_days=(0.5, 5),
        bursts=2,
        delay_days=12,
        reported=(0.6, 0.9),
        report="chargeback_fraud",
        marketplace=0.1,
        shifts=(
            ("haste", 1.2),
            ("depth", -1.2),
            ("interest", -0.7),
            ("paste", 0.8),
            ("regular", 0.7),
            ("card_trouble", 1.8),
            ("care", -0.7),
            ("spoof", 0.8),
            ("familiar", -0.5),
        ),
    ),
    play,
    burst_hours=6.0,
    night=0.6,
    stopped=0.5,
    declines=0.9,
    guesses_cards=1.2,
)
