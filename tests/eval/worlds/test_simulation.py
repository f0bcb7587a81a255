from __future__ import annotations

import importlib
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from riskgraph.core.catalog import Form, catalog
from riskgraph.core.door import Door
from riskgraph.core.errors import Conflict, ExtraMissing, NotFound
from riskgraph.core.order import Order
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.core.table import OrderTable
from riskgraph.eval.worlds import Oracle, World, extras, preset, read_oracle, simulate, single_component_leaks
from riskgraph.eval.worlds.shop import OPENED, build_shop
from riskgraph.eval.worlds.simulate import live
from riskgraph.explainers.merchant import MerchantProfile

_SDK = [n.id for n in catalog() if n.computed_by == "sdk"]


def files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


@pytest.fixture(scope="module")
def orders(small_world: World, door: Door) -> list[Order]:
    return list(small_world.orders(door))


def test_the_orders_of_the_demos_world_are_those_of_the_demos_merchant(orders: list[Order]) -> None:
    assert {order.merchant_id for order in orders} == {MerchantProfile.demo().data["merchant_id"]}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    config = preset("demo").scaled(orders=300)
    first = files(simulate(config, 11, tmp_path / "a"))
    assert first == files(simulate(config, 11, tmp_path / "b"))
    other = files(simulate(config, 12, tmp_path / "c"))
    assert other["observed/orders-00000.parquet"] != first["observed/orders-00000.parquet"]


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(Conflict, match="not empty"):
        simulate(preset("demo").scaled(orders=300), 1, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failure_half_way_leaves_no_world_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the disk is full")

    # The function of the same name hides the module in the package.
    module = importlib.import_module("riskgraph.eval.worlds.simulate")
    monkeypatch.setattr(module, "write_manifest", fail)
    with pytest.raises(RuntimeError, match="disk is full"):
        simulate(preset("demo").scaled(orders=300), 1, tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    with pytest.raises(ExtraMissing, match=r"riskgraph\[lab\]"):
        simulate(preset("demo").scaled(orders=300), 1, tmp_path / "w")


def test_an_unknown_configuration_names_the_known_ones() -> None:
    with pytest.raises(NotFound, match="demo, champion, bench"):
        preset("paradise")


def test_the_configuration_digest_covers_every_parameter() -> None:
    config = preset("demo")
    assert config.sha256 == replace(config).sha256
    assert config.sha256 != replace(config, position_fails=0.09).sha256


def test_the_demo_has_at_least_sixty_gangs_and_five_percent_fraud() -> None:
    config = preset("demo")
    assert config.gangs >= 60
    assert config.fraud_orders == 1500


def test_a_world_says_that_it_is_simulated_and_enriched(small_world: World) -> None:
    assert small_world.simulated
    assert "enriched to 5%" in small_world.manifest["note"]


def test_observed_columns_carry_no_truth(small_world: World) -> None:
    names = {c for table in small_world.parts() for c in table.column_names}
    assert not names & {"is_fraud", "archetype", "family", "gang_id", "camouflage", "honest_type"}
    assert (small_world.path / "oracle" / "labels.parquet").is_file()


def test_the_oracle_knows_every_order_in_the_same_sequence(
    small_table: OrderTable, small_oracle: Oracle
) -> None:
    assert small_oracle.order_id.tolist() == small_table.order_id.tolist()
    assert 0.04 < small_oracle.is_fraud.mean() < 0.06


def test_every_archetype_and_every_odd_honest_kind_appears(larger_world: World) -> None:
    truth = read_oracle(larger_world)
    config = preset("demo")
    assert set(truth.archetype) == {"honest", *(a.name for a in config.archetypes)}
    assert {k for k in truth.honest_type if k} == {h.name for h in config.honest_types}
    sizes = Counter(g for g in truth.gang_id if g)
    assert len(sizes) >= 55


def test_every_value_fits_its_node(orders: list[Order]) -> None:
    # A subgraph refuses a value that does not fit, and keeps every one that does.
    for order in orders:
        present = OrderSubgraph.build(order.signals, order.absent).present.sum()
        assert present == len(order.signals)


def test_all_browser_side_nodes_are_measured_somewhere(orders: list[Order]) -> None:
    seen = {key for order in orders for key in order.signals}
    assert set(_SDK) <= seen


def test_no_computed_node_is_delivered(orders: list[Order]) -> None:
    computed = {n.id for n in catalog() if n.computed_by == "riskgraph"}
    assert not any(computed & order.signals.keys() for order in orders)


def test_marketplace_orders_measure_nothing_in_a_browser(orders: list[Order]) -> None:
    market = [o for o in orders if o.channel_code.startswith("market")]
    assert len(market) > 300
    for order in market:
        assert not set(_SDK) & order.signals.keys()
        assert not set(_SDK) & order.absent.keys()
        assert order.entities.device is None


def test_a_refusal_is_an_absence_and_takes_the_device_along(orders: list[Order]) -> None:
    refused = [o for o in orders if o.consent.purposes.get("behavior") is False]
    assert len(refused) > 30
    for order in refused:
        assert all(order.absent[key] is State.REFUSED for key in _SDK if catalog()[key].purpose == "behavior")
        assert not set(_SDK) & order.signals.keys()
        assert order.entities.device is None


def test_a_denied_position_is_refused_and_an_unasked_one_is_not_delivered(orders: list[Order]) -> None:
    denied = [o for o in orders if o.consent.purposes.get("location") is False]
    unasked = [o for o in orders if "location" not in o.consent.purposes]
    assert denied
    assert unasked
    for order in denied:
        assert all(order.absent[key] is State.REFUSED for key in ("B085", "B108", "B109"))
    for order in unasked:
        assert not {"B085", "B108", "B109"} & (order.signals.keys() | order.absent.keys())


def test_touch_visits_have_no_mouse_and_desktops_no_touch(orders: list[Order]) -> None:
    touch = [o for o in orders if o.signals.get("B084") == "touch"]
    mouse = [o for o in orders if o.signals.get("B084") == "mouse"]
    assert touch
    assert mouse
    for order in touch:
        assert all(order.absent[k] is State.NOT_APPLICABLE for k in ("B014", "B018", "B024", "B033", "B042"))
    for order in mouse:
        assert all(order.absent[k] is State.NOT_APPLICABLE for k in ("B026", "B027", "B028", "B029"))


def test_keyboard_users_have_neither_mouse_nor_touch_nodes(orders: list[Order]) -> None:
    keyboard = [o for o in orders if o.signals.get("B084") in ("key", "other")]
    assert keyboard
    for order in keyboard:
        assert not {"B014", "B024", "B026", "B028"} & order.signals.keys()


def test_a_saved_address_has_no_typing_rhythm(orders: list[Order]) -> None:
    saved = [o for o in orders if o.signals.get("B051") == "saved"]
    assert saved
    for order in saved:
        assert not {"B035", "B036", "B037", "B046", "B055"} & order.signals.keys()


def test_histogram_counts_are_whole_and_add_up(orders: list[Order]) -> None:
    checked = 0
    for order in orders[:200]:
        for key, value in order.signals.items():
            node = catalog()[key]
            if node.form is Form.HISTOGRAM:
                for part in value.values() if len(node.histograms) > 1 else [value]:
                    assert part["n"] == sum(part["bins"]) > 0
                    assert all(type(count) is int for count in part["bins"])
                    checked += 1
    assert checked > 100


def test_orders_of_one_person_resemble_each_other(larger_world: World, door: Door) -> None:
    by_account: dict[bytes, list[float]] = defaultdict(list)
    truth = read_oracle(larger_world)
    for order, fraud in zip(larger_world.orders(door), truth.is_fraud.tolist(), strict=True):
        if not fraud and "B010" in order.signals and order.entities.account:
            by_account[order.entities.account].append(np.log1p(order.signals["B010"]))
    repeated = [v for v in by_account.values() if len(v) > 1]
    within = np.mean([np.var(v, ddof=1) for v in repeated])
    total = np.var([x for v in repeated for x in v], ddof=1)
    assert within < 0.9 * total


def test_no_single_node_gives_fraud_away(larger_world: World, door: Door) -> None:
    table = larger_world.table(None, door)
    worst = single_component_leaks(table, read_oracle(larger_world).is_fraud)[0]
    assert worst.recall <= 0.15, f"{worst.component} ({worst.sign}) alone finds {worst.recall:.1%} of fraud"


def test_a_node_that_copies_the_label_is_called_a_leak(small_table: OrderTable, small_oracle: Oracle) -> None:
    planted = small_table.components.copy()
    planted[:, catalog().component_index["B094.value"]] = small_oracle.is_fraud * 9.0
    leak = single_component_leaks(replace(small_table, components=planted), small_oracle.is_fraud)[0]
    assert leak.component == "B094.value"
    assert leak.recall == 1.0


def test_position_and_distance_are_weak_alone_and_strong_together(larger_world: World, door: Door) -> None:
    table, fraud = larger_world.table(None, door), read_oracle(larger_world).is_fraud
    index = catalog().component_index
    unavailable = table.components[:, index["B085.value"]] == 1
    far = table.components[:, index["B110.value"]] >= 3
    alone = max(fraud[unavailable].mean(), fraud[far].mean())
    together = fraud[unavailable & far].mean()
    assert alone < 0.45
    assert together > alone + 0.25


def test_honest_devices_fail_to_give_a_position_whatever_the_distance(
    larger_world: World, door: Door
) -> None:
    table, truth = larger_world.table(None, door), read_oracle(larger_world)
    index = catalog().component_index
    answered = ~np.isnan(table.components[:, index["B085.value"]])
    ordinary = answered & ~truth.is_fraud & (truth.honest_type != "no_position")
    far = table.components[:, index["B110.value"]] >= 3
    near = table.components[:, index["B110.value"]] < 3
    failed = table.components[:, index["B085.value"]] == 1
    assert 0.05 < failed[ordinary].mean() < 0.12
    assert abs(failed[ordinary & far].mean() - failed[ordinary & near].mean()) < 0.08


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_no_account_is_older_than_the_shop_or_younger_than_its_order(seed: int) -> None:
    # Mostly fraud, since gangs buy the oldest accounts; soon after the opening many would be too old.
    config = replace(preset("bench"), fraud_share=0.9, start="2004-01-01").scaled(orders=2000, seed=seed)
    visits = live(config, build_shop(config))
    created = visits.of_account("created")
    assert created.min() == OPENED
    assert (created <= visits["t"]).all()


def test_labels_come_late_and_some_never(larger_world: World) -> None:
    truth = read_oracle(larger_world)
    fraud_ids = set(truth.order_id[truth.is_fraud])
    reports = [o for o in larger_world.outcomes() if o.kind in ("chargeback_fraud", "confirmed_fraud")]
    right = [o for o in reports if o.order_key.split("|")[2] in fraud_ids]
    wrong = len(reports) - len(right)
    assert 0.5 < len(right) / len(fraud_ids) < 0.9
    assert 0 < wrong / len(reports) < 0.05
    assert all(o.reported_at > o.effective_at for o in right)
    assert np.median([o.reported_at - o.effective_at for o in right]) > 4 * 86_400
