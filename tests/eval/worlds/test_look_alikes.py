"""Honest people who look like one kind of fraud each, and what camouflage hides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from riskgraph.eval.worlds import preset
from riskgraph.eval.worlds.shop import build_shop
from riskgraph.eval.worlds.simulate import live
from riskgraph.eval.worlds.streams import Bools
from riskgraph.eval.worlds.visits import SAVED, Visits

CONFIG = preset("world-2").scaled(orders=40_000, seed=9)
DAY = 86_400.0


@pytest.fixture(scope="module")
def visits() -> Visits:
    return live(CONFIG, build_shop(CONFIG))


def those(visits: Visits, name: str) -> Bools:
    wanted = [t.name for t in CONFIG.honest_types].index(name)
    return np.asarray((visits["kind"] == 0) & (visits["honest_type"] == wanted), dtype=np.bool_)


def ship_city(visits: Visits) -> NDArray[Any]:
    return np.asarray(visits.cast.addresses["city"][visits["address"]])


def test_a_mover_orders_to_another_city_from_another_device_from_a_day_on(visits: Visits) -> None:
    mine = those(visits, "mover") & (visits["device"] >= 0)
    moved = mine & (visits["city"] >= 0)
    assert 0.2 < moved.sum() / mine.sum() < 0.8
    home = visits.of_account("home_city")
    gifts = visits["other"]
    assert (visits["city"] != home)[moved].all()
    assert (ship_city(visits) == visits["city"])[moved & ~gifts].mean() > 0.9
    before = mine & ~moved
    for account in np.unique(visits["account"][moved])[:50]:
        own = visits["account"] == account
        assert not set(visits["device"][own & before]) & set(visits["device"][own & moved])


def test_a_traveller_is_where_the_parcel_goes_once_the_account_has_a_history(visits: Visits) -> None:
    mine = those(visits, "traveller")
    away = mine & (visits["city"] >= 0)
    assert away.sum() > 10
    assert (ship_city(visits) == visits["city"])[away].all()
    assert (visits.cast.networks["city"][visits["network"]] == visits["city"])[away].all()
    assert (visits.rank[away] >= 2).all()


def test_a_declined_payer_orders_again_within_hours_and_with_other_cards(visits: Visits) -> None:
    mine = those(visits, "declined_payer")
    again = mine & (visits.rank > 0)
    last = {}
    waits = []
    for row in np.flatnonzero(mine):
        account = int(visits["account"][row])
        if account in last:
            waits.append(visits["t"][row] - last[account])
        last[account] = visits["t"][row]
    assert again.sum() == len(waits)
    assert np.median(waits) < DAY
    cards = visits["card"][mine & (visits["card"] >= 0)]
    assert len(np.unique(cards)) > 0.8 * len(cards)


def test_fans_come_for_launches_and_friends_to_new_shops(visits: Visits) -> None:
    fans = those(visits, "launch_fan")
    assert (visits["launch"] >= 0)[fans].mean() > 5 * (visits["launch"] >= 0)[
        those(visits, "ordinary")
    ].mean()
    age = visits["t"] - visits.cast.sellers["opened"][visits["merchant"]]
    friends = those(visits, "shop_friend")
    assert (age[friends] >= 0).all()
    assert (age[friends] < 60 * DAY).mean() > 0.6
    assert (age[those(visits, "ordinary")] < 60 * DAY).mean() < 0.2


def test_each_kind_of_fraud_has_the_same_spread_of_camouflage(visits: Visits) -> None:
    for kind in range(1, len(visits.families) + 1):
        gangs, first = np.unique(visits["gang"][visits["kind"] == kind], return_index=True)
        camouflage = visits["camouflage"][visits["kind"] == kind][first]
        assert abs(camouflage.mean() - 1.0 / 3.3) < 0.35 / np.sqrt(len(gangs))


def test_a_hiding_gang_saves_addresses_beforehand_as_honest_people_do(visits: Visits) -> None:
    mine = (visits["kind"] > 0) & visits.front
    saved, camouflage = visits.address_mode == SAVED, visits["camouflage"]
    ranges = ((camouflage >= low) & (camouflage < low + 0.25) for low in (0.0, 0.25, 0.5))
    share = [saved[mine & inside].mean() for inside in ranges]
    assert share == sorted(share)
