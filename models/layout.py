"""What a graph-additive network is built over: components, their nodes, and pairs of nodes.

The served model has the layout of the catalogue. Any other fixed set of components can have one too,
so that the very same network, bins, constraints and tables can be measured on other data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import Form, NodeSpec, catalog
from riskgraph.models.rows import source_columns

MAX_BINS = 12
WIDTH = MAX_BINS + 1
# Parts of a fan-out node that may only speak one way; its other parts have no direction of their own.
_COUNTS = ("accounts_24h", "accounts_30d", "orders_1h", "orders_30d", "fraud_share")
# Edge types of the catalogue that experts listed; the others follow from a rule (ADR 0010).
_BY_HAND = {"causal", "corroborates", "consistency"}


@dataclass(frozen=True, eq=False)
class Layout:
    """A fixed set of C components of N nodes, with P pairs of nodes.

    Attributes:
        components: Their C names.
        node: int64[C], node of each component.
        stand_in: int64[N], the component of each node that its pair terms read.
        ends: int64[P, 2], the two nodes of each pair.
        words: int64[C], how many words a component has, 0 where it is a number.
        ordered: bool[C], False where neighbouring bins have nothing to do with one another.
        signs: int8[C], 1 where the own term may not fall with the value, -1 where it may not rise.
        never_raise: bool[C], components whose own term may not raise the score.
        optional: float64[C], 1 where the own term has to average zero over honest rows.
        optional_ends: float64[P, 2], 1 where a pair term has to, at each value of its other end.
        listed: bool[P], pairs that experts listed, which have less to prove.
        hidden: bool[2, C], components that vanish when consent is refused and without a front end.
    """

    components: tuple[str, ...]
    node: NDArray[np.int64]
    stand_in: NDArray[np.int64]
    ends: NDArray[np.int64]
    words: NDArray[np.int64]
    ordered: NDArray[np.bool_]
    signs: NDArray[np.int8]
    never_raise: NDArray[np.bool_]
    optional: NDArray[np.float64]
    optional_ends: NDArray[np.float64]
    listed: NDArray[np.bool_]
    hidden: NDArray[np.bool_]

    @classmethod
    @lru_cache(maxsize=1)
    def of_catalog(cls) -> Layout:
        """The layout of the served model."""
        pairs, nodes = catalog().pairs, [catalog().nodes[i] for i in catalog().component_node]
        return cls(
            components=catalog().components,
            node=np.array(catalog().component_node),
            stand_in=stand_in_components(),
            ends=np.array([[p.a, p.b] for p in pairs]),
            words=np.array([_words(n) for n in nodes]),
            ordered=np.array([n.form is not Form.CLASS for n in nodes]),
            signs=monotone_signs(),
            never_raise=never_raising(),
            optional=optional_components(),
            optional_ends=optional_ends(),
            listed=np.array([bool(_BY_HAND & set(p.types)) for p in pairs]),
            hidden=np.array([source_columns(s) for s in ("refused", "no_front_end")]),
        )

    @classmethod
    def plain(
        cls,
        components: Sequence[str],
        pairs: Sequence[tuple[int, int]] = (),
        words: Sequence[int] | None = None,
        node: NDArray[np.int64] | None = None,
    ) -> Layout:
        """A layout without any demand on the terms.

        Args:
            components: Names of the C components.
            pairs: Both nodes of each pair.
            words: How many words each component has, 0 where it is a number; default all numbers.
            node: int64[C], node of each component, whose first component stands for it in pairs;
                default each component a node of its own.
        """
        count = len(components)
        named = np.array(words if words is not None else [0] * count, dtype=np.int64)
        node = np.arange(count) if node is None else node
        return cls(
            components=tuple(components),
            node=node,
            stand_in=np.unique(node, return_index=True)[1],
            ends=np.array(pairs, dtype=np.int64).reshape(-1, 2),
            words=named,
            ordered=named == 0,
            signs=np.zeros(count, dtype=np.int8),
            never_raise=np.zeros(count, dtype=bool),
            optional=np.zeros(count),
            optional_ends=np.zeros((len(pairs), 2)),
            listed=np.zeros(len(pairs), dtype=bool),
            hidden=np.zeros((2, count), dtype=bool),
        )

    def with_pairs(self, pairs: Sequence[tuple[int, int]] | NDArray[np.int64]) -> Layout:
        """The same components with other pairs of nodes, none of them listed by experts."""
        return replace(
            self,
            ends=np.array(pairs, dtype=np.int64).reshape(-1, 2),
            optional_ends=np.zeros((len(pairs), 2)),
            listed=np.zeros(len(pairs), dtype=bool),
        )

    def without_demands(self) -> Layout:
        """The same components and pairs; no term is bound to a direction or to consent."""
        return replace(
            self,
            signs=np.zeros_like(self.signs),
            never_raise=np.zeros_like(self.never_raise),
            optional=np.zeros_like(self.optional),
            optional_ends=np.zeros_like(self.optional_ends),
        )

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self.stand_in)

    @property
    def own_size(self) -> int:
        """Cells of all own tables."""
        return len(self.components) * WIDTH

    @property
    def size(self) -> int:
        """Cells of all tables."""
        return self.own_size + len(self.ends) * WIDTH * WIDTH

    @cached_property
    def pair_a(self) -> NDArray[np.intp]:
        """intp[P], the component of a pair's first end."""
        return self.stand_in[self.ends[:, 0]].astype(np.intp)

    @cached_property
    def pair_b(self) -> NDArray[np.intp]:
        """intp[P], the component of a pair's second end."""
        return self.stand_in[self.ends[:, 1]].astype(np.intp)

    @cached_property
    def own_offset(self) -> NDArray[np.intp]:
        """intp[C], where the own table of a component starts in the vector of all tables."""
        return np.arange(len(self.components), dtype=np.intp) * WIDTH

    @cached_property
    def pair_offset(self) -> NDArray[np.intp]:
        """intp[P], where the table of a pair starts in the vector of all tables."""
        return self.own_size + np.arange(len(self.ends), dtype=np.intp) * WIDTH * WIDTH


def _words(node: NodeSpec) -> int:
    return 2 if node.form is Form.FLAG else len(node.words)


def stand_in_components() -> NDArray[np.int64]:
    """int64[137]: the component of each node that its pair terms read."""
    return np.array([catalog().component_index[f"{n.id}.{n.pair_component}"] for n in catalog()])


def optional_components() -> NDArray[np.float64]:
    """float64[259]: 1 for components of optional nodes whose own term may go both ways."""
    nodes = (catalog().nodes[i] for i in catalog().component_node)
    return np.array([float(n.consent_needed and n.alone) for n in nodes])


def optional_ends() -> NDArray[np.float64]:
    """float64[284, 2]: 1 where the first and the second end of a pair is optional."""
    nodes = catalog().nodes
    return np.array([[float(nodes[end].consent_needed) for end in (p.a, p.b)] for p in catalog().pairs])


def monotone_signs() -> NDArray[np.int8]:
    """int8[259]: 1 where the own term may not fall with the value, -1 where it may not rise."""
    signs = {"up": 1, "down": -1}
    out = np.zeros(len(catalog().components), dtype=np.int8)
    for node, part in zip(catalog().nodes, catalog().component_slices, strict=True):
        for offset, name in enumerate(node.components):
            fanout = node.form is Form.CONTEXT and node.id in ("B131", "B132", "B133")
            if not fanout or name in _COUNTS:
                out[part.start + offset] = signs.get(node.monotone, 0)
    return out


def never_raising() -> NDArray[np.bool_]:
    """bool[259]: components of nodes whose own term may not raise the score."""
    return np.array([not catalog().nodes[i].alone for i in catalog().component_node], dtype=bool)
