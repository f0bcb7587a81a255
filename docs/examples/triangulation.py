"""Triangulation: a fake seller elsewhere takes real buyers' money and orders here with stolen cards.

The parcels go to real people who ordered in good faith, so no address looks wrong and none repeats. What
the gang cannot hide is that few accounts pay with many cards for recipients who have nothing in common.
"""

import numpy as np

from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import Gang
from riskgraph.eval.worlds.profiles import Archetype
from riskgraph.eval.worlds.scene import Scene, first_channels, first_times, owners, token
from riskgraph.eval.worlds.shop import BASKETS
from riskgraph.eval.worlds.streams import chance, pick


def play(scene: Scene, gang: Gang) -> None:
    """Place the orders of one gang."""
    rng = scene.rng(gang)
    n = gang.size
    channel = scene.channels(gang)
    # Who orders: accounts that ripened for about two weeks, each on a device of its own.
    owner = owners(rng, gang)
    account = scene.accounts(rng, gang, first_times(gang, owner), age_mu=14.0)
    device = scene.devices(rng, gang, first_channels(channel, owner))
    # For whom: every order another household anywhere in the country, with its own phone.
    doors = scene.doors(rng, scene.cities(rng, gang, n))
    phones = scene.phones(rng, gang, n, odd=0.03)
    # With what: a stolen card serves two orders, or more where the gang does not hide.
    uses = 2 if gang.camouflage > 0.3 else 4
    card = scene.cards(rng, n)[np.arange(n) // uses * uses]
    usual, valuable = BASKETS.index("usual"), BASKETS.index("valuable")
    scene.place(
        rng,
        gang,
        channel,
        account=account[owner],
        device=device[owner],
        address=doors,
        phone=phones,
        other=chance(rng, 0.9, n),
        basket=np.where(pick(rng, (0.6, 0.4), n) == 1, valuable, usual),
        seek_coupon=rng.beta(1.2, 5.0, n),
        **token(rng, channel, card, wallet=0.1),
    )


FAMILY = Family(
    Archetype(
        name="triangulation",
        family="payment",
        share=0.10,
        orders_per_account=4.0,
        position_fails=0.5,
        window_days=(20, 60),
        bursts=5,
        delay_days=25.0,
        reported=(0.6, 0.85),
        report="chargeback_fraud",
        marketplace=0.2,
        shifts=(
            ("paste", 1.2),
            ("haste", 0.6),
            ("interest", -0.8),
            ("depth", -0.6),
            ("switching", 0.9),
            ("familiar", -0.7),
        ),
    ),
    play,
    burst_hours=48.0,
    declines=0.15,
)
