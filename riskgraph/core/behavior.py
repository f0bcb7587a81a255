"""What the browser SDK sends: one flush, checked as its schema says, and the sums of a session.

``data/behavior-1.schema.json`` and ``data/behavior-map.json`` are made from the SDK's own table. Nothing of a
flush is a coordinate, a time series, a key or a text that somebody typed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from riskgraph.core.catalog import BIN_COUNT
from riskgraph.core.errors import Invalid, UnknownField
from riskgraph.core.reader import Reader

_DATA = resources.files("riskgraph.core") / "data"
SCHEMA: dict[str, Any] = json.loads((_DATA / "behavior-1.schema.json").read_text("utf-8"))
MAP: dict[str, Any] = json.loads((_DATA / "behavior-map.json").read_text("utf-8"))
PURPOSES = ("behavior", "motion", "location", "device")

_FIELDS: dict[str, Any] = SCHEMA["properties"]
_TEXTS = ("session", "nonce", "consent_id")
_WORDS = {name: _FIELDS[name]["enum"] for name in MAP["words"]}
# The map tells no purpose of a word: the input modality is behavior, the class of the device is the device's.
_WORD_PURPOSE = {"modality": "behavior", "device_class": "device"}
_COUNTERS: dict[str, Any] = _FIELDS["counters"]["properties"]
_ZONES: dict[str, Any] = _FIELDS["zones"]["properties"]
_HISTOGRAM: dict[str, Any] = SCHEMA["$defs"]["histogram"]["properties"]
_NUMBERS = (int, float)
Bins = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Flush:
    """One checked flush. Everything in it is a delta.

    Attributes:
        histograms: 16 counts by ``zone.name``.
        counters: By name; those that the map calls signed may be negative.
        words: ``modality`` and ``device_class``, where told.
    """

    session: str
    nonce: str
    consent_id: str
    seq: int
    histograms: Mapping[str, Bins]
    counters: Mapping[str, float]
    words: Mapping[str, str]

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Flush:
        """Check a decoded flush: closed at every level, and each ``n`` the sum of its ``h``.

        Raises:
            Invalid: One named field is wrong, missing or unknown.
        """
        _refuse_unknown(body, _FIELDS, "")
        _whole(body.get("v"), {"minimum": 1, "maximum": 1}, "v")
        read = Reader(body)
        texts = {n: read.text(n, required=True, most=_FIELDS[n]["maxLength"]) or "" for n in _TEXTS}
        return cls(
            **texts,
            seq=_whole(body.get("seq"), _FIELDS["seq"], "seq"),
            histograms=_histograms(_object(body.get("zones"), _ZONES, "zones")),
            counters=_counters(_object(body.get("counters"), _COUNTERS, "counters")),
            words={name: _word(body[name], name) for name in _WORDS if name in body},
        )

    def purposes(self) -> dict[str, str]:
        """The purpose of each thing told, by the field that tells it."""
        return {
            **{f"zones.{key}": MAP["histograms"][key]["purpose"] for key in self.histograms},
            **{f"counters.{key}": MAP["counters"][key]["purpose"] for key in self.counters},
            **{name: _WORD_PURPOSE[name] for name in self.words},
        }


@dataclass(slots=True)
class Sums:
    """All that is kept of a session's behavior: added up, and nothing else."""

    histograms: dict[str, list[int]] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.histograms or self.counters or self.words)

    def add(self, flush: Flush) -> None:
        """Add the deltas of one flush; of words, those that came last count."""
        for key, counts in flush.histograms.items():
            known = self.histograms.get(key, (0,) * BIN_COUNT)
            self.histograms[key] = [a + b for a, b in zip(known, counts, strict=True)]
        for key, value in flush.counters.items():
            self.counters[key] = self.counters.get(key, 0) + value
        self.words.update(flush.words)


def refuse_ungranted(flush: Flush, granted: Sequence[str]) -> None:
    """Check that a flush tells nothing that the session's consent does not open (GDPR Art. 7; PIPL Art. 14).

    Raises:
        Invalid: Naming the first field and its purpose.
    """
    for name, purpose in flush.purposes().items():
        if purpose not in granted:
            raise Invalid(
                f"{name} needs the purpose {purpose}, which the consent of this session does not grant",
                field=name,
                code="purpose_not_granted",
            )


def evidence_bits(counts: Sequence[int]) -> float:
    """How surprising it is that another visit has exactly these counts, in bits.

    -log2 of the multinomial probability of the counts under their own shares. No other shares make them more
    probable, so for independent visits it is the least surprise that a match can be.
    """
    total = sum(counts)
    logs = [count * math.log(count / total) - math.lgamma(count + 1) for count in counts if count]
    return max(0.0, -(math.lgamma(total + 1) + sum(logs)) / math.log(2))


def _refuse_unknown(body: Mapping[str, Any], known: Mapping[str, Any], path: str) -> None:
    for key in body:
        if key not in known:
            where = f"{path}{key}"
            raise UnknownField(f"{where:.80} is no field of a flush (behavior-1)", field=where)


def _object(value: Any, known: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Invalid(f"{where} must be an object", field=where)
    _refuse_unknown(value, known, f"{where}.")
    return value


def _number(value: Any, limits: Mapping[str, Any], where: str) -> float:
    low, high = limits["minimum"], limits["maximum"]
    good = isinstance(value, _NUMBERS) and not isinstance(value, bool)
    if not good or not low <= value <= high:
        raise Invalid(f"{where} must be a number from {low} to {high}", field=where)
    return float(value)


def _whole(value: Any, limits: Mapping[str, Any], where: str) -> int:
    """A whole number; JSON Schema takes 3.0 for one."""
    number = _number(value, limits, where)
    if not number.is_integer():
        raise Invalid(f"{where} must be a whole number", field=where)
    return int(number)


def _word(value: Any, name: str) -> str:
    if not isinstance(value, str) or value not in _WORDS[name]:
        raise Invalid(f"{name} must be one of {', '.join(_WORDS[name])}", field=name)
    return value


def _histograms(zones: Mapping[str, Any]) -> dict[str, Bins]:
    found = {}
    for zone, inner in zones.items():
        where = f"zones.{zone}"
        for name, histogram in _object(inner, _ZONES[zone]["properties"], where).items():
            found[f"{zone}.{name}"] = _bins(
                _object(histogram, _HISTOGRAM, f"{where}.{name}"), f"{where}.{name}"
            )
    return found


def _bins(histogram: Mapping[str, Any], where: str) -> Bins:
    counts = histogram.get("h")
    if not isinstance(counts, list) or len(counts) != BIN_COUNT:
        raise Invalid(f"{where}.h must be a list of {BIN_COUNT} counts", field=f"{where}.h")
    limits = _HISTOGRAM["h"]["items"]
    bins = tuple([_whole(count, limits, f"{where}.h") for count in counts])
    if _whole(histogram.get("n"), _HISTOGRAM["n"], f"{where}.n") != sum(bins):
        raise Invalid(f"{where}.n must be the sum of {where}.h, {sum(bins)}", field=f"{where}.n")
    return bins


def _counters(counters: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in counters.items():
        limits = _COUNTERS[name]
        parse = _whole if limits["type"] == "integer" else _number
        found[name] = parse(value, limits, f"counters.{name}")
    return found
