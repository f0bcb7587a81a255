"""Relation features for reference (c): what an oracle knows of the orders linked with an order.

Labels are the oracle's, of other orders at any time, never the order's own. Even so trees could learn
a large group by heart and read an order's own label back from what its group's sum lacks. Therefore
entities on many orders link nothing, and counts of labels are rounded up or down by lot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.eval.worlds.reference.settings import settings

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
# Over these, orders form groups; accounts and networks would join strangers.
GROUP_KINDS = ("device", "card", "address", "door", "phone")


@dataclass(frozen=True, eq=False)
class Relations:
    """Shared entities of N orders in time order.

    Attributes:
        kinds: Name of an entity kind to int64[N] codes, -1 where the order has none; ``account`` among them.
        placed_s: float64[N] seconds.
    """

    kinds: Mapping[str, Ints]
    placed_s: NDArray[np.float64]

    def shuffled(self, seed: int) -> Relations:
        """The same entities dealt out anew among the orders that have one, each kind by itself."""
        rng = np.random.default_rng(seed)
        dealt = {}
        for kind, codes in self.kinds.items():
            dealt[kind] = codes.copy()
            dealt[kind][codes >= 0] = rng.permutation(codes[codes >= 0])
        return Relations(dealt, self.placed_s)


def doors(lat: NDArray[np.float64], lon: NDArray[np.float64], address: NDArray[np.object_]) -> Ints:
    """int64[N]: one door in many spellings, by its coordinates and the digits in its text; -1 for none."""
    keys = [
        None
        if text is None or a != a
        else (round(a, 3), round(o, 3), "".join(c for c in text if c.isdigit()))
        for a, o, text in zip(lat.tolist(), lon.tolist(), address.tolist(), strict=True)
    ]
    known: dict[tuple[float, float, str], int] = {}
    return np.array([-1 if k is None else known.setdefault(k, len(known)) for k in keys], dtype=np.int64)


def relation_features(relations: Relations, fraud: Bools) -> Floats:
    """float32[N, 6 per kind + 3]: linked orders by kind, then the group they form; NaN where nothing links.

    By kind: other orders, other accounts and fraudulent other orders (log2), share of fraud
    among them, other orders near in time (whole log2), share of fraud among those of other accounts.
    Group: orders and accounts within reach (whole log2), share of fraud among its other orders.

    Args:
        relations: Entities and times.
        fraud: bool[N] from the oracle.
    """
    account = relations.kinds["account"]
    hub = int(settings().relations["hub_orders"])
    # One lot an order: several would average out.
    lot = np.random.default_rng(int(settings().relations["lot_seed"])).random(len(fraud))
    blocks = []
    for codes in relations.kinds.values():
        rows, code, size = _linked(codes, hub)
        block = np.full((len(codes), 6), np.nan, dtype=np.float32)
        if len(rows):
            block[rows] = _entity(code, account[rows], relations.placed_s[rows], fraud[rows], lot[rows], size)
        blocks.append(block)
    return np.concatenate([*blocks, _group(relations, fraud, lot)], axis=1)


def _linked(codes: Ints, hub: int) -> tuple[NDArray[np.intp], Ints, Ints]:
    """Rows whose entity lies on 2..hub orders, its code counted from 0, and its orders by code."""
    kept, code, size = np.unique(codes, return_inverse=True, return_counts=True)
    good = (kept >= 0) & (size >= 2) & (size <= hub)
    rows = np.flatnonzero(good[code])
    number = np.cumsum(good) - 1
    return rows, number[code[rows]].astype(np.int64), size[good].astype(np.int64)


def _entity(
    code: Ints,
    account: Ints,
    placed: NDArray[np.float64],
    fraud: Bools,
    lot: NDArray[np.float64],
    size: Ints,
) -> Floats:
    others = size[code] - 1
    bad = np.bincount(code, weights=fraud)[code] - fraud
    # Orders, fraud and distinct accounts of each (entity, account).
    pairs, pair, held = np.unique(
        np.stack([code, account], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    pair = pair.reshape(-1)
    accounts = np.bincount(pairs[:, 0])[code] - 1
    foreign = size[code] - held[pair]
    foreign_bad = np.bincount(code, weights=fraud)[code] - np.bincount(pair, weights=fraud)[pair]
    return np.stack(
        [_log(others), _log(accounts), _bad(bad, lot), _share(bad, others, lot), _log(_near(code, placed)),
         _share(foreign_bad, foreign, lot)], axis=1,
    ).astype(np.float32)  # fmt: skip


def _near(code: Ints, placed: NDArray[np.float64]) -> Ints:
    """int64[M]: other orders of the same entity within the hours that count as near."""
    span = settings().relations["near_hours"] * 3600.0
    since = placed - placed.min()
    # One axis for all entities, with room between them.
    axis = code * (since.max() + 2 * span + 1.0) + since
    ranked = np.sort(axis)
    found = np.searchsorted(ranked, axis + span, side="right") - np.searchsorted(ranked, axis - span)
    return np.asarray(found - 1, dtype=np.int64)


def _group(relations: Relations, fraud: Bools, lot: NDArray[np.float64]) -> Floats:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n, hub = len(fraud), int(settings().relations["group_hub_orders"])
    edges, start = [], n
    for kind in GROUP_KINDS:
        rows, code, size = _linked(relations.kinds[kind], hub)
        edges.append(np.stack([rows, code + start]))
        start += len(size)
    ends = np.concatenate(edges, axis=1)
    graph = coo_matrix((np.ones(ends.shape[1], dtype=np.int8), (ends[0], ends[1])), shape=(start, start))
    group = connected_components(graph, directed=False)[1][:n].astype(np.int64)
    size = np.bincount(group)
    held = np.unique(np.stack([group, relations.kinds["account"]], axis=1), axis=0)[:, 0]
    others = size[group] - 1
    bad = np.bincount(group, weights=fraud)[group] - fraud
    accounts = np.bincount(held, minlength=len(size))[group]
    return np.stack([_log(others), _log(accounts), _share(bad, others, lot)], axis=1).astype(np.float32)


def _log(count: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.floor(np.log2(1.0 + count.astype(np.float64)))


def _bad(count: NDArray[np.generic], lot: NDArray[np.float64]) -> NDArray[np.float64]:
    """Binary logarithm of a count of fraud, rounded down or up by lot."""
    return np.floor(np.log2(1.0 + count.astype(np.float64)) + lot)


def _share(
    part: NDArray[np.generic], whole: NDArray[np.generic], lot: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``part / whole`` in steps, rounded down or up by lot; NaN when there is nothing to divide by."""
    step = settings().relations["share_step"]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = part.astype(np.float64) / whole.astype(np.float64)
    return np.asarray(np.floor(share / step + lot) * step, dtype=np.float64)
