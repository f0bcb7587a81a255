"""OrderSubgraph: the 137 behavior nodes of one order, each a value or absent with a cause."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import BIN_COUNT, HISTOGRAM_COMPONENTS, NODE_COUNT, Form, catalog
from riskgraph.core.components import (
    histogram_components,
    histogram_parser,
    histogram_shares,
    plain_parser,
)
from riskgraph.core.errors import SubgraphError

_CATALOG = catalog()
_COMPONENT_NODE = np.array(_CATALOG.component_node)
_HISTOGRAM_NODE = np.repeat(np.arange(NODE_COUNT), [len(n.histograms) for n in _CATALOG.nodes])
_PAIR_ENDS = np.array([[p.a for p in _CATALOG.pairs], [p.b for p in _CATALOG.pairs]])
_FIRST = np.array([s.start for s in _CATALOG.component_slices])
_EDGES = np.array([h.edges for n in _CATALOG.nodes for h in n.histograms])
_HISTOGRAM_PARTS = np.array(
    [
        range(start, start + len(HISTOGRAM_COMPONENTS))
        for node, part in zip(_CATALOG.nodes, _CATALOG.component_slices, strict=True)
        for start in range(part.start, part.stop, len(HISTOGRAM_COMPONENTS))
        if node.form is Form.HISTOGRAM
    ]
)
# Of the nodes alone: an adopted pair changes nothing of what is packed.
_PACKED_VERSION = int(_CATALOG.version.partition(".")[0])
_VERSION = bytes([_PACKED_VERSION])
_QUAD = np.array([1, 4, 16, 64], dtype=np.uint8)  # four states of 2 bits to a byte
_FLOAT = np.dtype("<f4")
_INDEX = {node.id: node.index for node in _CATALOG}
_PLAIN = {
    node.id: (part, plain_parser(node))
    for node, part in zip(_CATALOG, _CATALOG.component_slices, strict=True)
    if node.form is not Form.HISTOGRAM
}
_HISTOGRAMS = {
    node.id: (range(part.start, part.stop), histogram_parser(node))
    for node, part in zip(_CATALOG, _CATALOG.histogram_slices, strict=True)
    if node.form is Form.HISTOGRAM
}


class State(IntEnum):
    """A node's state, as stored in the absence bytes of a world (contracts, section 5)."""

    PRESENT = 0
    NOT_APPLICABLE = 1
    NOT_DELIVERED = 2
    REFUSED = 3

    @property
    def word(self) -> str:
        return self.name.lower()


_NOT_DELIVERED = bytes([State.NOT_DELIVERED]) * NODE_COUNT
ABSENCE_CAUSES = {s.word: s for s in State if s is not State.PRESENT}


@dataclass(frozen=True, eq=False)
class OrderSubgraph:
    """Values of the 137 nodes of one order.

    Attributes:
        states: uint8[137], a :class:`State` per node.
        components: float32[259]; NaN where the node is absent, or where a part of a context node
            is left out.
        shares: uint8[25, 16], histogram shares in 1/255; zero where absent.

    Raises:
        SubgraphError: If a shape, a type or the agreement of states and components is wrong.
    """

    states: NDArray[np.uint8]
    components: NDArray[np.float32]
    shares: NDArray[np.uint8]

    def __post_init__(self) -> None:
        expected = {
            "states": (np.uint8, (NODE_COUNT,)),
            "components": (np.float32, (len(_CATALOG.components),)),
            "shares": (np.uint8, (_CATALOG.histogram_count, BIN_COUNT)),
        }
        for name, (dtype, shape) in expected.items():
            got = getattr(self, name)
            if got.dtype != dtype or got.shape != shape:
                raise SubgraphError(
                    f"{name}: got {got.dtype}{list(got.shape)}, expected {np.dtype(dtype)}{list(shape)}",
                    field=name,
                )
        self._check_agreement()

    def _check_agreement(self) -> None:
        if self.states.max() > State.REFUSED:
            raise SubgraphError("states: got a value above 3, expected 0..3", field="states")
        if np.isinf(self.components).any():
            raise SubgraphError("components: got an infinity, expected finite or NaN", field="components")
        present = self.present
        filled = self.components == self.components  # NaN alone differs from itself
        amiss = present != np.logical_or.reduceat(filled, _FIRST)
        if amiss.any():
            node = _CATALOG.nodes[int(np.argmax(amiss))]
            if present[node.index]:
                raise SubgraphError(f"{node.id}: got no component, expected a value", field=node.id)
            raise SubgraphError(f"{node.id}: got a value on an absent node, expected none", field=node.id)
        if self.shares[~present.take(_HISTOGRAM_NODE)].any():
            raise SubgraphError("shares: got shares on an absent node, expected zeros", field="shares")

    @classmethod
    def build(cls, values: Mapping[str, Any], absent: Mapping[str, State]) -> OrderSubgraph:
        """Build from wire values by node id.

        Args:
            values: Node id to JSON value (contracts, section 1).
            absent: Node id to cause; nodes in neither mapping are ``not_delivered``.

        Raises:
            Invalid: If a value does not fit its node's form; the field is named.
            SubgraphError: If a node is in both mappings.
        """
        states = bytearray(_NOT_DELIVERED)
        parts = [math.nan] * len(_CATALOG.components)
        rows: list[int] = []
        counts: list[list[int]] = []
        for key, cause in absent.items():
            states[_INDEX[key]] = cause
        if not absent.keys().isdisjoint(values):
            key = next(key for key in values if key in absent)
            raise SubgraphError(f"{key}: got a value and a cause of absence", field=key)
        for key, value in values.items():
            states[_INDEX[key]] = State.PRESENT
            plain = _PLAIN.get(key)
            if plain is not None:
                place, parse = plain
                parts[place] = parse(value)
            else:
                places, parse_counts = _HISTOGRAMS[key]
                counts += parse_counts(value)
                rows += places
        components = np.array(parts, dtype=np.float32)
        shares = np.zeros((_CATALOG.histogram_count, BIN_COUNT), dtype=np.uint8)
        if rows:
            bins = chain.from_iterable(counts)
            table = np.fromiter(bins, np.int64, len(rows) * BIN_COUNT).reshape(-1, BIN_COUNT)
            edges = _EDGES.take(rows, axis=0)
            components[_HISTOGRAM_PARTS.take(rows, axis=0)] = histogram_components(edges, table)
            shares[rows] = histogram_shares(table)
        return cls._checked(np.frombuffer(states, dtype=np.uint8), components, shares)

    @classmethod
    def _checked(
        cls, states: NDArray[np.uint8], components: NDArray[np.float32], shares: NDArray[np.uint8]
    ) -> OrderSubgraph:
        """Of parts that agree because of how they were made; the parsers refuse what would not fit."""
        made = cls.__new__(cls)
        made.__dict__.update(states=states, components=components, shares=shares)
        return made

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        present: NDArray[np.bool_] = self.states == State.PRESENT
        return present

    @cached_property
    def present_pairs(self) -> NDArray[np.bool_]:
        """bool[284]: template pairs of which both ends are present."""
        both: NDArray[np.bool_] = np.logical_and(*self.present.take(_PAIR_ENDS))
        return both

    def state(self, key: str) -> State:
        return State(int(self.states[_CATALOG[key].index]))

    def value(self, key: str) -> Any:
        """The node's value as a reader sees it: number, word, flag, or components by name."""
        node = _CATALOG[key]
        if not self.present[node.index]:
            return None
        parts = self.components[_CATALOG.component_slices[node.index]].tolist()
        if node.form is Form.CLASS:
            return node.words[int(parts[0])]
        if node.form is Form.FLAG:
            return bool(parts[0])
        if node.form is Form.NUMBER:
            return parts[0]
        return {name: part for name, part in zip(node.components, parts, strict=True) if not math.isnan(part)}

    def without(self, key: str, cause: State = State.NOT_DELIVERED) -> OrderSubgraph:
        """The same order with one node absent."""
        node = _CATALOG[key]
        states, components, shares = self.states.copy(), self.components.copy(), self.shares.copy()
        states[node.index] = cause
        components[_CATALOG.component_slices[node.index]] = np.nan
        shares[_CATALOG.histogram_slices[node.index]] = 0
        return OrderSubgraph(states, components, shares)

    def with_values(self, values: Mapping[int, float], gone: Sequence[int] = ()) -> OrderSubgraph:
        """The same order with other values of nodes that are there, and some nodes not applicable.

        Histograms keep their shares, so theirs are not to be changed.

        Args:
            values: Component index to value; NaN for every component of a node that goes.
            gone: Indexes of the nodes that go.
        """
        components, states = self.components.copy(), self.states
        components[list(values)] = list(values.values())
        if gone:
            states = states.copy()
            states[list(gone)] = State.NOT_APPLICABLE
        return self._checked(states, components, self.shares)

    def seen(self, components: NDArray[np.float32], hidden: NDArray[np.bool_]) -> OrderSubgraph:
        """The same order with other components, and without some of its nodes, as if nothing delivered them.

        Histograms that stay keep their shares.

        Args:
            components: float32[259], there for the same nodes.
            hidden: bool[137], nodes that the order has.
        """
        if not hidden.any():
            return self._checked(self.states, components, self.shares)
        states = np.where(hidden, np.uint8(State.NOT_DELIVERED), self.states)
        components = np.where(hidden.take(_COMPONENT_NODE), np.float32(np.nan), components)
        shares = np.where(hidden.take(_HISTOGRAM_NODE)[:, None], np.uint8(0), self.shares)
        return self._checked(states, components, shares)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OrderSubgraph) and self.pack() == other.pack()

    def __hash__(self) -> int:
        return hash(self.pack())

    def pack(self) -> bytes:
        """Packed form of contracts section 1: version, 2 bits a node, present components, shares."""
        return self._packed

    @cached_property
    def _packed(self) -> bytes:
        bits = np.zeros((NODE_COUNT + 3) // 4 * 4, dtype=np.uint8)
        bits[:NODE_COUNT] = self.states
        head = bits.reshape(-1, 4) @ _QUAD
        values = self.components[self.present.take(_COMPONENT_NODE)].astype(_FLOAT, copy=False)
        shares = self.shares[self.present.take(_HISTOGRAM_NODE)]
        return b"".join((_VERSION, head.tobytes(), values.tobytes(), shares.tobytes()))

    @classmethod
    def unpack(cls, data: bytes) -> OrderSubgraph:
        """Inverse of :meth:`pack`, bit for bit.

        Raises:
            SubgraphError: If the version or the length does not fit.
        """
        if not data or data[0] != _PACKED_VERSION:
            raise SubgraphError(f"packed subgraph: got version {data[:1]!r}, expected {_PACKED_VERSION}")
        head_size = (NODE_COUNT + 3) // 4
        if len(data) <= head_size:
            raise SubgraphError(f"packed subgraph: got {len(data)} bytes, expected more than {head_size}")
        head = np.frombuffer(data, dtype=np.uint8, count=head_size, offset=1)
        states = ((head[:, None] >> np.array([0, 2, 4, 6], dtype=np.uint8)) & 3).reshape(-1)[:NODE_COUNT]
        present = states == State.PRESENT
        filled, histograms = present[_COMPONENT_NODE], present[_HISTOGRAM_NODE]
        count, rows = int(filled.sum()), int(histograms.sum())
        expected = 1 + head_size + 4 * count + BIN_COUNT * rows
        if len(data) != expected:
            raise SubgraphError(f"packed subgraph: got {len(data)} bytes, expected {expected}")
        components = np.full(len(_CATALOG.components), np.nan, dtype=np.float32)
        components[filled] = np.frombuffer(data, dtype="<f4", count=count, offset=1 + head_size)
        shares = np.zeros((_CATALOG.histogram_count, BIN_COUNT), dtype=np.uint8)
        tail = np.frombuffer(data, dtype=np.uint8, offset=1 + head_size + 4 * count)
        shares[histograms] = tail.reshape(rows, BIN_COUNT)
        return cls(states.astype(np.uint8), components, shares)
