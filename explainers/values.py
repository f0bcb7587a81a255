"""A node's value as words: units, classes and histograms, in Chinese and English."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from riskgraph.core.catalog import Form, NodeSpec
from riskgraph.explainers.texts import table

_DISTANCE = ("B108", "B109", "B110")
_LINKED = ("GRF", "MER")
# How near another person's address comes, and what happened to earlier parcels of an address, which a
# neighbour or a tenant before may have ordered; and prices, which are nobody's data.
_OTHERS, _NO_PERSONS = ("B112", "B116", "B117", "B118", "B122"), ("B130",)
_NODE_UNITS = {"B101": "1/h", "B102": "layers"}
# A robust z above 2 in size is called high or low; between, the value is called usual.
UNUSUAL_Z = 2.0
_CJK_DIGIT = re.compile(r"(?<=[\u4e00-\u9fff])(?=\d)|(?<=%)(?=[\u4e00-\u9fff])")
_CJK_CJK = re.compile(r"(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")
# Seconds in a unit, and in which units a sentence tells a time, each up to so many seconds.
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TOLD_TIMES = ((120.0, 1.0, "s"), (7200.0, 60.0, "min"), (172800.0, 3600.0, "h"), (63072000.0, 86400.0, "d"))
_YEAR = 31557600.0
_TOLD_UNITS = {"B101": "coupons", "B102": "layers", "cv": "0-1", "px/s2": "px/s"}
_LONGER = {"ms": (1000.0, 10.0, "s"), "s": (60.0, 2.0, "min"), "min": (60.0, 2.0, "h"), "h": (24.0, 2.0, "d")}


def label(node: NodeSpec, lang: str) -> str:
    """The node's name for readers (GDPR Art. 12(1); PIPL Art. 17: plain language)."""
    return str(table("wording")["labels"][node.id][lang])


def concerns_others(node: NodeSpec) -> bool:
    """True where the value tells of other people's orders (GDPR Art. 15(4))."""
    return node.id in _OTHERS or (node.family in _LINKED and node.id not in _NO_PERSONS)


def value_text(node: NodeSpec, value: Any, lang: str, *, exact: bool = False) -> str:
    """The value in a table: as a shopper reads it, or as it was measured.

    Args:
        node: The catalogue row.
        value: From :meth:`OrderSubgraph.value`; not None.
        lang: ``zh`` or ``en``.
        exact: True for compliance: units, bands, scores and counts about others as they are.
    """
    words = table("wording")["words"]
    if exact:
        return _exact(node, value, lang)
    if concerns_others(node):
        return str(words["withheld"]["linked"][lang])
    if node.form is Form.FLAG:
        return _flag(node, value, lang)
    if node.form is Form.HISTOGRAM:
        return _histogram(node, value, lang, _told_number)
    if node.unit in ("robust z", "slope"):
        return str(words["scale"][scale_word(value)][lang])
    text = told(node, value, lang)
    if node.form is Form.CLASS or node.bounds[0] >= 0:
        return text
    return str(words["than"]["less" if value < 0 else "more"][lang]).format(n=text)


def told(node: NodeSpec, value: Any, lang: str) -> str:
    """The value inside a sentence: rounded, in everyday units; of a histogram what is typical.

    Args:
        node: The catalogue row, one whose value may be told.
        value: From :meth:`OrderSubgraph.value`; not None. Its sign is for the sentence to say.
        lang: ``zh`` or ``en``.
    """
    if node.form is Form.CLASS:
        return class_word(node, value, lang)
    if node.form is Form.HISTOGRAM:
        first, part = node.histograms[0], node.range.split(";")[0]
        prefix = f"{first.name}." if first.name else ""
        return _told_number(value[f"{prefix}p50"], _bin_unit(part), lang)
    return _told_number(abs(float(value)), _TOLD_UNITS.get(node.id, node.unit), lang)


def _told_number(value: float, unit: str, lang: str) -> str:
    unit = _TOLD_UNITS.get(unit, unit)
    if unit.startswith("0-1"):
        if 0.0 < value < 0.01:
            return _bounded("under", 1.0, "percent", lang)
        if 0.99 < value < 1.0:
            return _bounded("over", 99.0, "percent", lang)
        return _in_unit(float(round(100.0 * value)), "percent", lang)
    if unit in _SECONDS:
        return _told_time(value * _SECONDS[unit], 0.01 if unit == "ms" else 1.0, lang)
    return _in_unit(math.degrees(value), "deg", lang) if unit == "rad" else _in_unit(value, unit, lang)


def _told_time(seconds: float, least: float, lang: str) -> str:
    if 0 < seconds < least:
        return _bounded("under", least, "s", lang)
    _, size, unit = next((t for t in _TOLD_TIMES if seconds < t[0]), (0.0, _YEAR, "y"))
    return _in_unit(seconds / size, unit, lang)


def _in_unit(value: float, unit: str, lang: str) -> str:
    if 0.0 < value < 0.01:
        return _bounded("under", 0.01, unit, lang)
    units = table("wording")["told"]
    text = f"{value:,.0f}" if value >= 9.95 else f"{value:.2g}"
    forms = str(units.get(unit, units["plain"])[lang]).split("|")
    form = min(int(text), len(forms)) - 1 if text in ("1", "2") else -1
    return forms[form].format(n=text)


def _bounded(bound: str, value: float, unit: str, lang: str) -> str:
    return str(table("wording")["told"][bound][lang]).format(n=_in_unit(value, unit, lang))


def class_word(node: NodeSpec, value: str, lang: str) -> str:
    words = table("wording")["words"]["distance" if node.id in _DISTANCE else node.id]
    return str(words[value][lang])


def _flag(node: NodeSpec, value: bool, lang: str) -> str:
    words = table("wording")["words"]
    return str(words.get(node.id, words["flag"])["true" if value else "false"][lang])


def scale_word(z: float) -> str:
    return "usual" if abs(z) < UNUSUAL_Z else "high" if z > 0 else "low"


def quantity(value: float, unit: str, lang: str) -> str:
    """A number with its unit; long times in a larger one, shares as a percentage."""
    units = table("wording")["units"]
    if unit.startswith("0-1"):
        value, unit = 100.0 * value, "percent"
    if unit == "h" and 0 < value < 1:
        value, unit = 60.0 * value, "min"
    while unit in _LONGER and value >= _LONGER[unit][0] * _LONGER[unit][1]:
        divisor, _, unit = _LONGER[unit]
        value /= divisor
    text = str(units.get(unit, units["plain"])[lang]).format(n=number(value))
    return text.removesuffix("s") if text in ("1 hours", "1 days") else text


def number(value: float) -> str:
    """Three significant digits below 100, whole numbers above, never in scientific notation."""
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if 0 < abs(value) < 0.01:
        return "<0.01" if value > 0 else ">-0.01"
    return f"{value + 0.0:.3g}"


def spaced(text: str, lang: str) -> str:
    """Chinese text with spaces where good typography has them: beside a number, not between characters."""
    return _CJK_CJK.sub("", _CJK_DIGIT.sub(" ", text)) if lang == "zh" else text


def _histogram(
    node: NodeSpec, value: dict[str, float], lang: str, amount: Callable[[float, str, str], str]
) -> str:
    names = table("wording")["parts"]
    parts = []
    for spec, part in zip(node.histograms, node.range.split(";"), strict=True):
        prefix = f"{spec.name}." if spec.name else ""
        typical = amount(value[f"{prefix}p50"], _bin_unit(part), lang)
        count = number(round(2.0 ** value[f"{prefix}n"]) - 1)
        text = str(table("wording")["units"]["histogram"][lang]).format(typical=typical, count=count)
        parts.append(f"{names[spec.name][lang]} {text}" if spec.name else text)
    return ("；" if lang == "zh" else "; ").join(parts)


def _bin_unit(part: str) -> str:
    words = part.strip().rpartition(":")[2].split(" from ")[0].split()
    if words[0] == "log2":
        return words[1]
    return words[2] if len(words) > 2 else "0-1"


def _exact(node: NodeSpec, value: Any, lang: str) -> str:
    if node.form is Form.CONTEXT:
        names = table("texts")["component"]
        listed = [f"{names[name][lang]} {part:.4g}" for name, part in value.items()]
        return ("；" if lang == "zh" else "; ").join(listed)
    if node.form is Form.CLASS:
        return f"{class_word(node, value, lang)} [{value}]"
    if node.unit in ("robust z", "slope"):
        return f"{value:.3g}"
    if node.form is Form.FLAG:
        return _flag(node, value, lang)
    if node.form is Form.HISTOGRAM:
        return _histogram(node, value, lang, quantity)
    return quantity(float(value), _NODE_UNITS.get(node.id, node.unit), lang)
