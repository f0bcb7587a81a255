"""A checklist over every text of a reason: nodes and pairs, both directions, both languages, each variant."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import pytest

from riskgraph.core.catalog import BIN_COUNT, Form, NodeSpec, catalog
from riskgraph.core.report import Reason
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.texts import LANGUAGES, table
from riskgraph.explainers.values import concerns_others, label, told, value_text
from riskgraph.explainers.wording import (
    NODE_TABLES,
    fact_text,
    node_table,
    read_tables,
    reason_text,
    variants,
    why,
)

DIRECTIONS = ("risk", "relief")
RAISED, LOWERED = {"zh": "提高了", "en": " raised "}, {"zh": "降低了", "en": " lowered "}
# No accusation; no guess at who someone is; no inside of the model; no word on how to pass.
FORBIDDEN = {
    "zh": "欺诈 诈骗 骗 可疑 嫌疑 怀疑 盗 作弊 虚假 造假 伪造 冒充 冒用 恶意 异常 黑产 羊毛 团伙 犯罪 违法 "
    "违规 机器人 外挂 残疾 残障 障碍 读屏 健康 疾病 年龄 老人 老年 未成年 性别 民族 国籍 种族 宗教 籍贯 "
    "权重 阈值 门槛 界限 分数 得分 评分 概率 模型 (?<!邀)请 建议 下次 避免 应当 应该 务必 才能通过",
    "en": r"fraud\w* scam\w* suspicio\w* suspect\w* stol\w+ steal\w* thie\w+ cheat\w* fake\w* forg\w+ "
    r"malicious abus\w+ anomal\w+ abnormal\w* gangs? crim\w+ illegal\w* bots? robots? disab\w+ impair\w+ "
    r"blind\w* assistive accessib\w+ health\w* illness\w* age aged elderly young gender race ethnic\w* "
    r"national\w* religio\w* foreigner\w* weight\w* thresholds? scores? scoring probabilit\w+ models? please "
    r"should must avoid next instead try",
}
# How often something happens or goes wrong: a term is what the system has learned, and no rate.
FREQUENCY = {
    "zh": r"(?<![平通])常(?!用)|多见|多数|大多|很少|往往|比例较|出问题|顺利完成|可能[越较]|比人更?[快慢]"
    r"|更[多少](?!可|。)",
    "en": r"\b(often|seldom|rare(ly)?|frequent\w*|common(ly)?|most people|tends? to|likel\w+"
    r"|(go|goes|went) (wrong|well)|(less|more|faster|slowly) than (people|programs)|copy (more|less))\b",
}
# Sentences of earlier releases, each of which said how often.
CLAIMS = {
    "zh": [
        "这样的浏览时长在后来出问题的订单中更常见",
        "从这一入口进店的订单，出问题的比例较高",
        "网络类型与连接特征的这种组合多见于顺利的订单",
        "没有记录的设备也多见于顺利完成的订单",
        "程序比人更少返回比较",
        "抢购时常同时打开更多结算页",
        "真实鼠标的移动常常成批到达",
        "模拟的设备很少出现多指触屏",
        "多数人自己输入姓名和电话",
        "长期使用的账户，资料往往更全",
        "写法越不相同，共用的可能越小",
        "人领券比程序慢，程序领券比人快",
        "为自己下单时，复制得更少",
    ],
    "en": [
        "Such reading times are seen more often in orders that later went wrong",
        "Orders that begin this way go wrong less often",
        "Orders with this mix of network type and connection went wrong less often",
        "Programs go back to compare less than people do",
        "Imitated devices seldom show several fingers at once",
        "Most people type their own name and number",
        "Searching for goods is a common way to shop",
        "People ordering for themselves copy less",
        "Programs act faster than people",
        "Accounts in use for long tend to have fuller profiles",
        "The less alike the spellings, the less likely it is shared",
    ],
}
LATIN = {"Tab", "VPN"}
SPACE = {"zh": "", "en": " "}
LONGEST = {"zh": (80, 100), "en": (240, 320)}


@dataclass(frozen=True)
class Text:
    nodes: tuple[str, ...]
    direction: str
    lang: str
    text: str
    filled: tuple[str, ...]

    def __str__(self) -> str:
        return f"{'+'.join(self.nodes)} {self.direction} {self.lang}: {self.text}"


def samples(node: NodeSpec) -> list[Any]:
    """Wire values that meet every variant of a node, and the ends of its range."""
    if node.form is Form.FLAG:
        return [True, False]
    if node.form is Form.CLASS:
        return list(node.words)
    if node.form is Form.HISTOGRAM:
        return [histogram(node, place) for place in (0, 4, 9, BIN_COUNT - 1)]
    if node.form is Form.CONTEXT:
        old = {name: 1.0 for name in node.components}
        new = {name: 0.0 for name in node.components if name not in ("days_since_last", "fraud_share")}
        return [old, new] + [old | {"accounts_30d": 3.0}] * ("accounts_30d" in old)
    if node.unit == "robust z":
        return [-9.0, 0.0, 9.0]
    low, high = node.bounds
    if node.kind == "count" and node.unit != "1/s":
        return [x for x in (0.0, 1.0, 2.0, 17.0, high) if low <= x <= high]
    return [
        x for x in (low, -0.35, 0.0, 0.004, 0.42, 0.996, 1.0, 2.0, 17.0, 9_000.0, high) if low <= x <= high
    ]


def histogram(node: NodeSpec, place: int) -> dict[str, Any]:
    one = {"n": 40, "bins": [40 * (i == place) for i in range(BIN_COUNT)]}
    return one if len(node.histograms) == 1 else {part.name: one for part in node.histograms}


@cache
def orders(key: str) -> list[OrderSubgraph]:
    """Orders on which nothing but one node is known."""
    return [OrderSubgraph.build({key: value}, {}) for value in samples(catalog()[key])]


def told_values(node: NodeSpec) -> list[Any]:
    return [order.value(node.id) for order in orders(node.id)]


@cache
def facts(key: str, lang: str) -> dict[tuple[str, ...], tuple[str, str]]:
    """By variants of a node: a fact, and the value that is filled in."""
    found = {}
    for order in orders(key):
        held = variants(catalog()[key], order.value(key))
        found.setdefault(held, (fact_text(key, order, lang), filled(key, order, lang)))
    return found


def filled(key: str, order: OrderSubgraph, lang: str) -> str:
    node, value = catalog()[key], order.value(key)
    by_variant = node_table()[key]["fact"]
    template = by_variant[next(name for name in variants(node, value) if name in by_variant)][lang]
    return told(node, value, lang) if "{" in template else ""


def node_texts() -> Iterator[Text]:
    for node, lang, direction in product(catalog(), LANGUAGES, DIRECTIONS):
        for order in orders(node.id):
            clause = why((node.id,), (variants(node, order.value(node.id)),), direction, lang)
            text = SPACE[lang].join((fact_text(node.id, order, lang), clause))
            yield Text((node.id,), direction, lang, text, (filled(node.id, order, lang),))


def pair_texts() -> Iterator[Text]:
    """Every pair with each variant of both nodes, at the first value that has it."""
    for pair, lang, direction in product(catalog().pairs, LANGUAGES, DIRECTIONS):
        ends = catalog().nodes[pair.a].id, catalog().nodes[pair.b].id
        for held in product(*(facts(key, lang) for key in ends)):
            told_facts, values = zip(
                *(facts(key, lang)[h] for key, h in zip(ends, held, strict=True)), strict=True
            )
            text = SPACE[lang].join((*told_facts, why(ends, held, direction, lang)))
            yield Text(ends, direction, lang, text, values)


NODE_TEXTS, PAIR_TEXTS = list(node_texts()), list(pair_texts())


def forbidden(lang: str) -> re.Pattern[str]:
    words = "|".join(FORBIDDEN[lang].split())
    return re.compile(words if lang == "zh" else rf"\b({words})\b", re.IGNORECASE)


def claims(lang: str, text: str) -> bool:
    return re.search(FREQUENCY[lang], text, re.IGNORECASE) is not None


def wrong(found: Iterator[Text]) -> list[str]:
    return sorted({str(text) for text in found})[:12]


def test_every_node_and_pair_has_both_directions_in_both_languages() -> None:
    seen = {(text.nodes, text.direction, text.lang) for text in (*NODE_TEXTS, *PAIR_TEXTS)}
    assert len({t for t in seen if len(t[0]) == 1}) == 548
    assert len(seen) == 548 + 4 * len(catalog().pairs)
    assert list(node_table()) == [node.id for node in catalog()]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("texts", [NODE_TEXTS, PAIR_TEXTS], ids=["nodes", "pairs"])
class TestEveryText:
    def test_accuses_nobody_guesses_nothing_and_gives_nothing_of_the_model_away(
        self, texts: list[Text], lang: str
    ) -> None:
        assert wrong(t for t in texts if t.lang == lang and forbidden(lang).search(t.text)) == []

    def test_claims_no_frequency(self, texts: list[Text], lang: str) -> None:
        assert wrong(t for t in texts if t.lang == lang and claims(lang, t.text)) == []

    def test_has_no_digit_but_those_of_its_own_value(self, texts: list[Text], lang: str) -> None:
        def rest(text: Text) -> str:
            left = text.text
            for value in text.filled:
                left = left.replace(value, "", 1)
            return left

        assert wrong(t for t in texts if t.lang == lang and re.search(r"\d", rest(t))) == []

    def test_is_complete_and_well_set(self, texts: list[Text], lang: str) -> None:
        flaw = (
            r"[{}]|nan|,(?!\d)|[;:!?()]|。。|，，|，。|[^。]$| {2}|[\u4e00-\u9fff]\d|^ | $"
            if lang == "zh"
            else r"[{}]|nan|[^\x20-\x7e]|\.\.|,,| {2}| [.,]|[^.]$|\. [a-z]|^[^A-Z]|\b1 \w+s\b"
        )
        assert wrong(t for t in texts if t.lang == lang and re.search(flaw, t.text)) == []

    def test_is_short(self, texts: list[Text], lang: str) -> None:
        longest = LONGEST[lang][len(texts[0].nodes) - 1]
        assert wrong(t for t in texts if t.lang == lang and len(t.text) > longest) == []

    def test_says_its_direction_and_not_the_other(self, texts: list[Text], lang: str) -> None:
        def says_it(text: Text) -> bool:
            up, down = RAISED[lang] in text.text, LOWERED[lang] in text.text
            return (up, down) == (text.direction == "risk", text.direction == "relief")

        assert wrong(t for t in texts if t.lang == lang and not says_it(t)) == []

    def test_tells_the_other_direction_in_other_words(self, texts: list[Text], lang: str) -> None:
        by_direction = {d: {t.text for t in texts if (t.lang, t.direction) == (lang, d)} for d in DIRECTIONS}
        assert by_direction["risk"] & by_direction["relief"] == set()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_searched_for_finds_every_claim_of_earlier_releases(lang: str) -> None:
    assert [text for text in CLAIMS[lang] if not claims(lang, text)] == []


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("part", ["learned", "tails", "hints", "pertinence"])
def test_shared_sentences_accuse_nobody_and_claim_no_frequency(part: str, lang: str) -> None:
    texts = list(strings(table("law" if part == "pertinence" else "wording")[part], lang))
    assert texts
    assert [text for text in texts if claims(lang, text) or forbidden(lang).search(text)] == []


def strings(value: Any, lang: str) -> Iterator[str]:
    for key, part in value.items():
        if isinstance(part, dict):
            yield from strings(part, lang)
        elif key == lang:
            yield part


@pytest.mark.parametrize("lang", LANGUAGES)
def test_names_and_values_in_the_list_of_data_accuse_nobody_either(lang: str) -> None:
    for node in catalog():
        shown = [label(node, lang), *(value_text(node, value, lang) for value in told_values(node))]
        assert [text for text in shown if forbidden(lang).search(text)] == [], node.id


def test_chinese_has_no_latin_letters_but_a_few_names() -> None:
    found = (*NODE_TEXTS, *PAIR_TEXTS)
    assert wrong(t for t in found if t.lang == "zh" and set(re.findall(r"[A-Za-z]+", t.text)) - LATIN) == []


def test_a_value_that_may_be_told_is_told_in_both_languages() -> None:
    for node in catalog():
        for name, fact in node_table()[node.id]["fact"].items():
            assert ("{value}" in fact["zh"]) == ("{value}" in fact["en"]), (node.id, name)
            assert not (concerns_others(node) and "{" in fact["zh"]), node.id
            assert not ("{" in fact["zh"] and node.form in (Form.FLAG, Form.CONTEXT)), node.id


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_two_nodes_and_no_two_pairs_share_a_sentence(lang: str) -> None:
    owners: dict[str, set[str]] = defaultdict(set)
    for owner, parts in (*node_table().items(), *table("reasons/pairs").items()):
        for text in strings(parts, lang):
            owners[text].add(owner)
    assert {text: sorted(of) for text, of in owners.items() if len(of) > 1} == {}


def test_every_variant_can_occur_and_every_value_finds_a_fact() -> None:
    for node in catalog():
        reached = {name for value in told_values(node) for name in variants(node, value)}
        parts = node_table()[node.id]
        assert {"fact", "what"} <= set(parts) <= {"fact", "what", *DIRECTIONS}, node.id
        for part in {"fact", *DIRECTIONS} & set(parts):
            assert set(parts[part]) <= reached, (node.id, part)
        for value in told_values(node):
            assert set(variants(node, value)) & set(parts["fact"]), (node.id, value)


def test_a_circumstance_is_told_of_values_that_it_is_true_of_and_else_what_was_learned() -> None:
    for node in catalog():
        parts = node_table()[node.id]
        # What may not raise the score alone is no sign of risk: of that the circumstance holds for any value.
        assert ("any" in parts.get("risk", {})) is not node.alone, node.id
        assert "any" not in parts.get("relief", {}), node.id


def test_the_variants_of_pairs_are_those_of_their_nodes() -> None:
    known = {(catalog().nodes[p.a].id, catalog().nodes[p.b].id) for p in catalog().pairs}
    for pair, parts in table("reasons/pairs").items():
        ends = pair.split(" ")
        assert tuple(ends) in known, pair
        assert {"what"} <= set(parts) <= {"what", *DIRECTIONS}, pair
        reach = [{n for v in told_values(catalog()[e]) for n in variants(catalog()[e], v)} for e in ends]
        for name in (name for d in DIRECTIONS for name in parts.get(d, {})):
            a, b = name.split(" ")
            assert "any" not in (a, b), (pair, name)
            assert a in reach[0], (pair, name)
            assert b in reach[1], (pair, name)


def test_no_pair_is_said_to_be_well_whose_facts_both_tell_of_risk() -> None:
    """A term below zero only corrects two above it; what the facts are has not changed."""
    for pair, parts in table("reasons/pairs").items():
        for name in parts.get("relief", {}):
            risky = [
                variant in node_table()[end].get("risk", {})
                for end, variant in zip(pair.split(" "), name.split(" "), strict=True)
            ]
            assert not all(risky), (pair, name)


def test_a_pair_without_a_circumstance_is_compared_with_its_facts_taken_singly() -> None:
    compared = {
        "zh": {"risk": "分别看时风险更高", "relief": "分别看时风险更低"},
        "en": {"risk": " as riskier than ", "relief": " as less risky than "},
    }
    for text in PAIR_TEXTS:
        parts = table("reasons/pairs").get(" ".join(text.nodes), {}).get(text.direction, {})
        if not any(own in text.text for own in strings(parts, text.lang)):
            assert compared[text.lang][text.direction] in text.text, str(text)


def test_every_pair_that_experts_listed_has_words_of_its_own() -> None:
    listed = {
        f"{catalog().nodes[p.a].id} {catalog().nodes[p.b].id}"
        for p in catalog().pairs
        if {"causal", "corroborates", "consistency"} & set(p.types)
    }
    assert listed <= set(table("reasons/pairs"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_fact_that_may_not_raise_the_score_alone_is_not_said_to(lang: str) -> None:
    alone = {"zh": "，因此提高了", "en": ", so this raised"}[lang]
    for text in NODE_TEXTS:
        if text.lang == lang and text.direction == "risk":
            assert (alone in text.text) is catalog()[text.nodes[0]].alone, str(text)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_a_shopper_can_do_is_said_of_a_risk_only(lang: str) -> None:
    hints = table("wording")["hints"]
    said = {hint[lang] for variants_of in hints.values() for hint in variants_of.values()}
    for node in catalog():
        for order in orders(node.id):
            value = order.value(node.id)
            texts = {
                d: reason_text(Reason(node.name, (node.id,), d, "slight", 0.1), order, lang)
                for d in DIRECTIONS
            }
            assert not any(hint in texts["relief"] for hint in said)
            hinted = any(name in hints.get(node.id, {}) for name in variants(node, value))
            assert any(texts["risk"].endswith(hint) for hint in said) is hinted, texts["risk"]


def test_no_table_is_read_while_an_order_waits() -> None:
    table.cache_clear()
    node_table.cache_clear()
    read_tables()
    read = table.cache_info().misses
    order = OrderSubgraph.build({"B095": True, "B114": 0.0, "B064": 2}, {})
    code = "new_device_first_login_with_address_freshness"
    reason_text(Reason(code, ("B095", "B114", "B064"), "risk", "strong", 0.9), order, "zh")
    assert table.cache_info().misses == read


def test_the_tables_of_nodes_do_not_overlap() -> None:
    assert sum(len(table(f"reasons/{name}")) for name in NODE_TABLES) == len(node_table())
