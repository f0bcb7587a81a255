"""What a shopper could have done otherwise, as moves of nodes: the table ``data/acts.toml``.

Only actionable nodes that are there are moved, to another value or away. So no act turns a refused node, or
one that was never asked for, into one that is there: giving data is not sold as a way to pass (GDPR
Art. 7(4); PIPL Art. 16).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any

from riskgraph.core.catalog import Form, NodeSpec, catalog
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.texts import table

GONE = "not_applicable"
_ACCOUNT_AGE = catalog().component_slices[catalog()["B092"].index].start


@dataclass(frozen=True, slots=True)
class Move:
    """One node moved by an act.

    Attributes:
        index: Of the node.
        first: Index of its first component.
        to: Component index and new value; NaN all over where the node goes away.
        words: Component values that a node of words must have to be moved; None for any.
        above: What the node must exceed to be moved.
        at_least: Whether a value that is higher already stays.
        alone: Component that must not exceed 1 for the node to be moved: accounts of 30 days.
    """

    index: int
    first: int
    to: tuple[tuple[int, float], ...]
    gone: bool
    words: frozenset[float] | None
    above: float
    at_least: bool
    alone: int | None
    why: Mapping[str, str]


@dataclass(frozen=True)
class Act:
    """One thing that a shopper could have done otherwise, with every node that follows from it.

    Attributes:
        accounts: Values that B092, how long the account has existed, must have; None for any.
    """

    code: str
    text: Mapping[str, str]
    moves: tuple[Move, ...]
    needs: tuple[int, ...]
    lacks: tuple[int, ...]
    accounts: frozenset[float] | None

    @cached_property
    def nodes(self) -> frozenset[int]:
        return frozenset(move.index for move in self.moves)


@dataclass(frozen=True, slots=True)
class Option:
    """An act as it would change one order: new values by component index, and nodes that go away."""

    act: Act
    values: dict[int, float]
    gone: tuple[int, ...]
    moved: tuple[int, ...]


@lru_cache(maxsize=1)
def acts() -> tuple[Act, ...]:
    """All acts, the easiest first.

    Raises:
        ValueError: If an act moves a node that the catalogue does not call actionable, or a histogram.
    """
    return tuple(_act(row) for row in table("acts")["act"])


@lru_cache(maxsize=1)
def acts_sha256() -> str:
    """Digest of the table, texts left out: a counterfactual is sought again only in the same one."""
    rows = [
        {key: value for key, value in row.items() if key != "text"}
        | {
            "nodes": {
                node: {k: v for k, v in spec.items() if k != "why"} for node, spec in row["nodes"].items()
            }
        }
        for row in table("acts")["act"]
    ]
    return sha256(repr(rows).encode()).hexdigest()


@lru_cache(maxsize=1)
def by_code() -> dict[str, Act]:
    return {act.code: act for act in acts()}


def options(subgraph: OrderSubgraph) -> list[Option]:
    """The acts that would change an order, the easiest first."""
    present, components = subgraph.present.tolist(), subgraph.components.tolist()
    found = [_option(act, present, components) for act in acts()]
    return [option for option in found if option]


def changed(subgraph: OrderSubgraph, chosen: Sequence[Option]) -> OrderSubgraph:
    """The order as it would have been."""
    values = {place: value for option in chosen for place, value in option.values.items()}
    return subgraph.with_values(values, [node for option in chosen for node in option.gone])


def _option(act: Act, present: list[bool], components: list[float]) -> Option | None:
    for node in act.needs:
        if not present[node]:
            return None
    for node in act.lacks:
        if present[node]:
            return None
    if act.accounts is not None and components[_ACCOUNT_AGE] not in act.accounts:
        return None
    values: dict[int, float] = {}
    gone: list[int] = []
    moved: list[int] = []
    for move in act.moves:
        if not present[move.index] or not _allows(move, components):
            continue
        new = {p: v for p, v in move.to if _differs(components[p], v, move.at_least)}
        if new:
            moved.append(move.index)
            values |= new
            if move.gone:
                gone.append(move.index)
    return Option(act, values, tuple(gone), tuple(moved)) if moved else None


def _allows(move: Move, components: list[float]) -> bool:
    if move.alone is not None and components[move.alone] > 1:
        return False
    value = components[move.first]
    return (move.words is None or value in move.words) and not value <= move.above


def _differs(value: float, to: float, at_least: bool) -> bool:
    # NaN alone differs from itself.
    if value == to or (value != value and to != to):
        return False
    return not (at_least and value > to)


def _act(row: Mapping[str, Any]) -> Act:
    moves = tuple(_move(catalog()[key], spec) for key, spec in row["nodes"].items())
    needs, lacks = (tuple(catalog()[key].index for key in row.get(name, ())) for name in ("needs", "lacks"))
    accounts = _words(catalog()["B092"], row["accounts"]) if "accounts" in row else None
    return Act(row["code"], row["text"], moves, needs, lacks, accounts)


def _words(node: NodeSpec, words: Sequence[str]) -> frozenset[float]:
    return frozenset(float(node.words.index(word)) for word in words)


def _move(node: NodeSpec, spec: Mapping[str, Any]) -> Move:
    if not node.actionable or node.consent_needed or node.form is Form.HISTOGRAM:
        raise ValueError(f"acts.toml: {node.id} is not for a shopper to act on")
    words = _words(node, spec["from"]) if "from" in spec else None
    gone = spec["to"] == GONE
    first = catalog().component_slices[node.index].start
    to = tuple((first + place, value) for place, value in _values(node, spec["to"]))
    above = float(spec.get("above", "-inf"))
    alone = first + node.components.index("accounts_30d") if spec.get("alone") else None
    return Move(node.index, first, to, gone, words, above, bool(spec.get("at_least")), alone, spec["why"])


def _values(node: NodeSpec, to: Any) -> list[tuple[int, float]]:
    """New values by place among the node's components."""
    if to == GONE:
        return [(place, float("nan")) for place in range(len(node.components))]
    if node.form is Form.CONTEXT:
        return [(node.components.index(name), float(value)) for name, value in to.items()]
    return [(0, float(node.words.index(to)) if node.form is Form.CLASS else float(to))]
