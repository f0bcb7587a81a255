"""A victim is talked into sharing the screen; the order comes from their own device and account."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from riskgraph.eval.worlds import geo
from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import Gang
from riskgraph.eval.worlds.profiles import Archetype
from riskgraph.eval.worlds.scene import Scene, token
from riskgraph.eval.worlds.streams import chance, pick


def play(scene: Scene, gang: Gang) -> None:
    # Account, device, card and phone are the victim's. What differs: the hand, the parcel that goes far away,
    # and that the sharing tool keeps the device from giving the position that it is permitted to give.
    rng = scene.rng(gang, "remote")
    n, m = gang.size, gang.size
    # The shop's own pages, wherever else the gang works.
    victim = scene.victims(rng, replace(gang, market=False), gang.times, 3)
    known = victim >= 0
    channel = np.where(known, scene.honest.channel[victim], 0).astype(np.int64)
    spare = scene.devices(rng, gang, channel)
    account = np.where(known, scene.honest.account[victim], scene.accounts(rng, gang, gang.times, 17.0))
    device = np.where(known & (scene.honest.device[victim] >= 0), scene.honest.device[victim], spare)
    home = scene.cast.accounts["home_city"][account]
    far = geo.far_city(rng, home, scene.cast.accounts["country"][account])
    drop = np.where(scene.covers(gang, m), home, far)
    mules = scene.doors(rng, drop, pick(rng, (0.62, 0.05, 0, 0.2, 0.13), m))
    card = np.where(known & (scene.honest.card[victim] >= 0), scene.honest.card[victim], scene.cards(rng, m))
    phone = np.where(known, scene.honest.phone[victim], scene.phones(rng, gang, m, 0.1))
    scene.place(
        rng, gang, channel, account=account, device=device, address=mules, phone=phone,
        other=chance(rng, 0.5, n), basket=pick(rng, (0.55, 0.42, 0.03), n),
        seek_coupon=rng.beta(1.5, 4, n), **token(rng, channel, card, 0.25),
        **scene.at_home(victim, known),
    )  # fmt: skip


FAMILY = Family(
    Archetype(
        name="remote_control",
        family="identity",
        share=0.14,
        orders_per_account=1.05,
        position_fails=0.85,
        window_days=(5, 40),
        bursts=3,
        delay_days=6,
        reported=(0.65, 0.9),
        report="confirmed_fraud",
        marketplace=0.0,
        shifts=(("paste", 0.5), ("switching", 0.6), ("interest", -0.3)),
    ),
    play,
    hides_position=True,
)
