"""Natural-person units and components: what the k of a release, and of a backtest, is counted over.

A unit stands for one natural person: an account, merged with every account that shares its card,
or its device *and* its address. A hub, meaning an entity on more than 8 accounts (locker, depot,
forwarder, dormitory network), merges nobody. A component is what hangs together over any shared
entity; only entities on more than 500 orders are cut there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.table import OrderTable

# Fifty accounts of one ring are not fifty persons, so components count too.
LEAST_K = 50
MIN_COMPONENTS = 5
MAX_COMPONENT_SHARE = 0.5
HUB_ACCOUNTS = 8
HUB_ORDERS = 500

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Units:
    """Who stands behind each order.

    Attributes:
        unit: int64[N], dense unit numbers. An order without an account is a unit of its own.
        component: int64[N], dense component numbers; all orders of a unit share one.
    """

    unit: Ints
    component: Ints


def connect(count: int, left: Ints, right: Ints) -> Ints:
    """Connected sets of ``count`` vertices under undirected edges, as dense numbers int64[count]."""
    root = np.arange(count, dtype=np.int64)
    while True:
        a, b = root[left], root[right]
        differ = a != b
        if not differ.any():
            break
        np.minimum.at(root, np.maximum(a, b)[differ], np.minimum(a, b)[differ])
        flat = root[root]
        while not np.array_equal(flat, root):
            root, flat = flat, flat[flat]
    return np.unique(root, return_inverse=True)[1].astype(np.int64)


def _holders(entity: Ints, account: Ints) -> tuple[Ints, Ints]:
    """Distinct (entity, account) of entities on 2 to 8 accounts, sorted by entity, then account."""
    known = (entity >= 0) & (account >= 0)
    if not known.any():
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    span = np.int64(account.max() + 1)
    codes = np.unique(entity[known], return_inverse=True)[1].astype(np.int64)
    keys = np.unique(codes * span + account[known])
    entities, accounts = keys // span, keys % span
    fanout = np.bincount(entities)[entities]
    kept = (fanout > 1) & (fanout <= HUB_ACCOUNTS)
    return entities[kept], accounts[kept]


def _shared(entity: Ints, account: Ints) -> Ints:
    """Keys ``low * span + high`` of all pairs of accounts that hold one entity together."""
    entities, accounts = _holders(entity, account)
    span = np.int64(account.max(initial=0) + 1)
    keys = []
    for shift in range(1, HUB_ACCOUNTS):
        same = entities[shift:] == entities[:-shift]
        keys.append(accounts[:-shift][same] * span + accounts[shift:][same])
    return np.unique(np.concatenate(keys))


def _components(table: OrderTable, unit: Ints) -> Ints:
    """Component of each unit: int64[units]."""
    count = int(unit.max(initial=-1)) + 1
    left, right, top = [], [], count
    for entity in (table.device, table.card, table.address):
        known = entity >= 0
        codes = np.unique(entity[known], return_inverse=True)[1]
        small = np.bincount(codes, minlength=1)[codes] <= HUB_ORDERS
        left.append(unit[known][small])
        right.append(top + codes[small])
        top += int(codes.max(initial=-1)) + 1
    return connect(top, np.concatenate(left), np.concatenate(right).astype(np.int64))[:count]


def find_units(table: OrderTable) -> Units:
    """Units and components of all orders of a table.

    Two accounts share device and address when some device is on both and some address is on both,
    in whatever orders; that merges more, and so counts fewer persons, than asking for one order.
    """
    accounts, account = np.unique(table.account, return_inverse=True)
    account = account.astype(np.int64)
    guest = table.account < 0
    account[guest] = -1
    span = np.int64(len(accounts) + 1)
    both = np.intersect1d(_shared(table.device, account), _shared(table.address, account))
    keys = np.concatenate([_shared(table.card, account), both])
    held = np.int64(account.max(initial=0) + 1)
    merged = connect(int(span), keys // held, keys % held)
    unit = merged[account]
    unit[guest] = span + np.arange(int(guest.sum()))
    unit = np.unique(unit, return_inverse=True)[1].astype(np.int64)
    component = np.unique(_components(table, unit), return_inverse=True)[1].astype(np.int64)
    return Units(unit, component[unit])
