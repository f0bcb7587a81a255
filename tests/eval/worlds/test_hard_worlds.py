from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from riskgraph.core.catalog import catalog
from riskgraph.core.door import Door
from riskgraph.core.order import Order
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.eval.worlds import (
    FAMILIES,
    Oracle,
    World,
    export_ndjson,
    import_ndjson,
    preset,
    read_oracle,
    simulate,
)
from riskgraph.eval.worlds.families import FIRST_SIX, LATER
from riskgraph.eval.worlds.parcels import RANGE
from riskgraph.eval.worlds.shop import build_shop

CONFIG = preset("world-1").scaled(orders=20_000, seed=5)
DAY = 86_400.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.open(simulate(CONFIG, None, tmp_path_factory.mktemp("hard") / "world"))


@pytest.fixture(scope="module")
def truth(world: World) -> Oracle:
    return read_oracle(world)


@pytest.fixture(scope="module")
def orders(world: World, door: Door) -> list[Order]:
    return list(world.orders(door))


@pytest.fixture(scope="module")
def parcels(world: World) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = pq.read_table(world.path / "oracle/parcels.parquet").to_pydict()
    return columns


def rows(truth: Oracle, name: str) -> list[int]:
    return [int(i) for i in np.flatnonzero(truth.archetype == name)]


def test_published_worlds_keep_their_six_and_the_hard_ones_have_every_family(truth: Oracle) -> None:
    six = [family.name for family in FIRST_SIX]
    assert all([a.name for a in preset(name).archetypes] == six for name in ("demo", "champion", "bench"))
    assert set(truth.archetype) == {"honest", *FAMILIES}
    assert sum(a.share for a in CONFIG.archetypes) == pytest.approx(1)


def test_bots_come_in_three_tiers_of_which_only_the_first_is_declared_naive() -> None:
    bots = [f for f in LATER if f.archetype.family == "bot"]
    assert [f.naive for f in bots] == [True, False, False]
    regular = [dict(f.archetype.shifts)["regular"] for f in bots]
    assert regular == sorted(regular, reverse=True)
    assert sum(a.share for a in CONFIG.archetypes if FAMILIES[a.name].naive) <= 0.2


def test_every_value_fits_its_node_and_none_is_computed(orders: list[Order]) -> None:
    computed = {n.id for n in catalog() if n.computed_by == "riskgraph"}
    for order in orders:
        OrderSubgraph.build(order.signals, order.absent)
        assert not computed & order.signals.keys()


def test_each_family_is_reported_at_its_own_pace(world: World, truth: Oracle) -> None:
    kind_of = dict(zip(truth.order_id.tolist(), truth.archetype.tolist(), strict=True))
    days: dict[str, list[float]] = defaultdict(list)
    for outcome in world.outcomes():
        if outcome.kind in ("chargeback_fraud", "confirmed_fraud"):
            kind = kind_of[outcome.order_key.split("|")[2]]
            days[kind].append((outcome.reported_at - outcome.effective_at) / DAY)
    median = {kind: float(np.median(found)) for kind, found in days.items()}
    for family in LATER:
        asked = family.archetype.delay_days
        assert asked / 2.2 < median[family.name] < asked * 2.2
    counts = Counter(truth.archetype.tolist())
    assert all(len(days[f.name]) < 0.95 * counts[f.name] for f in LATER)


def test_outcomes_belong_to_the_seller_that_was_ordered_from(world: World, orders: list[Order]) -> None:
    sellers = {order.order_id: order.merchant_id for order in orders}
    assert len(set(sellers.values())) > 200
    for outcome in world.outcomes():
        merchant, _, order_id = outcome.order_key.split("|")
        assert sellers[order_id] == merchant


def test_documents_are_checked_for_sellers_and_never_for_the_shop_itself(orders: list[Order]) -> None:
    for order in orders:
        if order.merchant_id == CONFIG.merchant_id:
            assert order.absent["B127"] is State.NOT_APPLICABLE
            assert "B128" not in order.signals
        else:
            assert order.signals["B127"] >= 0


def test_documents_of_fake_merchants_repeat_but_honest_ones_do_as_well(
    orders: list[Order], truth: Oracle
) -> None:
    def repeated(kind: str) -> float:
        seen = [orders[i].signals["B127"] > 0 for i in rows(truth, kind) if "B127" in orders[i].signals]
        return sum(seen) / len(seen)

    assert 0.1 < repeated("honest") < 0.4
    assert repeated("fake_merchant") > repeated("honest") + 0.2


def test_fake_merchants_open_in_a_burst_and_end_with_victims(orders: list[Order], truth: Oracle) -> None:
    mine = rows(truth, "fake_merchant")
    honest = {orders[i].entities.account for i in rows(truth, "honest")}
    gangs: dict[str, list[int]] = defaultdict(list)
    for i in mine:
        gangs[truth.gang_id[i]].append(i)
    victims = [orders[i].entities.account in honest for i in mine]
    early = [
        v
        for gang in gangs.values()
        for v in [orders[i].entities.account in honest for i in gang[: len(gang) // 3]]
    ]
    assert sum(victims) / len(victims) > sum(early) / len(early)
    largest = max(gangs.values(), key=len)
    assert len({orders[i].merchant_id for i in largest}) >= 3


def test_used_numbers_come_out_of_a_short_range(truth: Oracle, parcels: dict[str, list[str]]) -> None:
    used: dict[str, list[str]] = defaultdict(list)
    for i in rows(truth, "fake_merchant") + rows(truth, "brushing"):
        if parcels["flaw"][i] == "reused":
            used[truth.gang_id[i]].append(parcels["number"][i])
    assert all(len(set(numbers)) <= RANGE for numbers in used.values())
    assert any(len(set(numbers)) < len(numbers) for numbers in used.values())
    honest = [parcels["number"][i] for i in rows(truth, "honest") if parcels["flaw"][i] == "none"]
    assert len(set(honest)) == len(honest)


def test_a_number_that_no_carrier_knows_is_never_a_delivery(
    world: World, parcels: dict[str, list[str]]
) -> None:
    flaw = dict(zip(parcels["order_id"], parcels["flaw"], strict=True))
    number = dict(zip(parcels["order_id"], parcels["number"], strict=True))
    delivered = {o.order_key.split("|")[2] for o in world.outcomes() if o.kind == "delivered"}
    for order_id, word in flaw.items():
        assert (number[order_id] == "") == (word == "blank")
        if word in ("blank", "format"):
            assert order_id not in delivered
    assert {flaw[i] for i in delivered} == {"none", "reused"}


def test_refund_abusers_claim_back_far_more_than_others(world: World, truth: Oracle) -> None:
    back = {o.order_key.split("|")[2] for o in world.outcomes() if o.kind in ("refund", "claim")}
    rate = {
        kind: np.mean([truth.order_id[i] in back for i in rows(truth, kind)])
        for kind in ("refund_abuse", "honest")
    }
    assert rate["refund_abuse"] > 5 * rate["honest"]


def test_bots_order_within_the_hour_of_a_launch(orders: list[Order], truth: Oracle) -> None:
    launches = np.array([moment for _, moment in build_shop(CONFIG).launches])

    def soon(kind: str) -> float:
        t = np.array([orders[i].placed_at for i in rows(truth, kind)])
        since = t - launches[np.maximum(np.searchsorted(launches, t) - 1, 0)]
        return float(((since > 0) & (since < 5400)).mean())

    assert soon("scalper_naive") > 0.3
    assert soon("scalper_humanlike") > 10 * soon("honest")


def test_a_brushing_circle_buys_from_one_seller(orders: list[Order], truth: Oracle) -> None:
    for gang in {truth.gang_id[i] for i in rows(truth, "brushing")}:
        mine = [i for i in rows(truth, "brushing") if truth.gang_id[i] == gang]
        assert len({orders[i].merchant_id for i in mine}) == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gangs_of_a_single_order_can_play(seed: int, tmp_path: Path) -> None:
    world = World.open(simulate(CONFIG.scaled(orders=200), seed, tmp_path / "w"))
    assert len(read_oracle(world)) >= 200


def test_a_world_with_sellers_goes_to_ndjson_and_back(tmp_path: Path) -> None:
    world = World.open(simulate(CONFIG.scaled(orders=400), 3, tmp_path / "w"))
    export_ndjson(world, tmp_path / "lines")
    import_ndjson(tmp_path / "lines", tmp_path / "again")
    again = World.open(tmp_path / "again")
    for first, second in zip(world.parts(), again.parts(), strict=True):
        assert first["merchant_id"].equals(second["merchant_id"])


def test_what_the_shop_stopped_is_never_charged_back(world: World, truth: Oracle) -> None:
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for outcome in world.outcomes():
        kinds[outcome.order_key].add(outcome.kind)
    paid_only = [seen for seen in kinds.values() if "shipped" not in seen]
    assert any("confirmed_fraud" in seen for seen in paid_only)
    assert any("confirmed_good" in seen for seen in paid_only)
    assert not any("chargeback_fraud" in seen and "paid" in seen for seen in paid_only)
    reviewed = sum(bool(seen & {"confirmed_fraud", "confirmed_good"}) for seen in paid_only)
    assert reviewed < 0.5 * len(paid_only)


def test_no_password_was_changed_before_the_account_was_opened(orders: list[Order]) -> None:
    known = [o for o in orders if "B093" in o.signals and o.account_created_at is not None]
    assert len(known) > 1000
    assert all(o.signals["B093"] * 3600 <= o.placed_at - o.account_created_at + 36 for o in known)


def test_what_was_decided_after_payment_was_paid(world: World, orders: list[Order]) -> None:
    paid = {outcome.order_key for outcome in world.outcomes() if outcome.kind == "paid"}
    assert all(o.key in paid for o in orders if o.phase == "post_auth")
