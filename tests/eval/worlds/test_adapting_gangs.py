"""Gangs adapt: they cover their tracks, buy honestly in between, change channels; and time goes on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from riskgraph.core.errors import Invalid
from riskgraph.eval.worlds import FAMILIES, habits, preset
from riskgraph.eval.worlds.outcomes import outcomes
from riskgraph.eval.worlds.shop import build_shop
from riskgraph.eval.worlds.simulate import live
from riskgraph.eval.worlds.streams import Bools
from riskgraph.eval.worlds.tables import labels_table, outcomes_table
from riskgraph.eval.worlds.visits import Visits

STILL = replace(preset("world-1").scaled(orders=20_000, seed=9), mixed=0.0, switches=0.0, cover=0.0)


def world(**changes: float) -> Visits:
    config = replace(STILL, **changes)  # type: ignore[arg-type]
    return live(config, build_shop(config))


@pytest.fixture(scope="module")
def still() -> Visits:
    return world()


def of_family(visits: Visits, name: str) -> Bools:
    return np.asarray(visits["kind"] == list(FAMILIES).index(name) + 1, dtype=np.bool_)


def is_far(visits: Visits) -> Bools:
    ships = visits.cast.addresses["city"][visits["address"]]
    return np.asarray(ships != visits.of_account("home_city"), dtype=np.bool_)


# Two accounts taken over share a drop, which is near one of them.
@pytest.mark.parametrize(("family", "least"), [("account_takeover", 0.1), ("remote_control", 0.25)])
def test_a_gang_under_cover_sends_to_where_its_victims_live(still: Visits, family: str, least: float) -> None:
    covered = world(cover=1.0)

    def far(visits: Visits) -> float:
        hidden = of_family(visits, family) & (visits["camouflage"] > 0.5)
        assert hidden.sum() > 20
        return float(is_far(visits)[hidden].mean())

    assert far(covered) < far(still) - least


def test_a_takeover_under_cover_orders_from_the_victims_own_device() -> None:
    covered = world(cover=1.0)
    mine = of_family(covered, "account_takeover") & (covered["camouflage"] > 0.5) & (covered["device"] >= 0)
    honest = set(covered["device"][covered["kind"] == 0].tolist())
    assert np.mean([device in honest for device in covered["device"][mine].tolist()]) > 0.3


def test_what_a_gang_buys_as_cover_is_honest_and_the_truth_says_whose_it_is() -> None:
    config = replace(STILL, mixed=0.5)
    visits = live(config, build_shop(config))
    truth = labels_table(config, visits).to_pydict()
    cover = [not f and g is not None for f, g in zip(truth["is_fraud"], truth["gang_id"], strict=True)]
    rows = np.flatnonzero(cover)
    assert len(rows) > 100
    assert {truth["archetype"][i] for i in rows} == {"honest"}
    assert {truth["honest_type"][i] for i in rows} == {None}
    # The better it hides, the larger a part of what it buys.
    gang = visits["gang"] >= 0
    hidden = visits["camouflage"] > 0.5
    assert np.mean(np.array(cover)[gang & hidden]) > 2 * np.mean(np.array(cover)[gang & ~hidden])
    reports = outcomes(config, visits)
    fraud_words = {"chargeback_fraud", "confirmed_fraud"}
    table = outcomes_table(config, visits, reports, 0).to_pydict()
    accused = {i for i, k in zip(table["order_id"], table["kind"], strict=True) if k in fraud_words}
    assert np.mean([truth["order_id"][i] in accused for i in rows]) < 0.02


def test_no_gang_changes_its_channel_unless_configured_and_then_once(still: Visits) -> None:
    def changes(visits: Visits) -> list[int]:
        sides = defaultdict(list)
        rows = np.flatnonzero((visits["gang"] >= 0) & (visits["kind"] > 0) & ~visits["victim"])
        front = habits.has_front_end(visits["channel"])
        for row in rows:
            sides[int(visits["gang"][row])].append(bool(front[row]))
        return [int(np.count_nonzero(np.diff(np.array(s, dtype=np.int8)))) for s in sides.values()]

    assert max(changes(still)) == 0
    moved = changes(world(switches=1.0))
    assert max(moved) == 1
    assert 0.4 < np.mean(moved) < 1


def test_sales_swing_with_the_year() -> None:
    flat, swings = (build_shop(replace(STILL, season=s, days=365)).day_weight for s in (0.0, 0.2))
    ratio = swings / flat
    peak = int(np.argmax(ratio))
    # 5 March and 280 days: the tenth of December.
    assert 270 < peak < 290
    assert ratio.max() == pytest.approx(1.2, abs=0.001)
    assert ratio.min() == pytest.approx(0.8, abs=0.001)


def test_everybodys_habits_drift_one_way() -> None:
    still, moved = (world(drift=d).driver("haste") for d in (0.0, 0.8))
    n = len(still)
    shift = moved - still
    assert shift[: n // 10].mean() < -0.3
    assert shift[-n // 10 :].mean() > 0.3
    assert np.all(np.diff(shift) > -1e-9)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_gangs_refuse_consent_from_none_to_all(share: float) -> None:
    visits = world(gang_refuses=share)
    mine = (visits["kind"] > 0) & habits.has_front_end(visits["channel"]) & ~visits["victim"]
    refused = float((visits["behavior"][mine] == 0).mean())
    # Some refuse in any gang, as some persons do anywhere.
    assert refused == 1.0 if share else refused < 0.1


def test_a_card_tester_under_cover_tries_fewer_cards_on_an_account(still: Visits) -> None:
    def cards(visits: Visits) -> float:
        mine = of_family(visits, "card_testing") & (visits["camouflage"] > 0.4) & (visits["card"] >= 0)
        pairs = set(zip(visits["account"][mine].tolist(), visits["card"][mine].tolist(), strict=True))
        return len(pairs) / len({account for account, _ in pairs})

    assert cards(world(cover=1.0)) < cards(still) - 0.1


def test_a_proxy_buyer_under_cover_sends_to_where_the_account_lives(still: Visits) -> None:
    def far(visits: Visits) -> float:
        mine = of_family(visits, "proxy_buying") & (visits["camouflage"] > 0.5)
        return float(is_far(visits)[mine].mean())

    assert far(world(cover=1.0)) < far(still) - 0.2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mixed", 3),
        ("cover", -0.1),
        ("gang_refuses", 1.5),
        ("season", 1),
        ("drift", float("nan")),
        ("reviews", 2),
    ],
)
def test_a_figure_that_makes_no_sense_is_refused_by_its_name(name: str, value: float) -> None:
    with pytest.raises(Invalid) as refused:
        replace(STILL, **{name: value})  # type: ignore[arg-type]
    assert refused.value.field == name
