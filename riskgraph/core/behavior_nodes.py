"""From the sums of a session to node values, by the rules of ``behavior-map.json``.

The rules are told in ``docs/sdk.md``; tests of the SDK apply the same ones, see
``sdk_js/test/support/nodes.mjs``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from riskgraph.core.behavior import MAP, Sums
from riskgraph.core.catalog import BIN_COUNT, Form, HistogramSpec, catalog
from riskgraph.core.components import histogram_parser, plain_parser
from riskgraph.core.errors import Invalid
from riskgraph.core.subgraph import ABSENCE_CAUSES, State

NODES: dict[str, dict[str, Any]] = MAP["nodes"]
PURPOSE_OF = {node.id: node.purpose for node in catalog() if node.id in NODES}
_CHECKS: dict[str, Callable[[Any], Any]] = {
    node.id: histogram_parser(node) if node.form is Form.HISTOGRAM else plain_parser(node)
    for node in catalog()
    if node.id in NODES
}
_EMPTY = [0] * BIN_COUNT
Rule = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SessionNodes:
    """What a session says of an order's nodes: wire values, and causes of those that are absent, by id."""

    values: Mapping[str, Any]
    absent: Mapping[str, State]


NOTHING = SessionNodes({}, {})


def nodes(sums: Sums, purposes: Collection[str]) -> SessionNodes:
    """The nodes of the purposes that are granted; of others nothing is said.

    A page may send any numbers, so a value that does not fit its node is absent as one not delivered.

    Args:
        sums: Of a session; empty ones say nothing.
        purposes: Granted ones.
    """
    values: dict[str, Any] = {}
    absent: dict[str, State] = {}
    seen = _View(sums)
    for node_id, rule in NODES.items() if sums else ():
        if PURPOSE_OF[node_id] not in purposes:
            continue
        cause = seen.lacking(rule)
        value = None if cause else _value(node_id, rule, seen)
        if value is None:
            absent[node_id] = cause or State.NOT_DELIVERED
        else:
            values[node_id] = value
    return SessionNodes(values, absent)


def refused(purposes: Collection[str]) -> dict[str, State]:
    """All nodes of purposes whose consent was refused or withdrawn."""
    return {node_id: State.REFUSED for node_id, purpose in PURPOSE_OF.items() if purpose in purposes}


def _value(node_id: str, rule: Rule, seen: _View) -> Any:
    """The value by its rule; None where there is none, or none that the catalogue allows."""
    try:
        value = _RULES[rule["rule"]](rule, seen)
        if value is not None:
            _CHECKS[node_id](value)
    except (Invalid, ZeroDivisionError, ValueError, OverflowError):
        return None
    return value


class _View:
    """Sums as the rules read them: what is not there is 0."""

    def __init__(self, sums: Sums) -> None:
        self._sums = sums

    def bins(self, key: str) -> list[int]:
        return self._sums.histograms.get(key, _EMPTY)

    def word(self, name: str) -> str | None:
        return self._sums.words.get(name)

    def total(self, keys: Iterable[str]) -> float:
        """Counters and entries of histograms, added up."""
        counters = self._sums.counters
        return sum([sum(self.bins(k)) if k in MAP["histograms"] else counters.get(k, 0) for k in keys])

    def lacking(self, rule: Rule) -> State | None:
        """Why the node is absent, by the first need that is not met."""
        for need in rule["needs"]:
            total = self.total(need["of"])
            if total < need.get("least", -math.inf) or total > need.get("most", math.inf):
                return ABSENCE_CAUSES[need["else"]]
        return None


def _histogram(rule: Rule, seen: _View) -> dict[str, Any]:
    found = {
        name: {"n": sum(seen.bins(key)), "bins": list(seen.bins(key))} for name, key in rule["of"].items()
    }
    return found if len(found) > 1 else next(iter(found.values()))


def _median(rule: Rule, seen: _View) -> float:
    edges = HistogramSpec.parse(MAP["histograms"][rule["of"]]["bins"]).edges
    counts = seen.bins(rule["of"])
    target, below = sum(counts) / 2, 0
    for at, count in enumerate(counts):
        if below + count >= target:
            return edges[at] + (target - below) / count * (edges[at + 1] - edges[at])
        below += count
    raise ValueError("no entries")


def _largest(rule: Rule, seen: _View) -> str | None:
    # The first of equals, as the catalogue lists them.
    best = max(rule["of"], key=lambda word: seen.total([rule["of"][word]]))
    return str(best) if seen.total([rule["of"][best]]) > 0 else None


def _entropy(rule: Rule, seen: _View) -> float:
    counts = list(chain.from_iterable(map(seen.bins, rule["of"])))
    total = sum(counts)
    return sum([count / total * math.log2(total / count) for count in counts if count])


def _variation(rule: Rule, seen: _View) -> float:
    n, total, squares = (seen.total([rule[name]]) for name in ("n", "sum", "squares"))
    mean = total / n
    sd = math.sqrt(max(0.0, squares / n - mean * mean))
    # Without a mean any spread is beyond the cap; without either there is no value.
    return min(float(rule["cap"]), sd / mean if mean or not sd else math.inf)


def _field_order(rule: Rule, seen: _View) -> str:
    if seen.total([rule["paste"]]) > 0:
        return "single_paste"
    steps, down = seen.total([rule["steps"]]), seen.total([rule["down"]])
    share = down / steps if steps else math.inf if down else math.nan
    if share == 1:
        return "top_down"
    return "mostly_top_down" if share >= 0.7 else "bottom_up" if share <= 0.2 else "jumping"


def _modality(rule: Rule, seen: _View) -> str:
    least = 0.8 * seen.total(rule["of"].values())
    return next((str(word) for word, key in rule["of"].items() if seen.total([key]) >= least), "mixed")


_RULES: dict[str, Callable[[Rule, _View], Any]] = {
    "histogram": _histogram,
    "median": _median,
    "sum": lambda rule, seen: min(rule["cap"], seen.total(rule["of"])),
    "after_first": lambda rule, seen: min(rule["cap"], seen.total([rule["of"]]) - 1),
    "ratio": lambda rule, seen: min(
        rule["cap"], seen.total(rule["of"]) / (seen.total(rule["over"]) - rule.get("less", 0))
    ),
    "any": lambda rule, seen: seen.total(rule["of"]) > 0,
    "none": lambda rule, seen: seen.total(rule["of"]) == 0,
    "largest": _largest,
    "word": lambda rule, seen: seen.word(rule["of"]),
    "entropy": _entropy,
    "variation": _variation,
    "rms": lambda rule, seen: min(
        1.0, math.sqrt(seen.total([rule["squares"]]) / seen.total([rule["n"]])) / rule["scale"]
    ),
    "contradiction": lambda rule, seen: seen.total([rule["some"]]) > 0 and seen.total([rule["zero"]]) == 0,
    "field_order": _field_order,
    "modality": _modality,
}
