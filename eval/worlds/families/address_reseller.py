"""Legal-looking bulk buying for resale, spread over accounts around a cluster of doors."""

from __future__ import annotations

import numpy as np

from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import Gang
from riskgraph.eval.worlds.profiles import Archetype
from riskgraph.eval.worlds.scene import Scene, first_channels, first_times, owners, token
from riskgraph.eval.worlds.streams import chance, pick


def play(scene: Scene, gang: Gang) -> None:
    rng = scene.rng(gang, "reseller")
    n, channel = gang.size, scene.channels(gang)
    owner = owners(rng, gang)
    first = first_times(gang, owner)
    m = len(first)
    account = scene.accounts(rng, gang, first, 15.5)
    rented = scene.victims(rng, gang, first, 1)
    account = np.where(chance(rng, 0.3, m) & (rented >= 0), scene.honest.account[rented], account)
    devices = scene.devices(rng, gang, first_channels(channel, owner))
    device = np.where(chance(rng, 0.8, m), devices, devices[np.arange(m) // 3 * 3])
    base = scene.doors(rng, np.full(3, gang.city), pick(rng, (0.5, 0.15, 0, 0.1, 0.05, 0.2), 3))
    doors = scene.respell(base[rng.integers(0, 3, m)], rng.integers(0, 40, m))
    own = scene.doors(rng, np.full(m, gang.city), 0)
    address = np.where(chance(rng, 0.15 + 0.5 * gang.camouflage, m), own, doors)
    launch = scene.launches(rng, gang.times, 0.4)
    scene.place(
        rng, gang, channel, account=account[owner], device=device[owner],
        address=address[owner],
        phone=scene.phones(rng, gang, m, 0.1)[owner], other=chance(rng, 0.35, n), launch=launch,
        basket=np.where(launch >= 0, 2, pick(rng, (0.4, 0.3, 0, 0, 0.3), n)),
        seek_coupon=rng.beta(2.2, 2.2, n), **token(rng, channel, scene.cards(rng, m)[owner], 0.35),
    )  # fmt: skip


FAMILY = Family(
    Archetype(
        name="address_reseller",
        family="ring",
        share=0.12,
        orders_per_account=1.3,
        position_fails=0.15,
        window_days=(30, 100),
        bursts=5,
        delay_days=30,
        reported=(0.5, 0.75),
        report="confirmed_fraud",
        marketplace=0.4,
        shifts=(
            ("haste", 0.7),
            ("depth", -0.7),
            ("interest", -0.6),
            ("paste", 0.7),
            ("switching", 0.6),
            ("bargain", 0.9),
            ("familiar", -0.4),
        ),
    ),
    play,
    chases_launches=0.5,
)
