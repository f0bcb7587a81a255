"""New accounts on shared devices take newcomer coupons; noise in the addresses hides a few doors."""

from __future__ import annotations

import numpy as np

from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import Gang
from riskgraph.eval.worlds.profiles import Archetype
from riskgraph.eval.worlds.scene import Scene, first_channels, first_times, owners, token
from riskgraph.eval.worlds.streams import chance, pick


def play(scene: Scene, gang: Gang) -> None:
    rng = scene.rng(gang, "farm")
    n, channel = gang.size, scene.channels(gang)
    owner = owners(rng, gang)
    first = first_times(gang, owner)
    m = len(first)
    account = scene.accounts(rng, gang, first, 10.0)
    devices = scene.devices(rng, gang, first_channels(channel, owner))
    group = int(rng.integers(3, 7))
    device = np.where(chance(rng, gang.camouflage * 0.6, m), devices, devices[np.arange(m) // group * group])
    base = scene.doors(rng, np.full(6, gang.city), pick(rng, (0.75, 0, 0.1, 0.15), 6))
    doors = scene.respell(base[rng.integers(0, 6, m)], rng.integers(1, 80, m))
    own = scene.doors(rng, np.full(m, gang.city), 0)
    address = np.where(chance(rng, 0.25 + 0.5 * gang.camouflage, m), own, doors)
    phones = scene.phones(rng, gang, m, 0.28)
    scene.place(
        rng, gang, channel, account=account[owner], device=device[owner],
        address=address[owner],
        phone=phones[owner], other=chance(rng, 0.12, n), basket=pick(rng, (0.85, 0.05, 0.05, 0.05), n),
        seek_coupon=np.clip(rng.beta(4, 2, n) * (1 - 0.5 * gang.camouflage), 0, 1),
        **token(rng, channel, scene.cards(rng, m)[owner], 0.55),
    )  # fmt: skip


FAMILY = Family(
    Archetype(
        name="promotion_farm",
        family="ring",
        share=0.2,
        orders_per_account=1.2,
        position_fails=0.4,
        window_days=(2, 20),
        bursts=3,
        delay_days=7,
        reported=(0.6, 0.9),
        report="confirmed_fraud",
        marketplace=0.3,
        shifts=(
            ("haste", 1.0),
            ("depth", -0.9),
            ("interest", -0.7),
            ("paste", 0.6),
            ("switching", 0.7),
            ("regular", 0.8),
            ("bargain", 1.4),
            ("care", -0.8),
            ("spoof", 0.7),
            ("still", 1.2),
        ),
    ),
    play,
    one_time_codes=1.0,
    invited=0.5,
    chases_promotions=0.7,
)
