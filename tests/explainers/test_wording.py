"""Words for nodes and reasons: complete, in both languages, and never about what is absent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.catalog import Form, catalog
from riskgraph.core.report import Reason
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.texts import language, table
from riskgraph.explainers.values import class_word, label, number, quantity, spaced, told, value_text
from riskgraph.explainers.wording import NODE_TABLES, fact_text, reason_text
from tests.explainers.helpers import random_subgraph, some_record
from tests.explainers.test_wording_checklist import told_values


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, str]]]:
    """Every bilingual entry of a data table."""
    if isinstance(value, list):
        for i, part in enumerate(value):
            yield from leaves(part, f"{path}[{i}]")
    elif isinstance(value, Mapping):
        if "zh" in value or "en" in value:
            yield path, value
        else:
            for key, part in value.items():
                yield from leaves(part, f"{path}.{key}")


@pytest.mark.parametrize(
    "name", ["texts", "wording", "law", *(f"reasons/{n}" for n in (*NODE_TABLES, "pairs"))]
)
def test_every_entry_has_chinese_and_english_with_the_same_placeholders(name: str) -> None:
    entries = list(leaves(table(name)))
    assert len(entries) > 15
    for path, entry in entries:
        assert entry.get("zh"), path
        assert entry.get("en"), path
        slots = [set(re.findall(r"\{(\w+)\}", entry[lang])) for lang in ("zh", "en")]
        assert slots[0] == slots[1], path


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_node_has_a_label_of_its_own(lang: str) -> None:
    assert list(table("wording")["labels"]) == [node.id for node in catalog()]
    assert len({label(node, lang) for node in catalog()}) == 137


def test_chinese_labels_have_no_latin_letters_and_no_words_of_the_trade() -> None:
    trade = "[A-Za-z]|概要|分布|指数|熵|事件|栈|跳数|环路|同源|扰动|突增|急动|离散|偏离|凭据|字段|会话|接码"
    assert [node.id for node in catalog() if re.search(trade, label(node, "zh"))] == []
    assert re.search(trade, "UA 与客户端提示一致")
    assert re.search(trade, "买卖同源环")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_each_value_that_a_shopper_reads_says_what_it_counts(lang: str) -> None:
    bare = re.compile(r"^[\d.,<>−-]+$|毫秒|弧度|比特|\d (ms|rad|px|bits|s|min)\b")
    for node in catalog():
        shown = [spaced(value_text(node, value, lang), lang) for value in told_values(node)]
        assert [text for text in shown if bare.search(text)] == [], node.id
        assert [text for text in shown if re.search(r"[\u4e00-\u9fff] [\u4e00-\u9fff]| {2}", text)] == [], (
            node.id
        )


@pytest.mark.parametrize(
    ("key", "value", "lang", "text"),
    [
        ("B003", 2, "en", "2 pages"),
        ("B008", 0.0, "en", "0 seconds"),
        ("B073", 1800.0, "zh", "1.8 秒"),
        ("B125", -30.0, "en", "0.03 seconds less"),
        ("B125", 30.0, "zh", "多 0.03 秒"),
        ("B066", False, "zh", "相符"),
        ("B066", True, "en", "did not match"),
    ],
)
def test_a_shopper_reads_values_in_everyday_words(key: str, value: Any, lang: str, text: str) -> None:
    node = catalog()[key]
    assert spaced(value_text(node, OrderSubgraph.build({key: value}, {}).value(key), lang), lang) == text


def test_compliance_reads_what_was_measured() -> None:
    assert "弧度" in value_text(catalog()["B017"], told_values(catalog()["B017"])[0], "zh", exact=True)
    assert value_text(catalog()["B003"], 2.0, "en", exact=True) == "2"


@pytest.mark.parametrize("node", [n for n in catalog() if n.form is Form.CLASS], ids=lambda n: n.id)
def test_every_class_word_is_translated(node: Any) -> None:
    for word in node.words:
        assert class_word(node, word, "zh")
        assert class_word(node, word, "en")


def test_an_account_that_shares_nothing_is_told_so() -> None:
    alone = {"density": 0.0, "component_size_log2": 0.0, "shared_kinds": 0}
    for value, words in (
        (alone, "was not found to share"),
        ({**alone, "shared_kinds": 1}, "were considered"),
    ):
        assert words in fact_text("B134", OrderSubgraph.build({"B134": value}, {}), "en")


@pytest.mark.parametrize(("count", "tail"), [(1, "so this"), (2, "this also"), (3, "these also")])
def test_a_reason_tells_every_fact_that_it_names(count: int, tail: str) -> None:
    values = {"B095": True, "B123": "proxy", "B064": 2}
    nodes = tuple(values)[:count]
    reason = Reason("new_device_first_login", nodes, "risk", "strong", 0.9)
    text = reason_text(reason, OrderSubgraph.build(values, {}), "en")
    assert [fact_text(n, OrderSubgraph.build(values, {}), "en") in text for n in values] == [
        n in nodes for n in values
    ]
    assert tail in text


def test_a_reason_says_why_its_leading_pair_counted_and_then_tells_the_rest() -> None:
    values = {"B095": True, "B114": 0.0, "B123": "proxy"}
    code = "new_device_first_login_with_address_freshness"
    reason = Reason(code, tuple(values), "risk", "strong", 0.9)
    assert reason_text(reason, OrderSubgraph.build(values, {}), "en") == (
        "This is the first order of your account from this device. "
        "Your account uses this delivery address for the first time. "
        "An order with a new device and a new address is harder to confirm, "
        "so this raised the assessed risk. "
        "You ordered through a proxy or VPN. Counted together with that, "
        "this also raised the assessed risk. "
        "You can confirm the address by SMS or with a person."
    )


def test_a_fact_beside_the_far_address_is_told_after_it() -> None:
    subgraph = OrderSubgraph.build({"B110": "km1000", "B085": "unavailable", "B114": 0.0}, {})
    reason = Reason("far_address_location_unconfirmed", ("B110", "B085", "B114"), "risk", "strong", 0.9)
    text = reason_text(reason, subgraph, "en")
    assert text.startswith("The delivery address is far")
    assert "Your account uses this delivery address for the first time. Counted together with that" in text


def test_the_far_address_is_worded_in_both_languages_without_a_distance() -> None:
    subgraph = OrderSubgraph.build({"B110": "km1000", "B085": "unavailable"}, {})
    reason = Reason("far_address_location_unconfirmed", ("B110", "B085"), "risk", "strong", 0.9)
    english, chinese = (reason_text(reason, subgraph, lang) for lang in ("en", "zh"))
    assert english.startswith(
        "The delivery address is far from your usual addresses, and the paying device's"
    )
    assert chinese.startswith("本次收货地址与您常用地址相距较远，且本次付款设备的位置无法确认")
    assert not re.search(r"\d", english + chinese)


def test_a_pair_is_told_as_two_facts_and_why_they_counted_together() -> None:
    subgraph = OrderSubgraph.build({"B093": 3.0, "B094": 5.0}, {})
    code = "credential_change_recency_with_login_failure_burst"
    assert reason_text(Reason(code, ("B093", "B094"), "risk", "strong", 0.5), subgraph, "en") == (
        "Your login or contact details were changed 3 hours before the order. "
        "Login to your account failed 5 times in the day before the order. "
        "The system has learned to count this mix of account changes and logins as riskier than the two "
        "taken singly, so this raised the assessed risk."
    )


def test_a_pair_without_words_of_its_own_is_told_as_two_facts_that_counted_together() -> None:
    subgraph = OrderSubgraph.build({"B002": "search", "B092": "y3"}, {})
    reason = Reason(
        "session_entry_channel_with_account_age_bucket", ("B002", "B092"), "relief", "slight", 0.1
    )
    assert reason_text(reason, subgraph, "en") == (
        "You came to the shop from a search. Your account was opened over three years before the order. "
        "The system has learned to count these two together as less risky than taken singly, "
        "so this lowered the assessed risk."
    )


def test_a_pair_that_corrects_two_risks_is_said_to_count_for_less_and_not_to_be_well() -> None:
    subgraph = OrderSubgraph.build({"B123": "datacenter", "B126": False}, {})
    code = "ip_network_class_with_http_stack_consistency"
    relief = Reason(code, ("B123", "B126"), "relief", "moderate", 0.2)
    assert reason_text(relief, subgraph, "en") == (
        "Your network belongs to a data centre. "
        "The connection does not fit the browser that the device states. "
        "The system has learned to count this mix of network type and connection as less risky than the two "
        "taken singly, so this lowered the assessed risk."
    )
    assert reason_text(relief, subgraph, "zh") == (
        "您的网络属于数据中心。网络连接的特征与设备所报的浏览器不符。"
        "系统从以往订单学到，网络类型与连接特征的这种组合比两项分别看时风险更低，因此降低了系统评估的风险。"
    )


def test_a_value_without_a_circumstance_is_told_by_what_was_learned_of_it() -> None:
    subgraph = OrderSubgraph.build({"B120": 1.0}, {})
    relief = Reason("refund_rate_180d", ("B120",), "relief", "slight", 0.1)
    assert reason_text(relief, subgraph, "en") == (
        "All of your account's orders of the past half year were refunded. The system has learned from past "
        "orders to count such a share of refunds as a good sign, so this lowered the assessed risk."
    )


def test_relief_says_that_the_risk_was_lowered_and_why() -> None:
    subgraph = OrderSubgraph.build({"B092": "y3"}, {})
    text = reason_text(Reason("account_age_bucket", ("B092",), "relief", "strong", 0.5), subgraph, "zh")
    assert text == (
        "您的账户在下单三年以前注册。使用已久的账户有以往记录可供参考，因此降低了系统评估的风险。"
    )


def test_what_may_not_count_alone_is_said_to_have_counted_with_other_facts() -> None:
    subgraph = OrderSubgraph.build({"B077": "phone"}, {})
    text = reason_text(Reason("device_class", ("B077",), "risk", "slight", 0.1), subgraph, "en")
    assert text.endswith("is ordinary, but together with other facts it raised the assessed risk.")


def test_what_was_never_seen_before_is_told_as_that() -> None:
    new = {"accounts_24h": 0, "accounts_30d": 0, "orders_1h": 0, "orders_30d": 0}
    subgraph = OrderSubgraph.build({"B131": new}, {})
    assert fact_text("B131", subgraph, "en") == "There are no earlier orders from this device on record."


def test_an_absent_node_cannot_be_stated_as_a_fact() -> None:
    with pytest.raises(ValueError, match="absent"):
        fact_text("B085", OrderSubgraph.build({}, {}), "en")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_every_fact_of_every_order_is_a_sentence_without_a_placeholder(seed: int) -> None:
    subgraph = random_subgraph(seed, 1.0)
    for node in catalog():
        for lang, stop in (("zh", "。"), ("en", ".")):
            text = fact_text(node.id, subgraph, lang)
            assert text.endswith(stop), text
            assert "{" not in text
            assert "nan" not in text


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_reason_says_the_same_whatever_its_share_and_prints_no_node_id(seed: int) -> None:
    record = some_record(seed)
    subgraph = OrderSubgraph.unpack(record.subgraph)
    for reason in (*record.reasons, *record.mitigating):
        text = reason_text(reason, subgraph, "en")
        assert not re.search(r"\bB\d{3}\b", text)
        assert reason_text(replace(reason, share=reason.share / 2, band="slight"), subgraph, "en") == text


@pytest.mark.parametrize(
    ("key", "value", "lang", "text"),
    [
        ("B010", 130.0, "en", "2.2 minutes"),
        ("B010", 0.4, "zh", "不到 1 秒"),
        ("B087", 4.0, "zh", "不到 0.01 秒"),
        ("B099", 1.0, "en", "24 hours"),
        ("B099", 730.5, "en", "2 years"),
        ("B093", 1.0, "zh", "60 分钟"),
        ("B064", 1, "en", "once"),
        ("B064", 2, "en", "twice"),
        ("B064", 3, "en", "3 times"),
        ("B103", 0.996, "en", "over 99%"),
        ("B103", 0.001, "zh", "不到 1%"),
        ("B122", -0.35, "en", "35%"),
        ("B027", 0.42, "en", "42%"),
        ("B003", 1, "en", "1 page"),
    ],
)
def test_a_sentence_tells_a_value_in_everyday_units(key: str, value: float, lang: str, text: str) -> None:
    assert told(catalog()[key], value, lang) == text


@given(
    value=st.floats(0, 1e6, allow_nan=False),
    key=st.sampled_from([n.id for n in catalog() if n.form is Form.NUMBER]),
)
def test_no_value_in_a_sentence_is_scientific_or_longer_than_a_phrase(value: float, key: str) -> None:
    for lang in ("zh", "en"):
        text = told(catalog()[key], value, lang)
        assert not re.search(r"\de|inf|nan", text)
        assert len(text) < 30


@pytest.mark.parametrize(
    ("value", "unit", "lang", "text"),
    [
        (0.32, "0-1", "en", "32%"),
        (30.0, "s", "zh", "30 秒"),
        (600.0, "s", "en", "10 min"),
        (1.0, "h", "en", "1 hour"),
        (0.5, "h", "zh", "30 分钟"),
        (72.0, "h", "en", "3 days"),
        (12_000.0, "ms", "en", "12 s"),
        (5.0, "n", "zh", "5 次"),
    ],
)
def test_values_carry_readable_units(value: float, unit: str, lang: str, text: str) -> None:
    assert quantity(value, unit, lang) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (1e-9, "<0.01"), (1234.5, "1,234"), (-12.34, "-12.3")]
)
def test_numbers_are_never_scientific(value: float, text: str) -> None:
    assert number(value) == text


def test_counts_about_others_are_for_compliance_only() -> None:
    node, value = catalog()["B131"], {"accounts_30d": 9.0}
    assert "9" not in value_text(node, value, "en")
    assert value_text(node, value, "en", exact=True) == "accounts in 30 days 9"


@pytest.mark.parametrize(("tag", "lang"), [("zh-CN", "zh"), ("ZH", "zh"), ("de", "en"), (None, "en")])
def test_language_tags_fall_back_to_english(tag: str | None, lang: str) -> None:
    assert language(tag) == lang


def test_values_that_tell_of_other_people_are_withheld():
    parcels = {"B116": 2.0, "B117": "locker", "B118": True, "B122": -0.4}
    linked = {"B134": {"density": 0.5}, "B135": {"share_24h": 0.1}, "B137": True}
    told = {"B112": 0.75, **parcels, **linked}
    for node_id, value in told.items():
        node = catalog()[node_id]
        for lang in ("zh", "en"):
            assert value_text(node, value, lang) == table("wording")["words"]["withheld"]["linked"][lang]
            fact = fact_text(node_id, OrderSubgraph.build({node_id: value}, {}), lang)
            assert not any(character.isdigit() for character in fact)
    assert "below" in value_text(catalog()["B130"], -3.0, "en")


@pytest.mark.parametrize(("who", "asked"), [("same", False), ("known", True), ("new", True)])
def test_nobody_is_asked_how_they_know_themselves(who: str, asked: bool) -> None:
    subgraph = OrderSubgraph.build({"B100": who}, {})
    for lang, hint in (("en", "how you know the recipient"), ("zh", "收货人与您的关系")):
        assert (hint in reason_text(Reason("c", ("B100",), "risk", "slight", 0.1), subgraph, lang)) is asked
