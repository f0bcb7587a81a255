from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest

from riskgraph.core.errors import Invalid
from riskgraph.eval.worlds import geo, habits, preset
from riskgraph.eval.worlds.config import epoch
from riskgraph.eval.worlds.odd import LATER_TYPES
from riskgraph.eval.worlds.shop import build_shop
from riskgraph.eval.worlds.simulate import live
from riskgraph.eval.worlds.streams import Bools, Ints
from riskgraph.eval.worlds.visits import Visits

CONFIG = preset("world-1").scaled(orders=40_000, seed=6)
DAY = 86_400.0


@pytest.fixture(scope="module")
def visits() -> Visits:
    return live(CONFIG, build_shop(CONFIG))


def those(visits: Visits, *names: str) -> Bools:
    kinds = [t.name for t in CONFIG.honest_types]
    wanted = [kinds.index(name) for name in names]
    return np.asarray((visits["kind"] == 0) & np.isin(visits["honest_type"], wanted), dtype=np.bool_)


def accounts_by(visits: Visits, column: str, rows: Bools) -> Counter[int]:
    """How many accounts use each entity of a column."""
    pairs = {(e, a) for e, a in zip(visits[column][rows], visits["account"][rows], strict=True) if e >= 0}
    return Counter(int(entity) for entity, _ in pairs)


def km(visits: Visits, rows: Bools) -> Ints:
    ship = visits.cast.addresses["city"][visits["address"][rows]]
    return geo.distance_band(geo.distance_km(visits.of_account("home_city")[rows], ship))


def test_shares_of_honest_kinds_add_up_and_each_kind_orders(visits: Visits) -> None:
    assert sum(t.share for t in CONFIG.honest_types) == pytest.approx(1)
    assert all(those(visits, t.name).sum() > 10 for t in LATER_TYPES)


def test_published_worlds_know_none_of_the_later_kinds() -> None:
    later = {t.name for t in LATER_TYPES}
    assert not any(later & {t.name for t in preset(n).honest_types} for n in ("demo", "champion", "bench"))


def test_screen_reader_users_use_no_mouse_at_a_desk(visits: Visits) -> None:
    desk = those(visits, "screen_reader") & visits.front & (visits.of_device("kind") == habits.DESKTOP)
    assert desk.sum() > 10
    assert set(visits["modality"][desk]) <= {habits.KEY, habits.OTHER}


def test_voice_users_show_neither_mouse_nor_touch(visits: Visits) -> None:
    mine = those(visits, "voice_control") & visits.front
    assert mine.any()
    assert not (visits.mouse | visits.touch)[mine].any()


def test_touch_only_users_have_no_desktop(visits: Visits) -> None:
    mine = those(visits, "touch_only") & visits.front
    assert set(visits["modality"][mine]) == {habits.TOUCH}


def test_some_gift_buyers_send_far(visits: Visits) -> None:
    far = (km(visits, those(visits, "gift_far")) >= 3).mean()
    assert far > 0.4
    assert far > 2 * (km(visits, those(visits, "ordinary")) >= 3).mean()


def test_privacy_browsers_give_no_hints_and_no_position(visits: Visits) -> None:
    mine = those(visits, "privacy_browser") & visits.front
    assert not visits.of_device("has_hints")[mine].any()
    assert not (visits["location"][mine] == 1).any()


def test_a_dormitory_shares_one_exit_and_one_address(visits: Visits) -> None:
    mine = those(visits, "dormitory")
    assert accounts_by(visits, "network", mine).most_common(1)[0][1] >= 5
    assert accounts_by(visits, "address", mine).most_common(1)[0][1] >= 5


def test_a_helper_orders_for_two_households_from_one_device(visits: Visits) -> None:
    mine = those(visits, "family_helper")
    assert 2 in accounts_by(visits, "device", mine).values()
    assert max(accounts_by(visits, "device", mine).values()) == 2


def test_families_share_a_card_and_lockers_serve_many(visits: Visits) -> None:
    mine = those(visits, "locker_family")
    assert accounts_by(visits, "card", mine).most_common(1)[0][1] in (2, 3)
    kinds = visits.cast.addresses["kind"][visits["address"][mine]]
    assert (kinds == geo.ADDRESS_KINDS.index("locker")).mean() > 0.6
    assert accounts_by(visits, "address", mine).most_common(1)[0][1] >= 3


def test_nobody_orders_before_the_account_exists(visits: Visits) -> None:
    assert (visits.of_account("created") <= visits["t"]).all()


def test_honest_neighbours_buy_one_product_within_the_hour(visits: Visits) -> None:
    groups: dict[tuple[int, int], list[float]] = defaultdict(list)
    honest = visits["kind"] == 0
    columns = (visits[c][honest] for c in ("address", "launch", "t"))
    for address, sku, t in zip(*columns, strict=True):
        if sku >= 0:
            groups[int(address), int(sku)].append(float(t))
    together = [g for g in groups.values() if len(g) >= 4 and max(g) - min(g) < 3600]
    assert len(together) >= 3


def test_a_viral_product_is_bought_by_honest_strangers_within_a_day(visits: Visits) -> None:
    honest = visits["kind"] == 0
    launch, day = visits["launch"][honest], (visits["t"][honest] // DAY).astype(np.int64)
    crowd = Counter((int(s), int(d)) for s, d in zip(launch, day, strict=True) if s >= 0)
    assert crowd.most_common(1)[0][1] >= 20


def test_orders_multiply_on_the_festival_and_many_come_at_midnight(visits: Visits) -> None:
    hours = (visits["t"][visits["kind"] == 0] + 8 * 3600 - CONFIG.start_s) / 3600
    day, hour = (hours // 24).astype(np.int64), hours % 24
    eleventh = int((epoch("2024-11-11") - CONFIG.start_s) // DAY)
    counts = np.bincount(day)
    assert counts[eleventh] > 3 * np.median(counts)
    assert (hour[day == eleventh] < 1).mean() > 0.1


def test_weekends_sell_more(visits: Visits) -> None:
    weekday = ((visits["t"] + 8 * 3600) // DAY).astype(np.int64) % 7
    counts = np.bincount(weekday, minlength=7)
    # Day 0 of the epoch was a Thursday.
    assert counts[[2, 3]].mean() > counts[[4, 5, 6]].mean()


def test_a_new_family_acts_from_its_date_on(visits: Visits) -> None:
    names = [f.name for f in visits.families]
    mine = visits["kind"] == names.index("scalper_humanlike") + 1
    assert visits["t"][mine].min() > epoch("2024-07-17")
    assert visits["t"][visits["kind"] == names.index("scalper_naive") + 1].min() < epoch("2024-07-17")


def test_a_family_that_starts_after_the_world_is_refused() -> None:
    late = tuple(replace(a, starts="2025-01-01") for a in CONFIG.archetypes)
    config = replace(CONFIG, archetypes=late).scaled(orders=300)
    with pytest.raises(Invalid, match="starts on 2025-01-01, after the world's last days"):
        live(config, build_shop(config))
