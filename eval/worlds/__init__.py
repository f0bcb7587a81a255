"""Worlds: histories of orders on disk, simulated or a shop's own, and what is read from them."""

from riskgraph.eval.worlds.check import read_manifest
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.describe import describe
from riskgraph.eval.worlds.events import DECISIONS, OUTCOMES, Event, events
from riskgraph.eval.worlds.export import export_ndjson, row_counts
from riskgraph.eval.worlds.exporter import outcome_body, requests, to_request
from riskgraph.eval.worlds.families import FAMILIES
from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.family_files import load_families
from riskgraph.eval.worlds.importer import import_ndjson
from riskgraph.eval.worlds.leaks import Leak, single_component_leaks
from riskgraph.eval.worlds.oracle import Oracle, read_oracle, truth_of
from riskgraph.eval.worlds.order_table import orders_with_subgraphs
from riskgraph.eval.worlds.packed import write_packed_world
from riskgraph.eval.worlds.parallel import workers_for
from riskgraph.eval.worlds.presets import PRESETS, preset
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.replay import replay
from riskgraph.eval.worlds.schema import ENTITY_COLUMNS, PURPOSE_COLUMNS
from riskgraph.eval.worlds.seed_case import (
    FAR_REFUSED,
    FAR_UNCONFIRMED,
    NEAR_CONFIRMED,
    SeedCase,
    seed_cases,
)
from riskgraph.eval.worlds.simulate import simulate
from riskgraph.eval.worlds.texts import texts
from riskgraph.eval.worlds.writer import ROWS_PER_FILE

__all__ = [
    "DECISIONS",
    "ENTITY_COLUMNS",
    "FAMILIES",
    "FAR_REFUSED",
    "FAR_UNCONFIRMED",
    "NEAR_CONFIRMED",
    "OUTCOMES",
    "PURPOSE_COLUMNS",
    "PRESETS",
    "ROWS_PER_FILE",
    "Event",
    "Family",
    "Leak",
    "Oracle",
    "SeedCase",
    "World",
    "WorldConfig",
    "describe",
    "events",
    "export_ndjson",
    "import_ndjson",
    "load_families",
    "orders_with_subgraphs",
    "outcome_body",
    "preset",
    "write_packed_world",
    "read_manifest",
    "read_oracle",
    "truth_of",
    "replay",
    "requests",
    "row_counts",
    "seed_cases",
    "simulate",
    "single_component_leaks",
    "texts",
    "to_request",
    "workers_for",
]
