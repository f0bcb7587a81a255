"""Random models and orders that other tests can use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT, Form, catalog
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.core.verdict import Thresholds
from riskgraph.models.binning import COMPONENT_COUNT, WIDTH, BinEdges, fit_edges
from riskgraph.models.card import AVAILABILITY_CLASSES, LIMITS, SIMULATED_LIMIT, Calibration, Card
from riskgraph.models.compiled import CompiledModel, Tables, write_model
from riskgraph.models.rows import Rows, source_columns
from riskgraph.models.trees import INPUT_COUNT, Forest, TreeModel, tree_inputs, write_forest

COMPONENT_NODE = np.array(catalog().component_node)


def random_components(rows: int, seed: int, *, absent: float = 0.3) -> NDArray[np.float32]:
    """float32[rows, 259] in the catalogue's ranges; nodes are absent as a whole."""
    rng = np.random.default_rng(seed)
    out = np.empty((rows, COMPONENT_COUNT), dtype=np.float32)
    for node, part in zip(catalog().nodes, catalog().component_slices, strict=True):
        size = (rows, part.stop - part.start)
        if node.form is Form.CLASS:
            out[:, part] = rng.integers(0, len(node.words), size)
        elif node.form is Form.FLAG:
            out[:, part] = rng.integers(0, 2, size)
        elif node.form is Form.NUMBER:
            low, high = node.bounds
            out[:, part] = np.clip(low + rng.exponential(min(high - low, 10) / 3, size), low, high)
        elif node.form is Form.HISTOGRAM:
            out[:, part] = rng.gamma(2.0, 1.5, size)
        else:
            out[:, part] = rng.poisson(1.0, size) * rng.choice([1.0, 0.5], size)
    gone = rng.random((rows, NODE_COUNT)) < absent
    out[gone[:, COMPONENT_NODE]] = np.nan
    return out


def random_states(components: NDArray[np.float32], seed: int) -> NDArray[np.uint8]:
    """States that fit the components: a random cause where a node is absent."""
    rng = np.random.default_rng(seed)
    first = [part.start for part in catalog().component_slices]
    absent = np.isnan(components[:, first])
    return np.where(absent, rng.integers(1, 4, absent.shape), State.PRESENT).astype(np.uint8)


def random_subgraph(seed: int, *, absent: float = 0.3) -> OrderSubgraph:
    """One order with random present nodes; histogram shares stay zero, the model never reads them."""
    components = random_components(1, seed, absent=absent)
    shares = np.zeros((catalog().histogram_count, 16), dtype=np.uint8)
    return OrderSubgraph(random_states(components, seed)[0], components[0], shares)


def random_edges(seed: int) -> BinEdges:
    components = random_components(600, seed, absent=0.1)
    label = (np.arange(600) % 10 == 0).astype(np.int8)
    return fit_edges(components, label, np.ones(600))


def random_tables(seed: int, *, scale: float = 0.15) -> Tables:
    """Random tables with exact zeros where a node is absent."""
    rng = np.random.default_rng(seed)
    own = rng.normal(0.0, scale, (COMPONENT_COUNT, WIDTH))
    pairs = rng.normal(0.0, scale / 2, (len(catalog().pairs), WIDTH, WIDTH))
    own[:, 0] = 0.0
    pairs[:, 0, :] = 0.0
    pairs[:, :, 0] = 0.0
    return Tables(random_edges(seed), own, pairs)


def random_card(seed: int = 0) -> Card:
    classes = {
        name: Calibration(-4.0 - 0.1 * i, Thresholds(0.3 + 0.01 * i, 0.7 + 0.01 * i), "made up for a test")
        for i, name in enumerate(AVAILABILITY_CLASSES)
    }
    return Card(
        name=f"random-{seed}",
        version="0",
        kind="order2",
        provenance="simulated",
        created="2026-01-01T00:00:00Z",
        classes=classes,
        recipe={"seed": seed},
        limits=[*LIMITS, SIMULATED_LIMIT],
    )


def random_model(folder: Path, seed: int) -> CompiledModel:
    """Write a random model to ``folder`` and load it."""
    write_model(folder, random_tables(seed), random_card(seed))
    return CompiledModel.load(folder)


def random_forest(seed: int, trees: int = 40, depth: int = 4) -> Forest:
    """Full trees of one depth that ask for random inputs, with values that make scores differ."""
    rng = np.random.default_rng(seed)
    size, inner = 2 ** (depth + 1) - 1, 2**depth - 1
    here, start = np.arange(size), np.repeat(np.arange(trees) * size, size)
    at = np.tile(here, trees)
    leaf, place = at >= inner, start + at
    components = random_components(400, seed, absent=0.2)
    feature = rng.integers(0, INPUT_COUNT, len(at))
    sample = tree_inputs(components)[rng.integers(0, 400, len(at)), feature]
    return Forest(
        feature=np.where(leaf, 0, feature).astype(np.int32),
        threshold=np.where(leaf | np.isnan(sample), 0.5, sample).astype(np.float64),
        missing_left=rng.random(len(at)) < 0.5,
        left=np.where(leaf, place, start + 2 * at + 1).astype(np.int32),
        right=np.where(leaf, place, start + 2 * at + 2).astype(np.int32),
        value=np.where(leaf, rng.normal(0.0, 0.4, len(at)), 0.0),
        roots=(np.arange(trees) * size).astype(np.int32),
        depth=np.array([depth], dtype=np.int64),
        baseline=np.array([0.1]),
    )


def random_tree_model(folder: Path, seed: int, **card: Any) -> TreeModel:
    """Write random trees to ``folder`` and load them; ``card`` replaces fields of the card."""
    write_forest(folder, random_forest(seed), replace(random_card(seed), kind="gbdt", **card))
    return TreeModel.load(folder)


def planted_rows(count: int, seed: int) -> tuple[Rows, int]:
    """Rows whose fraud follows two nodes and one pair; returns the rows and the pair's index."""
    rng = np.random.default_rng(seed)
    index = catalog().component_index
    pair = catalog().pair_index[tuple(sorted((catalog()["B110"].index, catalog()["B085"].index)))]  # type: ignore[index]
    x = random_components(count, seed, absent=0.2)
    logit = -5.0 + 2.0 * (x[:, index["B064.value"]] > 4) + 3.0 * (x[:, index["B131.accounts_30d"]] > 1)
    logit += 3.0 * ((x[:, index["B110.value"]] >= 3) & (x[:, index["B085.value"]] == 1))
    label = (rng.random(count) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    availability = rng.choice(np.array(["pre_auth/front_end", "pre_auth/no_front_end"], dtype=object), count)
    x[np.ix_(availability == "pre_auth/no_front_end", source_columns("no_front_end"))] = np.nan
    cluster = np.where(label == 1, rng.integers(0, 12, count), -1).astype(np.int32)
    return Rows(x, availability, label, np.ones(count), cluster), pair
