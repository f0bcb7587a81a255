"""Old honest accounts, a device they never used, a far drop address, often changed credentials."""

from __future__ import annotations

import numpy as np

from riskgraph.eval.worlds import geo
from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import Gang
from riskgraph.eval.worlds.profiles import Archetype
from riskgraph.eval.worlds.scene import Scene, first_channels, first_times, owners, token
from riskgraph.eval.worlds.streams import chance, pick


def play(scene: Scene, gang: Gang) -> None:
    rng = scene.rng(gang, "takeover")
    n, channel = gang.size, scene.channels(gang)
    owner = owners(rng, gang)
    first = first_times(gang, owner)
    m = len(first)
    victim = scene.victims(rng, gang, first, 2)
    fresh = scene.accounts(rng, gang, first, 16.0)
    account = np.where(victim >= 0, scene.honest.account[victim], fresh)
    changed = chance(rng, 0.5 * (1 - 0.5 * gang.camouflage), m)
    recent = first - np.exp(rng.normal(9.6, 1.4, m))
    scene.cast.accounts["credential"][account[changed]] = recent[changed]
    devices = scene.devices(rng, gang, first_channels(channel, owner))
    device = devices[np.arange(m) // 2 * 2]
    home = scene.cast.accounts["home_city"][account]
    drop = geo.far_city(rng, home, np.full(m, gang.country))
    # Malware orders from the victim's own browser, with the card saved there, to a mule nearby.
    inside = scene.covers(gang, m) & (victim >= 0) & (scene.honest.device[victim] >= 0)
    device = np.where(inside, scene.honest.device[victim], device)
    near = chance(rng, 0.25 + 0.2 * gang.camouflage, m) | inside
    mules = scene.doors(rng, np.where(near, home, drop), pick(rng, (0.62, 0.05, 0, 0.2, 0.13), m))
    address = mules[np.arange(m) // 2 * 2]
    saved = np.where(victim >= 0, scene.honest.card[victim], -1)
    kept = (chance(rng, 0.55, m) | inside) & (saved >= 0)
    card = np.where(kept, saved, scene.cards(rng, m))
    called = (chance(rng, 0.35, m) | inside) & (victim >= 0)
    phones = np.where(called, scene.honest.phone[victim], scene.phones(rng, gang, m, 0.18))
    scene.place(
        rng, gang, channel, account=account[owner], device=device[owner],
        address=address[owner],
        phone=phones[owner], other=chance(rng, 0.45, n), basket=pick(rng, (0.42, 0.55, 0.03), n),
        seek_coupon=rng.beta(1.2, 5, n), **token(rng, channel, card[owner], 0.2),
        **scene.at_home(victim[owner], inside[owner]),
    )  # fmt: skip


FAMILY = Family(
    Archetype(
        name="account_takeover",
        family="identity",
        share=0.18,
        orders_per_account=1.1,
        position_fails=0.75,
        window_days=(4, 30),
        bursts=3,
        delay_days=5,
        reported=(0.65, 0.9),
        report="chargeback_fraud",
        marketplace=0.12,
        shifts=(
            ("haste", 0.5),
            ("depth", -0.7),
            ("interest", -0.9),
            ("paste", 0.7),
            ("familiar", -1.4),
            ("card_trouble", 0.8),
            ("care", -0.5),
            ("spoof", 0.8),
            ("switching", 0.5),
        ),
    ),
    play,
    burst_hours=36.0,
    declines=0.22,
    guesses_cards=0.6,
    guesses_passwords=1.0,
)
