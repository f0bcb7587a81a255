"""Scalper bots, tier 1: scripts that do not pretend. Declared naive: any bot check finds them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import Gang
from riskgraph.eval.worlds.profiles import Archetype
from riskgraph.eval.worlds.scene import Scene, first_channels, first_times, owners, token
from riskgraph.eval.worlds.shop import BASKETS
from riskgraph.eval.worlds.streams import chance

# The tiers differ in how well they imitate a hand, not in how they earn: they share play and figures.
ARCHETYPE = Archetype(
    name="scalper_naive",
    family="bot",
    share=0.04,
    orders_per_account=1.1,
    position_fails=0.5,
    window_days=(2, 40),
    bursts=3,
    delay_days=3,
    reported=(0.6, 0.9),
    report="confirmed_fraud",
    marketplace=0.05,
    shifts=(
        ("haste", 1.9), ("depth", -1.6), ("interest", -1.4), ("regular", 2.1), ("still", 1.8),
        ("paste", 0.8), ("care", -0.8), ("spoof", 1.1), ("smooth", 0.8),
    ),
)  # fmt: skip


def play(scene: Scene, gang: Gang) -> None:
    """Many accounts on few devices behind proxies catch a launch for a few collecting doors."""
    rng = scene.rng(gang)
    n, channel = gang.size, scene.channels(gang)
    owner = owners(rng, gang)
    m = int(owner[-1]) + 1
    account = scene.accounts(rng, gang, first_times(gang, owner), 14.5)
    devices = scene.devices(rng, gang, first_channels(channel, owner))
    # A better bot has a device for fewer accounts.
    device = np.where(chance(rng, 0.5 * gang.camouflage, m), devices, devices[np.arange(m) // 5 * 5])
    if gang.family.naive:
        scene.cast.devices["own_trace"][device] |= chance(rng, 0.5, m)
    base = scene.doors(rng, np.full(4, gang.city), 3)
    collect = scene.respell(base[rng.integers(0, 4, m)], rng.integers(0, 30, m))
    own = scene.doors(rng, scene.cities(rng, gang, m))
    address = np.where(chance(rng, 0.3 + 0.3 * gang.camouflage, m), own, collect)
    launch = scene.launches(rng, gang.times, 0.85)
    scene.place(
        rng, gang, channel, account=account[owner], device=device[owner], address=address[owner],
        phone=scene.phones(rng, gang, m, 0.15)[owner], other=chance(rng, 0.3, n), launch=launch,
        basket=np.where(launch >= 0, BASKETS.index("hot"), BASKETS.index("valuable")),
        seek_coupon=rng.beta(1.2, 5, n), **token(rng, channel, scene.cards(rng, m)[owner], 0.3),
    )  # fmt: skip


FAMILY = Family(ARCHETYPE, play, burst_hours=0.5, chases_launches=0.85, awake=0.15, tunnels=1.5, naive=True)


def tier(name: str, share: float, shifts: tuple[tuple[str, float], ...], tunnels: float) -> Family:
    """The same bots with another imitation of a person."""
    archetype = replace(ARCHETYPE, name=name, share=share, shifts=shifts)
    return replace(FAMILY, archetype=archetype, naive=False, awake=0.35, tunnels=tunnels)
