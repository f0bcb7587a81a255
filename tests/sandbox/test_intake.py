"""What may enter the sandbox."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from riskgraph import bootstrap
from riskgraph.auditing import log_path
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid, SensitiveField, UnknownField
from riskgraph.core.sensitive import (
    CATEGORIES,
    Category,
    category_of_name,
    category_of_value,
    is_sensitive,
)
from riskgraph.core.table import OrderTable
from riskgraph.eval.worlds.schema import all_order_types, outcome_types
from riskgraph.eval.worlds.writer import write_manifest
from riskgraph.releasing import open_source, table_of
from riskgraph.sandbox import (
    Policy,
    ReleaseRequest,
    admit,
    check_fields,
    search_values,
    verify_audit,
    write_release,
)
from riskgraph.sandbox.intake import microseconds, rejected_names
from riskgraph.settings import Settings

UNTIL = date(2026, 6, 30)
REQUEST = ReleaseRequest(until=UNTIL, seed=1, provenance="simulated", now=0.0, code="test")
pytestmark = pytest.mark.usefixtures("one_sweep")


def test_exactly_the_catalogue_is_allowed() -> None:
    check_fields(catalog().components)


@pytest.mark.parametrize("name", ["religion", "B001.p50.ethnicity", "用户民族", "sexualOrientation"])
def test_a_sensitive_field_is_refused_by_name(name: str) -> None:
    with pytest.raises(SensitiveField, match=name) as caught:
        check_fields([*catalog().components, name])
    assert caught.value.field == name


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match=r"B001\.p99") as caught:
        check_fields([*catalog().components, "B001.p99"])
    assert caught.value.field == "B001.p99"


def test_an_error_tells_all_refused_names_sensitive_ones_first() -> None:
    with pytest.raises(SensitiveField) as caught:
        check_fields([*catalog().components, "B001.p99", "religion", "血型"])
    assert [r.as_dict() for r in rejected_names(caught.value)] == [
        {"name": "religion", "category": "religion_or_belief", "rule": "GDPR 9(1); PIPL 28", "count": 1},
        {"name": "血型", "category": "health", "rule": "GDPR 9(1); PIPL 28", "count": 1},
        {"name": "B001.p99", "category": "unknown", "rule": "allow-list", "count": 1},
    ]
    with pytest.raises(UnknownField) as unknown:
        check_fields([*catalog().components, "B001.p99", "x" * 500])
    first, second = rejected_names(unknown.value)
    assert (first.name, first.category, first.rule) == ("B001.p99", "unknown", "allow-list")
    assert len(second.name) == 60
    assert rejected_names(Invalid("wrong", field="B001")) == ()


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("nativeName", "racial_or_ethnic_origin"),
        ("name_in_native_script", "racial_or_ethnic_origin"),
        ("placeOfBirth", "racial_or_ethnic_origin"),
        ("母語", "racial_or_ethnic_origin"),
        ("姓名文字", "racial_or_ethnic_origin"),
        ("dietary_category", "religion_or_belief"),
        ("DietType", "religion_or_belief"),
        ("用户饮食禁忌", "religion_or_belief"),
        ("is_partisan", "political_opinion"),
        ("trade_union", "trade_union_membership"),
        ("工會會員", "trade_union_membership"),
        ("blood-pressure", "health"),
        ("慢性病史", "health"),
        ("體檢報告", "health"),
        ("genotype", "genetic_data"),
        ("face_template", "biometric_data"),
        ("步态特征", "biometric_data"),
        ("homosexual", "sex_life_or_orientation"),
        ("maritalStatus", "sex_or_family_status"),
        ("criminal_record", "criminal_offence"),
        ("hukou", "specific_identity"),
        ("is_minor", "child_data"),
        ("未成年人标记", "child_data"),
    ],
)
def test_special_categories_and_their_proxies_are_known_by_name(name: str, category: str) -> None:
    found = category_of_name(name)
    assert found is not None
    assert found.name == category
    assert found.rule


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda c: c.name)
def test_every_word_of_a_category_is_found_in_names_and_values(category: Category) -> None:
    for word in [*category.words.split(), *category.chinese.split()]:
        assert is_sensitive(word), word
        assert is_sensitive(word.replace("_", "").upper()), word
        assert category_of_value(f"{word} 5") is not None, word
    for word in [*category.values.split(), *category.chinese_values.split()]:
        assert not is_sensitive(word), word
        assert category_of_value(f"{word} 5") is not None, word


@pytest.mark.parametrize(
    "name",
    [
        "一流产品", "主流产品线", "整体检查", "知道教程", "方案底价", "首选民宿", "同步态", "本月经营额",
        "餐饮食品", "设备人群", "minor_version", "currency_minor_unit", "retina_display", "liveness_probe",
        "sector", "section", "script_version", "native_app", "country_of_origin", "birthday_coupon",
        "unit_price", "grace_days", "patient_wait_ms", "已婚纱照", "wheelchair_accessible", "liveness",
        "未成年人模式", "cookies_disabled", "jsDisabled", "orientation", "screen_orientation", "店铺健康度",
        "人工会话", "提前科普",
    ],
)  # fmt: skip
def test_names_that_only_look_like_one_pass(name: str) -> None:
    assert not is_sensitive(name)


@pytest.mark.parametrize(
    "value", ["Union Square", "race car", "智能指纹锁", "民族风连衣裙", "disabled", " Disabled"]
)
def test_values_that_only_look_like_one_pass(value: str) -> None:
    assert category_of_value(value) is None


@pytest.mark.parametrize(
    "name", ["is_wheelchair_user", "customer_disabled", "工会会员", "民族", "未成年人标记"]
)
def test_names_beside_the_harmless_ones_are_still_refused(name: str) -> None:
    assert is_sensitive(name)


def test_a_proxy_is_not_said_to_be_listed() -> None:
    for name in ("nationality", "citizenship", "placeOfBirth", "国籍"):
        found = category_of_name(name)
        assert found is not None
        assert (found.name, found.rule) == ("racial_or_ethnic_origin", "proxy of GDPR 9(1)")


def test_no_name_of_the_catalogue_or_of_a_world_is_taken_for_special_data() -> None:
    nodes = [(n.id, n.name, n.name_zh, n.label_en, *n.words, *n.components) for n in catalog()]
    names = {name for node in nodes for name in node} | set(catalog().components)
    names |= {*all_order_types(), *outcome_types()}
    assert sorted(filter(is_sensitive, names)) == []


def test_values_are_counted_by_field_and_category_and_not_repeated() -> None:
    texts = {
        "items.category": {"清真食品": 3, "Halal meat": 2, "toys": 90, "HIV self-test": 1},
        "region": {"Church Street": 4, "north": 5},
        "order_id": {"A-": 100},
    }
    found = [r.as_dict() for r in search_values(texts)]
    special = "GDPR 9(1); PIPL 28"
    assert found == [
        {"name": "items.category", "category": "health", "rule": special, "count": 1},
        {"name": "items.category", "category": "religion_or_belief", "rule": special, "count": 5},
        {"name": "region", "category": "religion_or_belief", "rule": special, "count": 4},
    ]
    told = str(found)
    assert not any(text in told for counts in texts.values() for text in counts)


def test_an_order_table_carries_no_text_but_ids_and_availability(world: OrderTable) -> None:
    kinds = {f.name: getattr(world, f.name).dtype.kind for f in dataclasses.fields(world)}
    assert {name for name, kind in kinds.items() if kind not in "biuf"} == {"order_id", "availability"}


def test_no_text_of_the_orders_stands_in_a_release_or_its_audit(
    make_world: Callable[..., OrderTable], signer: Any, tmp_path: Path
) -> None:
    table = make_world(3, 3_000, 900, 900, 300)
    ids = np.array([f"清真{i}HIVpositive" for i in range(len(table))], dtype=object)
    named = dataclasses.replace(table, order_id=ids)
    log = tmp_path / "audit.jsonl"
    lines: list[str] = []
    found = search_values({"order_id": dict.fromkeys(ids.tolist(), 1)})
    made = write_release(
        named,
        tmp_path / "named",
        REQUEST,
        signer,
        audit_log=log,
        found=found,
        tell=lines.append,
        policy=Policy.default(),
    )
    plain = write_release(table, tmp_path / "plain", REQUEST, signer, policy=Policy.default())
    for path in [*made.path.iterdir(), log]:
        data = path.read_bytes()
        assert b"HIVpositive" not in data
        assert "清真".encode() not in data
    for file in made.path.glob("*.parquet"):
        assert file.read_bytes() == (plain.path / file.name).read_bytes()
    (record,) = verify_audit(log, signer)
    assert record["fields"]["rejected"] == []
    (entry,) = record["fields"]["found"]
    assert (entry["name"], entry["count"]) == ("order_id", len(table) - len(table) % 50)
    assert f"{len(table)} in order_id" in lines[-1]
    assert record["input"]["policy"]["version"] == Policy.default().version


def test_an_unlisted_availability_word_is_refused_and_not_repeated(
    make_world: Callable[..., OrderTable], signer: Any, tmp_path: Path
) -> None:
    table = make_world(2, 900, 300, 300, 150)
    words = table.availability.copy()
    words[3] = "HIVpositive/front_end"
    log = tmp_path / "audit.jsonl"
    with pytest.raises(Invalid, match="availability"):
        write_release(
            dataclasses.replace(table, availability=words),
            tmp_path / "r",
            REQUEST,
            signer,
            audit_log=log,
            policy=Policy.default(),
        )
    assert b"HIVpositive" not in log.read_bytes()
    (record,) = verify_audit(log, signer)
    assert record["event"] == "refusal"


def _world(folder: Path, provenance: str, place: str | None = "EU", **columns: list[str]) -> Path:
    """A world of one order, with further columns."""
    rows = {name: ["x"] for name in ("merchant_id", "order_id", "channel_code", "amount_currency")}
    place_of = pa.array([place], pa.string())
    times = pa.array([0], pa.timestamp("us", "UTC"))
    table = pa.table({**rows, "placed_at": times, "amount_value": [1.0], "jurisdiction": place_of, **columns})
    (folder / "observed").mkdir(parents=True)
    pq.write_table(table, folder / "observed" / "orders-00000.parquet")
    write_manifest(folder, {"provenance": provenance, "entities": {}, "counts": {}})
    return folder


def _read(world: Path, home: Settings) -> None:
    source = open_source(world, until=UNTIL, k=50, seed=1, settings=home, progress=lambda *_: None)
    table_of(source, bootstrap.open_door(home), lambda *_: None)


def _refuse(world: Path, home: Settings, error: type[Invalid], match: str) -> dict[str, Any]:
    """The record of a world that is refused before its orders are grouped."""
    with pytest.raises(error, match=match):
        _read(world, home)
    (record,) = verify_audit(log_path(home), bootstrap.open_verifier(home))
    assert (record["event"], record["verdict"]) == ("refusal", "refused")
    assert set(record["legal_basis"].values()) == {None}
    return record


@pytest.mark.parametrize("provenance", ["merchant", "simulated"])
def test_a_world_refused_for_names_of_columns_is_on_record_with_all_of_them(
    tmp_path: Path, provenance: str
) -> None:
    home = bootstrap.simulated_settings(tmp_path / "home")
    world = _world(tmp_path / "w", provenance, loyalty_tier=["v"], dietary_category=["v"])
    record = _refuse(world, home, SensitiveField, "dietary_category.*refused with it: loyalty_tier")
    special = {"category": "religion_or_belief", "rule": "GDPR 9(1); PIPL 28", "count": 1}
    assert record["fields"]["rejected"] == [
        {"name": "dietary_category", **special},
        {"name": "loyalty_tier", "category": "unknown", "rule": "allow-list", "count": 1},
    ]


def test_a_world_with_an_unknown_column_is_refused_and_on_record(tmp_path: Path) -> None:
    home = bootstrap.simulated_settings(tmp_path / "home")
    record = _refuse(_world(tmp_path / "w", "merchant", tier=["v"]), home, UnknownField, "column tier is not")
    assert [field["name"] for field in record["fields"]["rejected"]] == ["tier"]


@pytest.mark.parametrize("place", [None, "HIVpositive"])
def test_an_order_that_states_no_known_law_is_refused_on_record_and_not_repeated(
    tmp_path: Path, place: str | None
) -> None:
    home = bootstrap.simulated_settings(tmp_path / "home")
    record = _refuse(_world(tmp_path / "w", "merchant", place), home, Invalid, "jurisdiction")
    assert "jurisdiction" in record["refused_reasons"][0]["message"]
    assert "HIVpositive" not in str(record)


def test_a_wrong_training_table_is_refused_on_record(tmp_path: Path) -> None:
    home = bootstrap.simulated_settings(tmp_path / "home")
    (tmp_path / "m.toml").write_text(bootstrap.example_merchant() + "\n[training.US]\n", "utf-8")
    home = dataclasses.replace(home, merchant=tmp_path / "m.toml")
    record = _refuse(_world(tmp_path / "w", "merchant"), home, Invalid, "training.US")
    assert record["refused_reasons"][0]["message"] == "refused at training.US"


def test_a_missing_or_moved_field_is_refused() -> None:
    with pytest.raises(Invalid, match="missing"):
        check_fields(catalog().components[1:])
    with pytest.raises(Invalid, match="catalogue order"):
        check_fields(reversed(catalog().components))


def test_rows_are_dropped_once_each_under_the_first_reason(world: OrderTable) -> None:
    placed, label = world.placed_at.copy(), world.label.copy()
    consent = world.training_consent.copy()
    consent[:10] = False
    placed[5:25] = microseconds(UNTIL - timedelta(days=69))
    label[20:40] = -1
    table = dataclasses.replace(world, placed_at=placed, label=label, training_consent=consent)
    intake = admit(table, until=UNTIL, policy=Policy.default())
    assert intake.dropped == {
        "objected": 0,
        "no_consent": 10,
        "barred": 0,
        "too_recent": 15,
        "unlabelled": 15,
    }
    assert intake.rows.tolist() == list(range(40, len(world)))


def test_an_order_of_exactly_70_days_ago_counts_and_a_later_one_does_not(world: OrderTable) -> None:
    edge = microseconds(UNTIL - timedelta(days=70))
    placed = np.where(np.arange(len(world)) % 2 == 0, edge, edge + 1)
    intake = admit(dataclasses.replace(world, placed_at=placed), until=UNTIL, policy=Policy.default())
    assert intake.rows.tolist() == list(range(0, len(world), 2))


def test_values_outside_their_public_bounds_are_clipped_and_counted(world: OrderTable) -> None:
    place = catalog().component_index["B110.value"]
    values = world.components.copy()
    row = int(np.flatnonzero(~np.isnan(values[:, place]))[0])
    values[row, place] = 99
    intake = admit(dataclasses.replace(world, components=values), until=UNTIL, policy=Policy.default())
    assert intake.clipped == 1
    assert intake.values[row, place] == 4


def test_a_value_on_a_refused_node_is_an_error_that_names_the_component(world: OrderTable) -> None:
    place = catalog().component_index["B085.value"]
    values = world.components.copy()
    row = int(np.flatnonzero(world.states[:, catalog()["B085"].index] == 3)[0])
    values[row, place] = 1
    with pytest.raises(Invalid, match=r"B085\.value"):
        admit(dataclasses.replace(world, components=values), until=UNTIL, policy=Policy.default())


def test_a_present_node_without_a_value_is_an_error_that_names_the_node(world: OrderTable) -> None:
    node = catalog()["B110"]
    values = world.components.copy()
    row = int(np.flatnonzero(world.states[:, node.index] == 0)[0])
    values[row, catalog().component_slices[node.index]] = np.nan
    with pytest.raises(Invalid, match="B110"):
        admit(dataclasses.replace(world, components=values), until=UNTIL, policy=Policy.default())
