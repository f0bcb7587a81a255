"""simulate: from a configuration and a seed to a world on disk. Forward in time, agents first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from riskgraph.eval.worlds.behavior import behavior
from riskgraph.eval.worlds.checkout import checkout
from riskgraph.eval.worlds.config import WorldConfig, plain
from riskgraph.eval.worlds.extras import arrow, faker
from riskgraph.eval.worlds.families import FAMILIES
from riskgraph.eval.worlds.family import Family, chosen
from riskgraph.eval.worlds.family_files import perform
from riskgraph.eval.worlds.gangs import Honest, build_gangs
from riskgraph.eval.worlds.honest import honest_visits, households, redraw_changes
from riskgraph.eval.worlds.outcomes import outcomes
from riskgraph.eval.worlds.parcels import parcel_tables
from riskgraph.eval.worlds.pools import Cast
from riskgraph.eval.worlds.scene import Scene
from riskgraph.eval.worlds.sellers import build_sellers
from riskgraph.eval.worlds.shop import DAY, Baskets, Shop, build_shop, fill_baskets
from riskgraph.eval.worlds.signals import Signals
from riskgraph.eval.worlds.streams import Ints
from riskgraph.eval.worlds.tables import labels_table, orders_table, outcomes_table
from riskgraph.eval.worlds.visits import Visits, arrange
from riskgraph.eval.worlds.writer import (
    Progress,
    new_folder,
    quiet,
    spans,
    write_blocks,
    write_manifest,
    write_parts,
)

ENTITIES = {
    "account": "opaque",
    "device": "opaque",
    "card": "opaque",
    # Raw, so that the door's own derivations (spelling, number class) are exercised; all of it is invented.
    "address": "raw",
    "phone": "raw",
    "ip": "opaque",
}
_STEPS = 5
_NEWCOMER_DAYS = 30


def live(config: WorldConfig, shop: Shop, further: tuple[Family, ...] = ()) -> Visits:
    """Let honest people and gangs act over the configured months."""
    families = chosen(config.archetypes, (*FAMILIES.values(), *further))
    cast = Cast()
    build_sellers(config, cast)
    homes = households(config, cast)
    honest_visits(config, shop, cast, homes)
    # Gangs come last: they take over and rent what honest people have.
    scene = Scene(config, shop, cast, Honest.of(cast))
    for gang in build_gangs(config, shop, cast, families):
        perform(gang.family, scene, gang)
    if config.since_sign_up:
        redraw_changes(config, cast)
    return arrange(config, cast, families)


def measure(config: WorldConfig, shop: Shop, visits: Visits) -> tuple[Baskets, Signals, Ints]:
    """What the shop's systems record of the visits: baskets, node values, declined attempts."""
    seek = visits["seek_coupon"] + 0.08 * visits.driver("bargain").clip(0, 3)
    new = visits.rank
    if config.lifelike:
        old = visits["t"] - visits.of_account("created") > _NEWCOMER_DAYS * DAY
        new = np.where(old, np.maximum(new, 1), new)
    baskets = fill_baskets(
        visits.stream(config.seed, "baskets"),
        shop,
        visits["t"],
        visits["basket"],
        visits["launch"],
        seek.clip(0, 1),
        new,
    )
    if config.since_sign_up:
        opened = visits.of_account("created")[:, None]
        baskets = replace(baskets, claimed=np.maximum(baskets.claimed, opened))
    signals = Signals(len(visits))
    behavior(config, visits, signals)
    declined = checkout(config, visits, signals)
    purposes = {"behavior": "behavior", "motion": "motion", "location": "location", "device": "device_ok"}
    # At the end, over everything: no node can be forgotten.
    signals.apply_purposes(visits.front, {p: visits[c] for p, c in purposes.items()})
    return baskets, signals, declined


def simulate(
    config: WorldConfig,
    seed: int | None,
    out: Path,
    progress: Progress = quiet,
    families: tuple[Family, ...] = (),
) -> Path:
    """Write a simulated world.

    The same configuration and seed give the same bytes. Observed data and the oracle lie in separate
    folders; the folder appears as a whole or not at all.

    Args:
        config: Parameters; ``seed`` replaces its seed where given.
        seed: Seed of all random streams.
        out: A folder that does not exist yet, or is empty.
        progress: Called with (step, done, total).
        families: Further kinds of fraud beside those of the configuration, as ``load_families`` read them.

    Raises:
        Conflict: If ``out`` is not empty.
        ExtraMissing: If the extra ``lab`` is not installed.
    """
    arrow()
    config = config.scaled(seed=seed).joined(tuple(family.archetype for family in families))
    with new_folder(Path(out)) as folder:
        _write(folder, config, families, progress)
    progress("done", _STEPS, _STEPS)
    return Path(out)


def _write(folder: Path, config: WorldConfig, families: tuple[Family, ...], progress: Progress) -> None:
    progress("people and gangs", 0, _STEPS)
    shop = build_shop(config)
    visits = live(config, shop, families)
    write_parts(_orders(config, shop, visits, progress), folder / "observed", "orders")
    progress("outcomes", 2, _STEPS)
    late = outcomes(config, visits)
    tables = (outcomes_table(config, visits, late.rows(slice(*span)), span[0]) for span in spans(len(late)))
    write_parts(tables, folder / "observed", "outcomes")
    progress("oracle", 3, _STEPS)
    labels = (labels_table(config, visits.rows(*span)) for span in spans(len(visits)))
    write_blocks(labels, folder / "oracle" / "labels.parquet")
    if visits["parcel"].any():
        write_blocks(parcel_tables(config, visits), folder / "oracle" / "parcels.parquet")
    progress("manifest", 4, _STEPS)
    write_manifest(folder, facts(config, len(visits), len(late), families))


def _orders(config: WorldConfig, shop: Shop, visits: Visits, progress: Progress) -> Iterator[Any]:
    """Arrow tables of the orders; node values exist of one part at a time."""
    done = 0
    for part in visits.parts():
        for table in _measured(config, shop, part):
            yield table
            done += table.num_rows
            progress("orders", done, len(visits))


def _measured(config: WorldConfig, shop: Shop, part: Visits) -> Iterator[Any]:
    # In a function of its own, or a part would stay in memory while the next one is drawn.
    baskets, signals, declined = measure(config, shop, part)
    for start, stop in spans(len(part)):
        yield orders_table(
            config,
            shop,
            part.rows(start, stop),
            baskets.rows(start, stop),
            signals.rows(start, stop),
            declined[start:stop],
        )


def facts(config: WorldConfig, orders: int, late: int, families: tuple[Family, ...]) -> dict[str, object]:
    """What the manifest says about a simulated world; nothing from the oracle beyond the set-up."""
    # A stranger's play is part of what made the world, and no configuration holds it.
    files = {"families": {family.name: family.sha256 for family in families}} if families else {}
    placed = {family.name: family.placed_against for family in families if family.placed_against}
    return {
        "provenance": "simulated",
        "name": config.name,
        "seed": config.seed,
        "config": plain(config),
        "config_sha256": config.sha256,
        "entities": ENTITIES,
        "counts": {"orders": orders, "outcomes": late},
        "note": f"Simulated orders. {_rate(config)}; addresses and phone numbers are synthetic.",
        # Other versions may draw other streets or write other bytes from the same seed.
        "made_with": {"faker": str(faker().VERSION), "pyarrow": str(arrow().__version__)},
        **files,
        # Figures on such a world say something about that model alone.
        **({"placed_against": placed} if placed else {}),
    }


def _rate(config: WorldConfig) -> str:
    if config.enriched:
        why = "so that k-anonymous releases have enough persons"
        return f"Fraud is enriched to {config.fraud_share:.0%} of orders {why}"
    return f"Fraud is {config.fraud_share:.1%} of orders, a rate such as shops have"
