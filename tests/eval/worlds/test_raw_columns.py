"""Raw columns, which no gate reads, hold no shortcut in ``lifelike`` worlds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from riskgraph.eval.worlds import FAMILIES, geo, habits, preset
from riskgraph.eval.worlds.shop import DAY, Shop, build_shop
from riskgraph.eval.worlds.simulate import live, measure
from riskgraph.eval.worlds.streams import Bools
from riskgraph.eval.worlds.visits import Visits

CONFIG = preset("world-1").scaled(orders=30_000, seed=9)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return build_shop(CONFIG)


@pytest.fixture(scope="module")
def visits(shop: Shop) -> Visits:
    return live(CONFIG, shop)


def share(rows: Bools, of: Bools) -> float:
    return float(rows[of].mean())


def test_gangs_come_back_from_the_same_network_as_people_do(visits: Visits) -> None:
    front, fraud = habits.has_front_end(visits["channel"]), visits["kind"] > 0
    uses = Counter(visits["network"][front].tolist())
    again = np.array([uses[network] > 1 for network in visits["network"].tolist()])
    assert share(again, front & ~fraud) > 0.7
    assert share(again, front & fraud) > 0.7


def test_an_account_gets_a_network_of_its_own_late_no_more_often_from_gangs(visits: Visits) -> None:
    front, fraud = habits.has_front_end(visits["channel"]), visits["kind"] > 0
    uses = Counter(visits["network"][front].tolist())
    alone = front & np.array([uses[network] == 1 for network in visits["network"].tolist()])
    late = alone & (visits.rank >= 5)
    # What flags a third of a percent of honest orders would have found a quarter of all fraud.
    assert share(late, fraud) < 0.1


def test_parcels_of_fraud_stay_in_the_accounts_country_like_others(visits: Visits) -> None:
    ships_to_eu = geo.IS_EU[visits.cast.addresses["city"][visits["address"]]]
    abroad = ships_to_eu != (visits.of_account("country") == 1)
    assert share(abroad, visits["kind"] > 0) < 0.01


def test_honest_people_have_spellings_of_their_own_too(visits: Visits) -> None:
    marked = visits.cast.addresses["variant"][visits["address"]] > 0
    honest, fraud = (share(marked, side) for side in (visits["kind"] == 0, visits["kind"] > 0))
    assert honest > 0.08
    assert fraud < 4 * honest


def test_promotion_farms_wait_for_promotions(visits: Visits, shop: Shop) -> None:
    farm = visits["kind"] == list(FAMILIES).index("promotion_farm") + 1
    days = shop.promo(visits["t"])
    assert share(days, farm) > share(days, visits["kind"] == 0)


def test_a_victim_at_home_keeps_network_and_consents() -> None:
    config = replace(CONFIG.scaled(orders=12_000), gang_refuses=1.0)
    visits = live(config, build_shop(config))
    shared = visits["kind"] == list(FAMILIES).index("remote_control") + 1
    shared &= visits["victim"] & (visits["network"] >= 0)
    assert shared.sum() > 50
    honest = set(visits["network"][visits["kind"] == 0].tolist())
    assert all(network in honest for network in visits["network"][shared].tolist())
    assert share(visits["behavior"] == 0, shared) < 0.3


def test_cover_is_never_bought_with_things_of_others(visits: Visits) -> None:
    cover = (visits["kind"] == 0) & (visits["gang"] >= 0)
    assert cover.sum() > 10
    kinds = {visits["gang"][i]: visits["kind"][i] for i in np.flatnonzero(visits["kind"] > 0)}
    names = [
        list(FAMILIES.values())[kinds[g] - 1].archetype.family for g in visits["gang"][cover] if g in kinds
    ]
    assert not set(names) & {"identity", "payment"}


def test_coupons_for_newcomers_go_to_new_accounts() -> None:
    config = CONFIG.scaled(orders=4000)
    visits = live(config, build_shop(config))
    baskets, *_ = measure(config, build_shop(config), visits)
    given = (baskets.coupon_kind == 0).any(axis=1)
    assert given.sum() > 50
    assert (visits["t"] - visits.of_account("created"))[given].max() <= 30 * DAY
