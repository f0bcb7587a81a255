"""Orders are checked field by field, and nothing raw passes the door."""

from __future__ import annotations

import copy
import json
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.catalog import catalog
from riskgraph.core.door import Door, address_normality
from riskgraph.core.errors import Invalid, RiskgraphError, SensitiveField
from riskgraph.core.order import parse_order, parse_outcome
from riskgraph.core.schema import decision_request_schema
from riskgraph.core.sensitive import is_sensitive
from riskgraph.core.subgraph import State

GOLDEN_FOLDER = Path(__file__).parents[1] / "golden"
ORDER = json.loads((GOLDEN_FOLDER / "order.json").read_text())
DOOR = Door(b"k" * 32)


def changed(path: str, value):
    body = copy.deepcopy(ORDER)
    *parents, last = path.split(".")
    target = body
    for part in parents:
        target = target[int(part)] if part.isdigit() else target[part]
    if value is None:
        target.pop(last, None)
    else:
        target[last] = value
    return body


def test_the_golden_order_parses():
    order = parse_order(ORDER, DOOR)
    assert order.trace_id == "A-1001.own_web.eeccde367917"
    assert order.cell == (302, 1201)
    assert order.entities.phone_class == "mobile"
    assert order.entities.address_normality == 1.0
    assert order.signals["B096"] == "sms_code"
    assert order.coupons[0].kind == "new_customer"


def test_nothing_raw_is_left_after_the_door():
    order = parse_order(ORDER, DOOR)
    text = repr([getattr(order, f.name) for f in fields(order)])
    for raw in ("u-88", "d-1'", "tok-3", "文三路", "13800000000", "203.0.113", "NEW30", "120.1,"):
        assert raw not in text


def test_another_key_gives_other_hashes():
    mine, other = parse_order(ORDER, DOOR), parse_order(ORDER, Door(b"o" * 32))
    assert {d for _, d in mine.entities.items()}.isdisjoint(d for _, d in other.entities.items())


def test_spelling_noise_in_an_address_changes_neither_hash_nor_bands():
    noisy = "浙江省 杭州市，西湖区 文三路 100 号"
    first, again = Door(DOOR.key), Door(DOOR.key)
    assert first.address(noisy) == again.address(ORDER["entities"]["address"])


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("merchant_id", None, "merchant_id"),
        ("order_id", "", "order_id"),
        ("placed_at", "yesterday", "placed_at"),
        ("placed_at", "2026-11-11T12:03:04", "placed_at"),
        ("amount", None, "amount"),
        ("amount.value", "12,00", "amount.value"),
        ("amount.value", "-1", "amount.value"),
        ("amount.currency", None, "amount.currency"),
        ("jurisdiction", "US", "jurisdiction"),
        ("phase", "later", "phase"),
        ("attempt", 0, "attempt"),
        ("attempt", True, "attempt"),
        ("items", {}, "items"),
        ("items.0.sku", None, "items[0].sku"),
        ("items.0.quantity", 1.5, "items[0].quantity"),
        ("coupons.0.kind", "gift", "coupons[0].kind"),
        ("ship_to.lat", 91, "ship_to.lat"),
        ("ship_to.lat", float("nan"), "ship_to.lat"),
        ("entities.card_bin", "6228", "entities.card_bin"),
        ("entities.account", None, "entities.account"),
        ("consent.purposes.behavior", "yes", "consent.purposes.behavior"),
        ("consent.purposes.ads", True, "consent.purposes.ads"),
        ("consent.objected", "yes", "consent.objected"),
        ("signals.B999", 1, "signals.B999"),
        ("signals.B131", {}, "signals.B131"),
        ("signals.B096", "qr", "signals.B096"),
        ("absent.B071", "refused", "absent.B071"),
        ("absent.B001", "gone", "absent.B001"),
        ("promo_thresholds", ["x"], "promo_thresholds[0].value"),
        ("timeout_ms", 5, "timeout_ms"),
        ("late", "yes", "late"),
        ("amount.currency", "rmb", "amount.currency"),
        ("items.0.health_note", "x", "items[0].health_note"),
    ],
)
def test_a_wrong_field_is_named(path, value, field):
    with pytest.raises(Invalid) as refused:
        parse_order(changed(path, value), DOOR)
    assert refused.value.field == field


def test_a_guest_needs_a_guest_key_instead_of_an_account():
    body = changed("entities.account", None) | {"guest_key": "g-1"}
    assert parse_order(body, DOOR).guest


def test_a_refused_purpose_drops_its_nodes_and_records_the_refusal():
    order = parse_order(changed("consent.purposes.behavior", False), DOOR)
    for node in catalog():
        if node.purpose == "behavior":
            assert node.id not in order.signals
            assert order.absent[node.id] is State.REFUSED


def test_a_purpose_nobody_asked_for_drops_its_nodes_as_not_delivered():
    order = parse_order(changed("consent.purposes.behavior", None), DOOR)
    assert order.absent["B033"] is State.NOT_DELIVERED


def test_a_refused_device_purpose_leaves_no_device_entity():
    order = parse_order(changed("consent.purposes.device", False), DOOR)
    assert order.entities.device is None
    assert order.absent["B131"] is State.REFUSED


@pytest.mark.parametrize(
    "name",
    [
        "race", "Religion", "shopper_ethnicity", "healthStatus", "HEALTH-STATUS", "民族", "用户宗教信仰",
        "political_view", "unionMembership", "marital_status", "ｒａｃｅ", "disabilities", "zongjiao",
        "r_a_c_e", "trade_union", "party_member", "PoliticalParties", "nationalities", "国籍", "國籍",
        "籍贯", "客户肤色", "膚色", "skin_color", "skinColour", "shopperSkinTone", "skincolor", "血型",
        "blood_type", "bloodGroups", "指纹", "病歷", "過敏史", "少數民族", "户口所在地",
        "philosophical_beliefs",
        "is_muslim", "dna", "vaccinated", "faceprint", "voiceprints", "third_party_religion",
        "union_id_race", "设备指纹与民族",
    ],
)  # fmt: skip
def test_a_field_name_that_asks_for_special_data_is_refused_at_any_depth(name):
    body = changed("items", [ORDER["items"][0] | {"extra": [{name: "x"}]}])
    with pytest.raises(SensitiveField) as refused:
        parse_order(body, DOOR)
    assert name in refused.value.field


@pytest.mark.parametrize(
    "name",
    [
        "trace_id", "traceId", "brace", "grace_period", "embrace", "sexton", "账户", "address",
        "third_party", "thirdPartySeller", "3rd_party", "third_parties", "counterparty", "buyer_party",
        "party_id", "PartySize", "union_id", "unionId", "unionID", "unionid", "openid_union_id", "UnionPay",
        "union_pay_card", "jd_union", "western_union", "communion", "reunion", "unisex", "uni_sex",
        "screen_orientation", "device_fingerprint", "deviceFingerprintId", "card_fingerprint",
        "设备指纹", "浏览器指紋", "health_check", "healthcheck", "iri", "gift_denomination", "status",
        "用户口味", "账户口令", "客户口碑", "员工会员", "达人种草", "当前科目", "是否通过敏感词",
    ],
)  # fmt: skip
def test_names_that_only_contain_such_a_word_pass(name):
    assert not is_sensitive(name)


def test_no_name_of_riskgraphs_own_is_taken_for_special_data():
    def names(value):
        if isinstance(value, dict):
            yield from value
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from names(inner)

    own = {*names(decision_request_schema()), *names(ORDER), *catalog().components}
    own |= {node.name for node in catalog()} | {node.name_zh for node in catalog()}
    assert [name for name in sorted(own) if is_sensitive(name)] == []


def test_sensitive_values_do_not_stop_a_checkout():
    body = changed("items.0.sku", "清真牛肉") | {"note": "ship to Church Street"}
    assert parse_order(body, DOOR).order_id == "A-1001"


def test_attempts_and_phases_share_the_order_key():
    one, two = parse_order(ORDER, DOOR), parse_order(changed("attempt", 2), DOOR)
    assert one.key == two.key


@pytest.mark.parametrize("text", ["+8613800000000", "008613800000000", "138 0000 0000"])
def test_every_spelling_of_a_phone_number_is_one_entity(text):
    assert DOOR.phone(text) == DOOR.phone("13800000000")
    assert DOOR.phone_class(text, "CN") == "mobile"


@pytest.mark.parametrize(("text", "kind"), [("+14155550100", "foreign"), ("01088888888", "landline")])
def test_other_numbers_keep_their_class(text, kind):
    assert DOOR.phone_class(text, "CN") == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [("+353871234567", "mobile"), ("004915112345678", "mobile"), ("+447911123456", "foreign")],
)
def test_an_eu_number_is_one_of_a_country_where_the_gdpr_applies(text, kind):
    assert DOOR.phone_class(text, "EU") == kind


def test_free_text_in_an_outcome_is_dropped_and_a_code_is_kept():
    body = json.loads((GOLDEN_FOLDER / "outcome.json").read_text())
    assert parse_outcome(body).reason == "not_received"
    assert parse_outcome(body | {"reason": "she called from 138..."}).reason is None


def test_a_foreign_address_has_no_chinese_normality():
    assert address_normality("10 Downing Street, London") is None


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(ORDER)), json_values)
def test_any_value_in_any_field_gives_an_order_or_a_named_error(key, value):
    refused = None
    try:
        parse_order(ORDER | {key: value}, DOOR)
    except RiskgraphError as error:
        refused = error
    assert refused is None or refused.field


def test_the_golden_outcome_parses_and_unknown_kinds_do_not():
    body = json.loads((GOLDEN_FOLDER / "outcome.json").read_text())
    assert parse_outcome(body).order_key == "m-17|own_web|A-1001"
    with pytest.raises(Invalid) as refused:
        parse_outcome(body | {"kind": "vanished"})
    assert refused.value.field == "kind"
