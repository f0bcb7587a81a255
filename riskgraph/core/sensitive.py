"""Field names that ask for special-category data, in English and Chinese.

GDPR Art. 9(1) and 10; PIPL Art. 28. Only *names* are judged here; values are looked for in the
sandbox and nowhere on an order's way. Of what PIPL Art. 28 lists, accounts and whereabouts have fields
of their own in an order, where the door hashes or coarsens them; their names are not refused.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import SensitiveField

_WORDS = """
    race racial ethnicity ethnic ethnos nationality citizenship minority tribe tribal caste indigenous
    aboriginal hukou complexion skin_color skin_colour skin_tone native_place
    religion religious faith church mosque synagogue belief creed kosher halal muslim islamic christian
    catholic jewish hindu buddhist philosophical ideology politics political party union voter
    health healthcare medical medication disease illness sickness symptom diagnosis diagnoses therapy
    prescription psychiatric disability disabled handicap handicapped pregnant pregnancy menstrual
    fertility vaccine vaccination vaccinated allergy hiv blood_type blood_group
    genetic gene genome genomic dna biometric faceprint fingerprint voiceprint palmprint iris facial
    sexuality sexual gender sex orientation lgbt lgbtq lgbtqia gay lesbian bisexual transgender intersex
    criminal conviction felony marital marriage veteran
    zhongzu minzu zongjiao xinyang zhengzhi dangpai gonghui jiankang jibing canji xuexing xingbie hunyin huji
"""
# Shops use some of these words in another sense. What else a name holds is still judged.
_HARMLESS = """
    third_party rd_party second_party first_party st_party counter_party buyer_party seller_party
    supplier_party customer_party carrier_party payer_party payee_party ship_to_party bill_to_party
    sold_to_party party_id party_code party_type party_role party_size party_supply
    union_id union_code union_source union_order union_pay union_card jd_union taobao_union credit_union
    western_union european_union customs_union
    screen_orientation device_orientation display_orientation page_orientation image_orientation
    device_fingerprint browser_fingerprint canvas_fingerprint webgl_fingerprint audio_fingerprint
    tls_fingerprint key_fingerprint certificate_fingerprint card_fingerprint fingerprint_id
    fingerprint_hash health_check account_health shop_health store_health uni_sex christian_name good_faith
"""
_CHINESE = """
    种族 人种 民族 族裔 国籍 籍贯 肤色 特定身份 宗教 信仰 教派 教徒 清真 穆斯林
    政治 政见 政党 党派 党员 党籍 工会 健康 疾病 病史 病历 病情 患病 诊断 医疗 处方 用药 过敏 疫苗 精神病
    残疾 残障 伤残 怀孕 孕期 生育 血型 基因 遗传 生物识别 人脸 面部识别 指纹 掌纹 声纹 虹膜
    性取向 性倾向 同性恋 性生活 性别 犯罪 前科 婚姻 户籍 户口
"""
# 用户口味, 员工会员, 达人种草, 当前科目 … only look like one of them.
_CHINESE_HARMLESS = """
    账户口 用户口 客户口 商户口 员工会 人种草 当前科 目前科 理性生活 个性生活 过敏感
    设备指纹 终端指纹 浏览器指纹 证书指纹 银行卡指纹 健康检查
"""
_SIMPLIFIED = str.maketrans(
    "種國膚貫見黨員會歷診斷醫療處藥過殘傷懷遺傳識臉聲紋傾戀別戶賬當證設備終瀏覽銀達檢",
    "种国肤贯见党员会历诊断医疗处药过残伤怀遗传识脸声纹倾恋别户账当证设备终浏览银达检",
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


# The words run together too: skincolor.
_ASKS, _PASSES = _any_of(_WORDS + _WORDS.replace("_", "")), _any_of(_HARMLESS)
_ASKS_CHINESE, _PASSES_CHINESE = ("|".join(words.split()) for words in (_CHINESE, _CHINESE_HARMLESS))


@lru_cache(maxsize=4096)
def is_sensitive(name: str) -> bool:
    """True when a field name asks for race, religion, health and the like, in any spelling."""
    folded = unicodedata.normalize("NFKC", name)
    if not folded.isascii():
        chinese = re.sub(_PASSES_CHINESE, "-", folded.translate(_SIMPLIFIED))
        if re.search(_ASKS_CHINESE, chinese):
            return True
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", folded)
    left = _PASSES.sub("", _canonical(re.findall("[a-z]+", spaced.lower())))
    joined = left.replace("_", "")  # r_a_c_e
    return bool(_ASKS.search(left) or _ASKS.search(f"_{joined}_"))


# Names that nearly every request has are looked up, not read.
_USUAL = frozenset(
    f"""{" ".join(catalog().by_key)} {" ".join(h.name for n in catalog() for h in n.histograms)}
    merchant_id order_id channel_code attempt phase placed_at jurisdiction lang region line amount value
    currency list_total items sku category quantity price list_price released_at coupons code kind
    claimed_at promo_thresholds account_created_at recipient ship_to lat lon entities account device card
    card_bin address phone ip opaque guest_key consent record_id policy_version at purposes behavior
    motion location model_training session signals n bins absent timeout_ms late""".split()
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
