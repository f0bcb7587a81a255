"""Many accounts, part of them rented, buy for few far doors in many spellings."""

from __future__ import annotations

import numpy as np

from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import Gang
from riskgraph.eval.worlds.profiles import Archetype
from riskgraph.eval.worlds.scene import Scene, first_channels, first_times, owners, token
from riskgraph.eval.worlds.streams import chance, pick


def play(scene: Scene, gang: Gang) -> None:
    rng = scene.rng(gang, "proxy")
    n, channel = gang.size, scene.channels(gang)
    owner = owners(rng, gang)
    first = first_times(gang, owner)
    m = len(first)
    account = scene.accounts(rng, gang, first, 13.5)
    rented = scene.victims(rng, gang, first, 1)
    account = np.where(chance(rng, 0.45, m) & (rented >= 0), scene.honest.account[rented], account)
    per_device = chance(rng, 0.55, m)
    devices = scene.devices(rng, gang, first_channels(channel, owner))
    device = np.where(per_device, devices, devices[np.arange(m) // 3 * 3])
    base = scene.doors(rng, scene.cities(rng, gang, 5), pick(rng, (0.6, 0.1, 0, 0.1, 0.1, 0.1), 5))
    doors = scene.respell(base[rng.integers(0, int(rng.integers(2, 6)), n)], rng.integers(0, 24, n))
    covered, home = scene.covers(gang, n), scene.cast.accounts["home_city"][account]
    hidden = chance(rng, 0.7 * gang.camouflage, n) | covered
    single = scene.doors(rng, np.where(covered, home[owner], scene.cities(rng, gang, n)), 0)
    payers = np.where(chance(rng, 0.85, m), scene.cards(rng, m), scene.cards(rng, m)[np.arange(m) // 4 * 4])
    contacts = scene.phones(rng, gang, max(2, n // 3), 0.12)
    phone = np.where(hidden, scene.phones(rng, gang, n, 0.06), contacts[rng.integers(0, len(contacts), n)])
    launch = scene.launches(rng, gang.times, 0.6)
    scene.place(
        rng, gang, channel, account=account[owner], device=device[owner],
        address=np.where(hidden, single, doors), phone=phone, other=chance(rng, 0.7, n), launch=launch,
        basket=np.where(launch >= 0, 2, pick(rng, (0.5, 0.5), n)), seek_coupon=rng.beta(1.6, 2.6, n),
        **token(rng, channel, payers[owner], 0.3),
    )  # fmt: skip


FAMILY = Family(
    Archetype(
        name="proxy_buying",
        family="ring",
        share=0.24,
        orders_per_account=1.35,
        position_fails=0.75,
        window_days=(20, 80),
        bursts=4,
        delay_days=10,
        reported=(0.5, 0.85),
        report="confirmed_fraud",
        marketplace=0.25,
        shifts=(
            ("haste", 1.1),
            ("depth", -1.0),
            ("interest", -0.9),
            ("paste", 1.5),
            ("switching", 1.4),
            ("familiar", -0.8),
            ("speed", 0.4),
            ("care", -0.4),
            ("spoof", 0.3),
        ),
    ),
    play,
    chases_launches=0.5,
    chases_promotions=0.3,
)
