"""What asks for, or names, special-category data, in English and Chinese.

GDPR Art. 9(1) and 10; PIPL Art. 28, with proxies of what they list: the script of a native name, a
dietary category, a place of birth. Only *names* of fields are judged on an order's way; *values* are
looked for in the sandbox and nowhere else. Of what PIPL Art. 28 lists, accounts and whereabouts have
fields of their own in an order, where the door hashes or coarsens them; their names are not refused.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import SensitiveField

# PIPL Art. 28 names religion, health and biometrics; the others may fall under its general words.
_BOTH, _GDPR = "GDPR 9(1); PIPL 28", "GDPR 9(1)"


@dataclass(frozen=True, slots=True)
class Category:
    """One special category.

    Attributes:
        name: For records.
        rule: Articles that name it.
        words, chinese: What a field name, or a value, says of it.
        values, chinese_values: What only a value says of it; as the name of a field it may be a shop's own.
    """

    name: str
    rule: str
    words: str
    chinese: str
    values: str = ""
    chinese_values: str = ""


CATEGORIES = (
    Category(
        "racial_or_ethnic_origin",
        _GDPR,
        """race racial ethnicity ethnic ethnos minority tribe tribal caste indigenous aboriginal complexion
        skin_color skin_colour skin_tone ancestry zhongzu minzu""",
        "种族 人种 民族 族裔 肤色",
        "tibetan uyghur uighur romani gypsy",
        "维吾尔 藏族 回族 蒙古族 壮族 苗族 彝族 哈萨克族",
    ),
    # None of these is listed; each of them tells of origin.
    Category(
        "racial_or_ethnic_origin",
        "proxy of GDPR 9(1)",
        """nationality citizenship native_place native_name native_script name_script script_of_name
        name_in_native_script native_language mother_tongue name_origin surname_origin birthplace birth_place
        place_of_birth birth_country country_of_birth immigrant refugee""",
        "国籍 籍贯 祖籍 出生地 母语 姓名文字 姓名语种 难民",
    ),
    Category(
        "religion_or_belief",
        _BOTH,
        """religion religious faith church mosque synagogue belief creed sect kosher halal muslim islamic
        islam christian catholic protestant jewish hindu buddhist sikh atheist philosophical prayer baptism
        ramadan hijab dietary diet_type diet_category diet_preference food_taboo zongjiao xinyang qingzhen""",
        """宗教 信仰 教派 教徒 清真 穆斯林 伊斯兰 基督 天主教 佛教 道教 犹太 斋月
        饮食习惯 饮食禁忌 饮食偏好 饮食类别 饮食限制 忌口""",
        "bible quran koran rosary torah judaica",
        "圣经 古兰经 佛经 念珠",
    ),
    Category(
        "political_opinion",
        _GDPR,
        "ideology politics political party voter partisan zhengzhi dangpai",
        "政治 政见 政党 党派 党员 党籍 入党 选民",
        "communist",
        "共产党 国民党 民进党",
    ),
    Category("trade_union_membership", _GDPR, "union works_council gonghui", "工会"),
    Category(
        "health",
        _BOTH,
        """health healthcare medical medication disease illness sickness symptom diagnosis diagnoses therapy
        prescription psychiatric disability disabled handicap handicapped pregnant pregnancy menstrual
        menstruation menopause fertility infertility abortion vaccine vaccination vaccinated allergy hiv
        blood_type blood_group blood_pressure blood_sugar body_mass bmi diabetes diabetic cancer dementia
        autism wheelchair hearing_aid visually_impaired hearing_impaired sick_leave jiankang jibing canji
        xuexing""",
        """健康 疾病 病史 病历 病情 患病 患者 诊断 就诊 住院 医疗 处方 用药 过敏 疫苗 精神病 残疾 残障 伤残
        听障 视障 轮椅 怀孕 孕期 备孕 孕妇 哺乳 流产 避孕 不孕 月经史 月经周期 生理期 生育 血型 血压
        血糖 慢性病 糖尿病 抑郁 自闭症 艾滋 传染病 体检报告 体检结果 病假""",
        "medicine pharmacy insulin contraceptive maternity antidepressant chemotherapy",
        "药品 药房 胰岛素 助听器 验孕 癌",
    ),
    Category(
        "genetic_data",
        _GDPR,
        "genetic gene genome genomic dna genotype chromosome",
        "基因 遗传 染色体",
    ),
    Category(
        "biometric_data",
        _BOTH,
        """biometric faceprint face_template face_scan face_recognition fingerprint finger_print voiceprint
        voice_print palmprint palm_print iris retina facial gait liveness_detection face_liveness""",
        "生物识别 人脸 面部识别 面部特征 指纹 掌纹 声纹 虹膜 视网膜 步态识别 步态特征",
    ),
    Category(
        "sex_life_or_orientation",
        _GDPR,
        """sexuality sexual sex_life lgbt lgbtq lgbtqia gay lesbian bisexual homosexual
        transgender intersex""",
        "性取向 性倾向 同性恋 双性恋 跨性别 性生活 性伴侣",
        "erotic",
        "成人用品 情趣用品",
    ),
    Category(
        "sex_or_family_status",
        "EU Charter 21(1) lists sex; family status by riskgraph's own rule",
        "gender sex marital marriage married divorced xingbie hunyin",
        "性别 婚姻 婚否 已婚 未婚 离异",
    ),
    Category(
        "criminal_offence",
        "GDPR 10",
        "criminal conviction felony misdemeanor imprisonment parole",
        "犯罪 前科 服刑 刑事",
    ),
    Category(
        "specific_identity",
        "PIPL 28",
        "hukou veteran huji",
        "特定身份 户籍 户口 退伍 退役军人 低保户",
    ),
    Category(
        "child_data",
        "PIPL 28, 31; GDPR 8",
        "is_minor minor_age child_age children_age age_of_child kid_age juvenile underage",
        "未成年 儿童年龄 孩子年龄 监护人",
    ),
)
# Shops use some of these words in another sense. What else a name holds is still judged.
_HARMLESS = """
    third_party rd_party second_party first_party st_party counter_party buyer_party seller_party
    supplier_party customer_party carrier_party payer_party payee_party ship_to_party bill_to_party
    sold_to_party party_id party_code party_type party_role party_size party_supply
    union_id union_code union_source union_order union_pay union_card jd_union taobao_union credit_union
    western_union european_union customs_union
    device_fingerprint browser_fingerprint canvas_fingerprint webgl_fingerprint audio_fingerprint
    tls_fingerprint key_fingerprint certificate_fingerprint card_fingerprint fingerprint_id
    fingerprint_hash health_check account_health shop_health store_health uni_sex christian_name good_faith
    retina_display wheelchair_accessible wheelchair_accessibility cookie_disabled cookies_disabled js_disabled
    javascript_disabled union_square race_car
"""
# 用户口味, 员工会员, 达人种草, 当前科目 … only look like one of them.
_CHINESE_HARMLESS = """
    账户口 用户口 客户口 商户口 员工会 人种草 当前科 目前科 理性生活 个性生活 过敏感 已婚纱 未婚纱
    流产品 道教程 道教学 道教育 选民宿
    设备指纹 终端指纹 浏览器指纹 证书指纹 银行卡指纹 健康检查 店铺健康度 账户健康度 账号健康度 商户健康度
    未成年人模式 未成年模式 人工会话 提前科普 指纹锁 民族风(?!俗)
"""
# Nothing but a state of something: "disabled" alone is no text on a person.
_HARMLESS_VALUES = frozenset({"disabled"})
_SIMPLIFIED = str.maketrans(
    "種國膚貫見黨員會歷診斷醫療處藥過殘傷懷遺傳識臉聲紋傾戀別戶賬當證設備終瀏覽銀達檢"
    "語難飲習類選猶聖蘭經維爾薩壯產進視聽輪婦壓報結體鬱閉島驗徵態網異侶離軍監護齡兒",
    "种国肤贯见党员会历诊断医疗处药过残伤怀遗传识脸声纹倾恋别户账当证设备终浏览银达检"
    "语难饮习类选犹圣兰经维尔萨壮产进视听轮妇压报结体郁闭岛验征态网异侣离军监护龄儿",
)
_NESTED = frozenset({dict, list})


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("xes", "ches", "shes", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _canonical(words: list[str]) -> str:
    """Words in the singular, each between underscores."""
    return "_" + "".join(f"{_singular(word)}_" for word in words)


def _any_of(names: str) -> re.Pattern[str]:
    """Matches any of the names as whole words in a canonical name, up to the underscore behind it."""
    longest = sorted((_canonical(name.split("_"))[:-1] for name in names.split()), key=len, reverse=True)
    return re.compile(f"(?:{'|'.join(longest)})(?=_)")


def _alternatives(words: str) -> str:
    return "|".join(words.split()) or "(?!)"


@dataclass(frozen=True, slots=True)
class _Patterns:
    words: re.Pattern[str]
    chinese: re.Pattern[str]

    @classmethod
    def of(cls, words: str, chinese: str) -> _Patterns:
        # The words run together too: skincolor.
        return cls(_any_of(words + " " + words.replace("_", "")), re.compile(_alternatives(chinese)))

    def match(self, words: str, chinese: str) -> bool:
        joined = f"_{words.replace('_', '')}_"  # r_a_c_e
        return bool(self.chinese.search(chinese) or self.words.search(words) or self.words.search(joined))


class _Lexicon:
    """Words by category, and all of them in one pattern, since most texts have none."""

    def __init__(self, lists: dict[Category, tuple[str, str]]) -> None:
        self._each = {category: _Patterns.of(*words) for category, words in lists.items()}
        self._all = _Patterns.of(*(" ".join(words) for words in zip(*lists.values(), strict=True)))

    def category(self, text: str) -> Category | None:
        """The first category that a text speaks of, in any spelling."""
        folded = unicodedata.normalize("NFKC", text)
        chinese = "" if folded.isascii() else _PASSES_CHINESE.sub("-", folded.translate(_SIMPLIFIED))
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", folded)
        words = _PASSES.sub("", _canonical(re.findall("[a-z]+", spaced.lower())))
        if not self._all.match(words, chinese):
            return None
        return next(category for category, asks in self._each.items() if asks.match(words, chinese))


_PASSES, _PASSES_CHINESE = _any_of(_HARMLESS), re.compile(_alternatives(_CHINESE_HARMLESS))
_NAMES = _Lexicon({c: (c.words, c.chinese) for c in CATEGORIES})
_VALUES = _Lexicon({c: (f"{c.words} {c.values}", f"{c.chinese} {c.chinese_values}") for c in CATEGORIES})


@lru_cache(maxsize=4096)
def category_of_name(name: str) -> Category | None:
    """The special category that a field name asks for, or None."""
    return _NAMES.category(name)


def category_of_value(value: str) -> Category | None:
    """The special category that a value names, or None; for the sandbox, never on an order's way."""
    return None if value.strip().lower() in _HARMLESS_VALUES else _VALUES.category(value)


def is_sensitive(name: str) -> bool:
    """True when a field name asks for race, religion, health and the like, in any spelling."""
    return category_of_name(name) is not None


# Names that nearly every request has are looked up, not read.
_USUAL = frozenset(
    f"""{" ".join(catalog().by_key)} {" ".join(h.name for n in catalog() for h in n.histograms)}
    merchant_id order_id channel_code attempt phase placed_at jurisdiction lang region line amount value
    currency list_total items sku category quantity price list_price released_at coupons code kind
    claimed_at promo_thresholds account_created_at recipient ship_to lat lon entities account device card
    card_bin address phone ip opaque guest_key consent record_id policy_version at purposes behavior
    motion location model_training objected session signals n bins absent timeout_ms late""".split()
)
assert not any(map(is_sensitive, _USUAL))


def objects(value: Any) -> list[dict[str, Any]]:
    """All objects of a decoded JSON value, at any depth."""
    found, todo = [], [value]
    for one in todo:
        if type(one) is dict:
            found.append(one)
            one = one.values()
        if not _NESTED.isdisjoint(map(type, one)):
            todo += [inner for inner in one if type(inner) in _NESTED]
    return found


def refuse_sensitive_names(value: Any) -> None:
    """Refuse field names that ask for special-category data, at any depth.

    GDPR Art. 9(1); PIPL Art. 28.

    Raises:
        SensitiveField: Naming the field.
    """
    if not all(map(_USUAL.issuperset, objects(value))):
        _refuse(value, "")


def _refuse(value: Any, path: str) -> None:
    if type(value) is dict:
        for key in filter(is_sensitive, value):
            raise SensitiveField(
                f"{path}{key} asks for special-category data, which riskgraph refuses: remove the field",
                field=f"{path}{key}",
            )
        for key, inner in value.items():
            _refuse(inner, f"{path}{key}.")
    elif type(value) is list:
        for i, inner in enumerate(value):
            _refuse(inner, f"{path.removesuffix('.')}[{i}].")
