"""The behavior catalogue: 137 nodes and the template edges between them.

One data table (``data/catalog.csv``) with hand-made edges (``data/edges.csv``); encoders, API
schema, sandbox intake, report wording, store labels and docs are all derived from it. Pairs that were
found by data and adopted lie in a third table (``data/found.csv``), which does not ship.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from importlib import resources

CATALOG_VERSION = "1"
NODE_COUNT = 137
BIN_COUNT = 16

FAMILIES = {
    "NAV": ("navigation", "浏览"),
    "PTR": ("pointer", "指针"),
    "TCH": ("touch and motion", "触控与运动"),
    "KEY": ("keystroke timing", "击键节奏"),
    "FRM": ("form", "表单"),
    "CLP": ("clipboard and autofill", "剪贴板与自动填充"),
    "PAY": ("payment", "支付"),
    "FOC": ("focus and tab", "焦点与标签页"),
    "ENV": ("environment", "环境"),
    "TIM": ("order timing", "下单时间"),
    "ACC": ("account", "账户"),
    "PRO": ("promotion", "促销"),
    "ADR": ("address", "地址"),
    "LOG": ("logistics and refunds", "物流与退款"),
    "NET": ("network", "网络"),
    "MER": ("merchant", "商家"),
    "GRF": ("cross-order graph", "跨订单图"),
}

STAGE_HUBS = {
    "post": "refund_rate_180d",
    "account": "account_age_bucket",
    "entry": "session_entry_channel",
    "browse": "product_page_dwell_dist",
    "cart": "cart_edit_count",
    "promo": "threshold_gap",
    "address": "ship_history_distance_band",
    "payment": "auth_decline_count",
    "submit": "inter_order_interval",
    "merchant": "merchant_ramp_profile",
    "any": "input_modality",
}
STAGE_ORDER = ("post", "account", "entry", "browse", "cart", "promo", "address", "payment", "submit")
MODALITY_STAGES = ("browse", "cart", "address", "payment", "submit")
ANCHOR_HUBS = {
    "dev": "device_account_fanout",
    "acct": "shared_entity_density",
    "card": "card_account_fanout",
    "addr": "address_account_fanout",
    "net": "ip_network_class",
    "mer": "buyer_merchant_ring",
}
DIRECTED = frozenset({"temporal_next", "causal"})
EDGE_TYPES = ("temporal_next", "same_page", "same_entity", "causal", "corroborates", "consistency")
FOUND = "found"
FOUND_TABLE = "found.csv"
FOUND_FIELDS = ("from", "to", "proposal")
HISTOGRAM_COMPONENTS = ("n", "p50", "spread", "entropy", "mode_share")


class Form(StrEnum):
    """How a node's value looks on the wire."""

    NUMBER = "number"
    FLAG = "flag"
    CLASS = "class"
    HISTOGRAM = "histogram"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class HistogramSpec:
    """One named histogram of 16 bins; ``name`` is empty when the node has only one."""

    name: str
    edges: tuple[float, ...]

    @classmethod
    def parse(cls, text: str) -> HistogramSpec:
        """Read ``[name:]log2 UNIT[ from LO]`` or ``[name:]linear A-B[ UNIT]``."""
        name, _, scale = text.strip().rpartition(":")
        words = scale.split()
        if words[0] == "log2":
            first = float(words[-1]) if "from" in words else 1.0
            inner = [first * 2.0**i for i in range(BIN_COUNT - 1)]
            return cls(name, (0.0, *inner, 2.0 * inner[-1]))
        low, high = (float(part) for part in words[1].split("-"))
        step = (high - low) / BIN_COUNT
        return cls(name, tuple(low + step * i for i in range(BIN_COUNT + 1)))


@dataclass(frozen=True)
class NodeSpec:
    """One row of the catalogue. ``index`` is its place, 0 to 136."""

    index: int
    id: str
    name: str
    name_zh: str
    family: str
    source: str
    computed_by: str
    kind: str
    form: Form
    unit: str
    range: str
    definition: str
    why: str
    pipl_class: str
    purpose: str
    actionable: bool
    alone: bool
    monotone: str
    stage: str
    anchor: str

    @cached_property
    def label_en(self) -> str:
        return self.name.replace("_", " ")

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The listed words of a class node, in order of risk where ``monotone`` is set."""
        return tuple(self.range.split("|")) if self.form is Form.CLASS else ()

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest allowed value of a number node."""
        low, high = self.range.split("..")
        return float(low), float(high)

    @cached_property
    def histograms(self) -> tuple[HistogramSpec, ...]:
        if self.form is not Form.HISTOGRAM:
            return ()
        return tuple(HistogramSpec.parse(part) for part in self.range.split(";"))

    @cached_property
    def components(self) -> tuple[str, ...]:
        """Names without the node id: what encoders, sandbox, model and report see."""
        if self.form is Form.HISTOGRAM:
            prefixes = [f"{h.name}." if h.name else "" for h in self.histograms]
            return tuple(p + c for p in prefixes for c in HISTOGRAM_COMPONENTS)
        if self.form is Form.CONTEXT:
            return tuple(self.range.split("|"))
        return ("value",)

    @cached_property
    def pair_component(self) -> str:
        """The component that stands for the node in pair terms (contracts, section 6)."""
        for name in ("value", "p50", "accounts_30d", "density", "share_24h"):
            if name in self.components:
                return name
        return self.components[0] if self.form is Form.CONTEXT else self.histograms[0].name + ".p50"

    @property
    def consent_needed(self) -> bool:
        """True for the optional classes C and R (PIPL Art. 13(1)(1), 16; GDPR Art. 6(1)(a), 7(4))."""
        return self.purpose != "none"

    @property
    def sensitive(self) -> bool:
        """True when the raw input is sensitive personal information (PIPL Art. 28)."""
        return self.pipl_class.endswith("·S")

    def lawful_basis(self, jurisdiction: str) -> str:
        """Article on which the node may be processed, derived from its legal class.

        N and N* rest on contract (PIPL Art. 13(1)(2); GDPR Art. 6(1)(b), and 6(1)(f) with
        Recital 47 for fraud prevention); C and R on consent (PIPL Art. 13(1)(1), sensitive raw
        input Art. 29; GDPR Art. 6(1)(a)).
        """
        if jurisdiction == "CN":
            if not self.consent_needed:
                return "PIPL 13(1)(2)"
            return "PIPL 13(1)(1), 29" if self.sensitive else "PIPL 13(1)(1)"
        return "GDPR 6(1)(a)" if self.consent_needed else "GDPR 6(1)(b), 6(1)(f)"

    @property
    def pairs_by_data(self) -> bool:
        """Whether data may propose pairs of the node; experts may list a pair of any.

        Not of one that may not raise the score alone (accessibility, proxies of protected groups,
        shopper's rights): nobody has said why it should in that company. Nor of one whose raw input is
        sensitive: that takes a specific purpose and sufficient necessity (PIPL Art. 28), which no ranking
        gives.
        """
        return self.alone and not self.sensitive

    @property
    def encoder(self) -> str:
        """How the model reads the components: categories for classes and flags, else bins."""
        return "categories" if self.form in (Form.CLASS, Form.FLAG) else "bins"

    @property
    def retention_class(self) -> str:
        """Key of the retention table in merchant.toml (GDPR Art. 5(1)(e); PIPL Art. 19)."""
        return "optional" if self.consent_needed else "contract_record"


@dataclass(frozen=True, slots=True)
class Pair:
    """An undirected pair of template nodes with all its typed labels; ``a < b`` are node indexes."""

    index: int
    a: int
    b: int
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """One typed template edge from node index ``source`` to ``target``."""

    type: str
    source: int
    target: int


@dataclass(frozen=True)
class Catalog:
    """The catalogue, loaded once. Node and pair order are part of every stored format."""

    version: str
    nodes: tuple[NodeSpec, ...]
    edges: tuple[Edge, ...]
    sha256: str
    """Digest over the data tables; recorded beside everything derived from them."""

    @classmethod
    def read(cls, nodes: str, edges: str, found: str = "") -> Catalog:
        """The catalogue of data tables, given as the text of their files.

        Args:
            nodes: One row a node.
            edges: The hand-made edges.
            found: Adopted pairs that data proposed, with the digest of the proposal. Each proposal makes a
                version: ``1``, ``1.1``, ``1.2``.

        Raises:
            ValueError: If a found pair is a template pair, or one that data may not propose; both are named.
        """
        rows = csv.DictReader(nodes.splitlines())
        specs = tuple(_node(i, row) for i, row in enumerate(rows))
        digest = hashlib.sha256((nodes + edges + found).encode()).hexdigest()
        book = cls(CATALOG_VERSION, specs, _edges(specs, edges), digest)
        added = list(csv.DictReader(found.splitlines()))
        if not added:
            return book
        version = f"{CATALOG_VERSION}.{len({row['proposal'] for row in added})}"
        return cls(version, specs, (*book.edges, *_found(book, added)), digest)

    def __post_init__(self) -> None:
        if len(self.nodes) != NODE_COUNT:
            raise ValueError(f"the catalogue has {len(self.nodes)} nodes, expected {NODE_COUNT}")

    @cached_property
    def by_key(self) -> dict[str, NodeSpec]:
        """Nodes by id and by name."""
        return {key: node for node in self.nodes for key in (node.id, node.name)}

    def __getitem__(self, key: str) -> NodeSpec:
        return self.by_key[key]

    def __iter__(self) -> Iterator[NodeSpec]:
        return iter(self.nodes)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Template pairs by node, then found ones as they were adopted, so that no earlier place changes."""
        types: dict[tuple[int, int], list[str]] = {}
        for edge in self.edges:
            key = (min(edge.source, edge.target), max(edge.source, edge.target))
            types.setdefault(key, []).append(edge.type)
        template = sorted(item for item in types.items() if item[1] != [FOUND])
        found = [item for item in types.items() if item[1] == [FOUND]]
        return tuple(Pair(i, a, b, tuple(t)) for i, ((a, b), t) in enumerate([*template, *found]))

    @cached_property
    def pair_index(self) -> dict[tuple[int, int], int]:
        return {(p.a, p.b): p.index for p in self.pairs}

    @cached_property
    def components(self) -> tuple[str, ...]:
        """Full component names in storage order, for instance ``B033.p50`` (259 of them)."""
        return tuple(f"{n.id}.{c}" for n in self.nodes for c in n.components)

    @cached_property
    def component_node(self) -> tuple[int, ...]:
        """Node index of each component."""
        return tuple(n.index for n in self.nodes for _ in n.components)

    @cached_property
    def component_index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.components)}

    @cached_property
    def component_slices(self) -> tuple[slice, ...]:
        """Slice of the component vector that belongs to each node."""
        out, start = [], 0
        for node in self.nodes:
            out.append(slice(start, start + len(node.components)))
            start += len(node.components)
        return tuple(out)

    @cached_property
    def histogram_slices(self) -> tuple[slice, ...]:
        """Rows of the share matrix that belong to each node (empty for other forms)."""
        out, start = [], 0
        for node in self.nodes:
            out.append(slice(start, start + len(node.histograms)))
            start += len(node.histograms)
        return tuple(out)

    @cached_property
    def histogram_count(self) -> int:
        return sum(len(n.histograms) for n in self.nodes)

    @cached_property
    def edge_types(self) -> tuple[str, ...]:
        """Types that an edge can have: ``found`` only where a pair was."""
        return (*EDGE_TYPES, FOUND) if any(e.type == FOUND for e in self.edges) else EDGE_TYPES

    def may_find(self, a: int, b: int) -> bool:
        """Whether data may propose the pair of two node indexes: none yet, and both nodes allow it."""
        new = a != b and (min(a, b), max(a, b)) not in self.pair_index
        return new and self.nodes[a].pairs_by_data and self.nodes[b].pairs_by_data


def read_table(name: str) -> str:
    """Text of a data table; empty where no pair was adopted."""
    table = resources.files("riskgraph.core").joinpath("data", name)
    return table.read_text(encoding="utf-8") if name != FOUND_TABLE or table.is_file() else ""


def _node(index: int, row: dict[str, str]) -> NodeSpec:
    return NodeSpec(
        index=index,
        form=Form(row["form"]),
        actionable=row["actionable"] == "yes",
        alone=row["alone"] == "yes",
        **{k: v for k, v in row.items() if k not in ("form", "actionable", "alone")},
    )


def _found(book: Catalog, rows: list[dict[str, str]]) -> Iterator[Edge]:
    """Edges of adopted pairs, each once."""
    seen: set[frozenset[str]] = set()
    for row in rows:
        ends = [book[row[end]] for end in ("from", "to")]
        pair = frozenset(node.id for node in ends)
        if pair in seen or not book.may_find(ends[0].index, ends[1].index):
            raise ValueError(f"{FOUND_TABLE}: data may not add the pair {ends[0].name}, {ends[1].name}")
        seen.add(pair)
        yield Edge(FOUND, ends[0].index, ends[1].index)


def _edges(nodes: tuple[NodeSpec, ...], listed: str) -> tuple[Edge, ...]:
    """Apply the rules of the template: two derived edge types and the listed ones."""
    index = {n.name: n.index for n in nodes}
    edges: dict[Edge, None] = {}

    def add(kind: str, source: str, target: str) -> None:
        if source != target:
            edges[Edge(kind, index[source], index[target])] = None

    for here, then in zip(STAGE_ORDER, STAGE_ORDER[1:], strict=False):
        add("temporal_next", STAGE_HUBS[here], STAGE_HUBS[then])
    for node in nodes:
        add("same_page", STAGE_HUBS[node.stage], node.name)
    for stage in MODALITY_STAGES:
        add("same_page", STAGE_HUBS["any"], STAGE_HUBS[stage])
    for node in nodes:
        if node.anchor in ANCHOR_HUBS:
            add("same_entity", ANCHOR_HUBS[node.anchor], node.name)
    for row in csv.DictReader(listed.splitlines()):
        add(row["type"], row["from"], row["to"])
    return tuple(edges)


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    """The catalogue of this release, with the pairs that were adopted here."""
    return Catalog.read(read_table("catalog.csv"), read_table("edges.csv"), read_table(FOUND_TABLE))
