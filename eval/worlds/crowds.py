"""Honest crowds that look like gangs: many strangers buy what went viral, and a dormitory buys together."""

from __future__ import annotations

import numpy as np

from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.shop import DAY, Shop
from riskgraph.eval.worlds.streams import Bools, Floats, Ints, chance, stream

# Design choices: a viral product draws 8 % of a fortnight's orders into hours; a group takes 40 minutes.
_VIRAL_DAYS, _VIRAL_SHARE, _VIRAL_HOURS = 7.0, 0.08, 5.0
_GROUP_MINUTES, _GROUP_LEAST = 40.0, 4


def crowds(
    config: WorldConfig, shop: Shop, created: Floats, who: Ints, home: Ints, t: Floats, launch: Ints
) -> tuple[Floats, Ints]:
    """Move some honest orders into crowds; the number of orders stays.

    Args:
        config: Numbers of viral products and group purchases.
        shop: Goods and calendar.
        created: float64[N] when each order's account was opened; nobody orders before that.
        who: int64[N] account.
        home: int64[N] usual address of the account.
        t: float64[N] order times, epoch seconds UTC.
        launch: int64[N] SKU that the order is for, or -1.

    Returns:
        New times and SKUs.
    """
    if not config.viral and not config.group_buys:
        return t, launch
    rng = stream(config.seed, "crowds")
    t, launch = t.copy(), launch.copy()
    free: Bools = launch < 0
    for moment in shop.times(rng, np.zeros(config.viral)):
        near = free & (np.abs(t - moment) < _VIRAL_DAYS * DAY) & (created < moment)
        rows = np.flatnonzero(near & chance(rng, _VIRAL_SHARE, len(t)))
        wait = _VIRAL_HOURS * 3600 * np.exp(rng.normal(0, 0.8, len(rows)))
        _move(config, rng, shop, rows, moment + wait, (t, launch, free))
    places, accounts = np.unique(np.unique(np.column_stack([home, who]), axis=0)[:, 0], return_counts=True)
    # Homes of many accounts are dormitories, receptions and lockers.
    shared = places[accounts >= _GROUP_LEAST]
    for moment in shop.times(rng, np.zeros(config.group_buys if len(shared) else 0)):
        mine = np.flatnonzero((home == shared[rng.integers(0, len(shared))]) & free & (created < moment))
        rows = mine[np.unique(who[mine], return_index=True)[1]]
        if len(rows) >= _GROUP_LEAST:
            wait = rng.random(len(rows)) * _GROUP_MINUTES * 60
            _move(config, rng, shop, rows, moment + wait, (t, launch, free))
    return t, launch


def _move(
    config: WorldConfig,
    rng: np.random.Generator,
    shop: Shop,
    rows: Ints,
    when: Floats,
    columns: tuple[Floats, Ints, Bools],
) -> None:
    t, launch, free = columns
    t[rows] = np.minimum(when, config.end_s - 60.0)
    launch[rows] = rng.integers(0, len(shop.line))
    free[rows] = False
