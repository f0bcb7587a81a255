"""Field names that ask for special-category data, in English and Chinese.

GDPR Art. 9(1) and 10; PIPL Art. 28. Only *names* are judged here; values are looked for in the
sandbox and nowhere on an order's way.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import SensitiveField

_WORDS = frozenset(
    """race racial ethnicity ethnic ethnos nationality minority religion religious faith church
    belief creed politics political party union health medical disease diagnosis disability disabilities
    disabled pregnant pregnancy genetic biometric faceprint fingerprint voiceprint iris sexuality
    sexual gender sex orientation lgbt criminal conviction caste kosher halal hukou marital
    marriage veteran hiv""".split()
)
_CHINESE = (
    "种族", "人种", "民族", "族裔", "宗教", "信仰", "教派", "政治", "党派", "党员", "工会", "健康",
    "疾病", "病史", "病历", "诊断", "医疗", "残疾", "残障", "怀孕", "基因", "遗传", "人脸", "指纹",
    "声纹", "虹膜", "性取向", "性生活", "性别", "犯罪", "前科", "婚姻", "户籍", "户口", "清真",
)  # fmt: skip
_PINYIN = frozenset("zhongzu minzu zongjiao xinyang zhengzhi dangpai gonghui jiankang jibing canji".split())
_NAMES = _WORDS | _PINYIN
_ALLOWED = frozenset({"trace_id"})
_NESTED = frozenset({dict, list})


@lru_cache(maxsize=4096)
def is_sensitive(name: str) -> bool:
    """True when a field name asks for race, religion, health and the like, in any spelling."""
    folded = unicodedata.normalize("NFKC", name)
    if folded in _ALLOWED:
        return False
    if any(word in folded for word in _CHINESE):
        return True
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", folded)
    parts = [p for p in re.split(r"[^a-z]+", spaced.lower()) if p]
    joined = "".join(parts)
    singular = {p.rstrip("s") for p in parts}
    return bool(_NAMES & (set(parts) | singular | {joined}))


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
            _refuse(inner, f"{path}[{i}].")
