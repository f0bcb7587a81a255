"""The 79 nodes that a front end measures, drawn from each visit's habits, modality and devices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import BIN_COUNT, HistogramSpec, catalog
from riskgraph.eval.worlds import geo, habits
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.nodes import Bins, Scalar, Weights, histograms, scalars
from riskgraph.eval.worlds.signals import Signals
from riskgraph.eval.worlds.streams import Bools, Floats, Ints, chance, pick_rows, sigmoid
from riskgraph.eval.worlds.visits import PARSED, SAVED, Visits

# Measurements get lost in any browser, in honest and in fraudulent visits alike.
_DROPPED = 0.012


def masks(rng: np.random.Generator, visits: Visits) -> dict[str, Bools]:
    """Conditions under which nodes exist, by the names used in ``nodes``."""
    n = len(visits)
    front, kind = visits.front, visits.of_device("kind")
    filled = front & (visits.address_mode != SAVED)
    typed = filled & (visits.address_mode != PARSED)
    physical = front & (kind == habits.DESKTOP)
    left = visits.driver("switching") + rng.normal(0, 0.8, n) > -0.5
    typed = typed & chance(rng, sigmoid(1.6 - 0.5 * visits.driver("paste")), n)
    return {
        "front": front,
        "press": front,
        "browse": front & chance(rng, 0.95, n),
        "reviews": front & chance(rng, 0.85, n),
        "cart": front & chance(rng, 0.7, n),
        "mouse": visits.mouse,
        "mouse_address": visits.mouse & (filled | chance(rng, 0.35, n)),
        "coalesced": visits.mouse & visits.of_device("has_hints"),
        "touch": visits.touch,
        "touch_width": visits.touch & chance(rng, 0.8, n),
        "motion": visits.touch & (visits["motion"] == 1) & (kind != habits.DESKTOP),
        "handheld": front & (kind != habits.DESKTOP),
        "clicks": visits.mouse | visits.touch,
        "keys": physical & chance(rng, np.where(typed, 0.97, 0.45), n),
        "filled": filled,
        "typed": typed,
        "typed_keys": typed,
        "name_typed": typed & chance(rng, 0.8, n),
        "phone_typed": typed & chance(rng, 0.85, n),
        "ime": typed & (visits.of_account("country") == 0),
        "optional": filled & chance(rng, 0.8, n),
        "payment": front & chance(rng, 0.97, n),
        "card_choice": front & visits.card_used,
        "card_typed": front & visits.new_card & ~_hosted(visits) & chance(rng, 0.9, n),
        "hosted": front & visits.card_used & _hosted(visits),
        "left": front & left,
        "returns": filled & left & (visits.driver("paste") + rng.normal(0, 0.8, n) > 0.3),
        "browser": front & (kind != habits.WEBVIEW),
        "frames": front & chance(rng, 0.97, n),
    }


def _hosted(visits: Visits) -> Bools:
    """In the EU the card fields lie in the payment provider's frame."""
    return np.asarray(visits.of_account("country") == 1, dtype=np.bool_)


def _linear(visits: Visits, weights: Weights) -> Floats:
    total = np.zeros(len(visits))
    for name, weight in weights.items():
        total += weight * visits.driver(name)
    return total


def _scalar(rng: np.random.Generator, visits: Visits, spec: Scalar) -> NDArray[np.generic]:
    n = len(visits)
    shown = visits.shown(spec.node)
    x = spec.centre + _linear(visits, spec.weights) + shown + rng.normal(0, 1, n) * spec.noise
    if spec.shape == "count":
        return rng.poisson(np.exp(np.clip(x, -20, 6))).astype(np.float64)
    if spec.shape == "flag":
        return chance(rng, sigmoid(x), n)
    values = sigmoid(x) if spec.shape == "ratio" else np.exp(np.clip(x, -20, 16))
    return np.round(np.where(chance(rng, spec.zero * (shown == 0), n), 0.0, values), spec.digits)


def _scalars(
    rng: np.random.Generator,
    specs: tuple[Scalar, ...],
    visits: Visits,
    exists: dict[str, Bools],
    out: Signals,
) -> None:
    for spec in specs:
        values = _scalar(rng, visits, spec)
        if spec.node in ("B003", "B074"):
            values = values.astype(np.float64) + 1.0
        if spec.node == "B005":
            values = np.round(values.astype(np.float64) * 6.0, 3)
        if spec.node == "B081":
            values = values.astype(np.float64) + np.round(np.log2(visits.of_device("hz") / 60) * 0.4, 3)
        out.put(spec.node, values, exists[spec.mask] & chance(rng, 1 - _DROPPED, len(visits)))


def bin_shares(
    spec: HistogramSpec, centre: Floats, width: Floats, aside: tuple[float, float] = (0.0, 0.0)
) -> Floats:
    """Shares of the 16 bins of a logistic law on the log2 (or logit) scale, float64[N, 16].

    ``aside`` is the share that follows the same law elsewhere, and by how far its centre is moved.
    """
    edges = np.array(spec.edges[1:-1])
    low, high = spec.edges[0], spec.edges[-1]
    # Bins that widen are those on a log scale; the others are 16 equal ones.
    is_log = edges[-1] - edges[-2] > 1.5 * (edges[1] - edges[0])
    scale = np.log2(edges) if is_log else np.log((edges - low) / (high - edges))
    cdf = sigmoid((scale[None, :] - centre[:, None]) / width[:, None])
    share, far = aside
    if share:
        there = sigmoid((scale[None, :] - centre[:, None] - far) / width[:, None])
        cdf = (1 - share) * cdf + share * there
    return np.diff(np.concatenate([np.zeros((len(cdf), 1)), cdf, np.ones((len(cdf), 1))], axis=1), axis=1)


def _histogram(rng: np.random.Generator, visits: Visits, spec: Bins, rows: Ints, hist: HistogramSpec) -> Ints:
    """int64[len(rows), 16] counts of one histogram."""
    n = len(rows)
    centre = spec.centre + _linear(visits, spec.weights)[rows] + rng.normal(0, spec.noise, n)
    if spec.node == "B015":
        centre = centre + np.log2(125.0 / visits.of_device("hz")[rows])
    if spec.touch:
        centre = centre + spec.touch * visits.touch[rows]
    # Scripts and replayed gestures are narrower than a hand; people differ as well.
    narrow = (
        -spec.narrows * visits.driver("regular")[rows]
        - spec.narrows * visits.driver("still")[rows] * visits.touch[rows]
    )
    width = spec.width * np.exp(np.clip(narrow + rng.normal(0, 0.18, n), -2.0, 1.2))
    entries = np.exp(
        spec.entries + _linear(visits, spec.entry_weights)[rows] + rng.normal(0, spec.entry_noise, n)
    )
    count = spec.least + rng.poisson(np.clip(entries, 0.2, 6000))
    return np.asarray(rng.multinomial(count, bin_shares(hist, centre, width, spec.aside)), dtype=np.int64)


def _histograms(
    rng: np.random.Generator,
    specs: tuple[Bins, ...],
    visits: Visits,
    exists: dict[str, Bools],
    out: Signals,
) -> None:
    present: dict[str, Bools] = {}
    for spec in specs:
        node = catalog()[spec.node]
        if spec.node not in present:
            # Once a node: its named histograms come together or not at all.
            present[spec.node] = exists[spec.mask] & chance(rng, 1 - _DROPPED, len(visits))
        rows = np.flatnonzero(present[spec.node])
        hist = next(h for h in node.histograms if h.name == spec.part)
        # Rows without the node stay zero and are written as null.
        counts = np.zeros((len(visits), BIN_COUNT), dtype=np.int32)
        counts[rows] = _histogram(rng, visits, spec, rows, hist)
        out.put(spec.node, counts, present[spec.node], part=spec.part)


def seconds_in(spec: HistogramSpec, counts: Ints) -> Floats:
    """Sum of the entries of N histograms of durations, even on the log2 scale inside a bin: float64[N]."""
    edges = np.maximum(np.array(spec.edges), 0.5)
    return np.asarray(counts @ (np.diff(edges) / np.diff(np.log(edges))), dtype=np.float64)


def _lasts_as_long_as_its_pages(out: Signals) -> None:
    """A visit lasts as long as its product pages were seen, and what else it takes."""
    seen = seconds_in(catalog()["B001"].histograms[0], out.columns["B001"])
    out.columns["B010"] = np.minimum(np.round(out.columns["B010"] + seen, 1), catalog()["B010"].bounds[1])


def _entry(rng: np.random.Generator, visits: Visits) -> Ints:
    """B002; proxy and promotion shoppers come by shared deep links, and so do many honest ones."""
    haste, depth, bargain = (visits.driver(d) for d in ("haste", "depth", "bargain"))
    mini = visits["channel"] == 1
    logits = np.column_stack(
        [
            np.full(len(visits), 1.0), 0.9 + 0.4 * depth, 0.1 + 0.0 * depth, 0.2 + 0.2 * bargain,
            -0.2 + 0.45 * haste + 0.25 * bargain - 0.3 * depth, np.where(mini, 1.6, -30.0),
            -0.6 + 0.1 * bargain,
            np.full(len(visits), -1.8),
        ]
    )  # fmt: skip
    return pick_rows(rng, np.exp(logits))


def _completion(rng: np.random.Generator, visits: Visits) -> Ints:
    """B043; a pasted block fills several fields at once."""
    paste, care = visits.driver("paste"), visits.driver("care")
    n = len(visits)
    logits = np.column_stack(
        [
            np.full(n, 1.4),
            0.6 + 0.2 * care,
            -0.6 + 0.2 * care,
            np.full(n, -3.5),
            np.where(visits.address_mode == PARSED, 2.5, -4.0 + 0.3 * paste),
        ]
    )
    return pick_rows(rng, np.exp(logits))


def _environment(rng: np.random.Generator, visits: Visits, out: Signals) -> None:
    n, front, kind = len(visits), visits.front, visits.of_device("kind")
    spoof = visits.driver("spoof")
    out.put("B077", np.array([0, 1, 3, 2])[kind], front)
    lies = visits.of_device("ua_lies") | chance(rng, 0.004, n)
    out.put("B078", ~lies, front & visits.of_device("has_hints"))
    out.put("B079", visits.of_device("own_trace") | chance(rng, 0.0008, n), front)
    abroad = np.column_stack([np.full(n, 2.4), 0.2 + 0.35 * spoof, -1.8 + 0.7 * spoof])
    out.put("B082", pick_rows(rng, np.exp(abroad)), front)
    out.put("B084", visits["modality"], front)


def position(rng: np.random.Generator, visits: Visits) -> Bools:
    """Whether a permitted request gave a position: a property of the device, not of the distance.

    A shared screen keeps the victim's own device from giving one.
    """
    hides = np.array([0.0, *(f.archetype.position_fails * f.hides_position for f in visits.families)])
    hidden = hides[visits["kind"]]
    shared = (hidden > 0) & chance(rng, 1 - 0.5 * visits["camouflage"], len(visits))
    fails = np.where(shared, hidden, visits.of_device("position_fails"))
    return chance(rng, 1 - np.maximum(fails, visits.of_type("unlocated")), len(visits))


def behavior(config: WorldConfig, visits: Visits, out: Signals) -> None:
    """Enter the 79 browser-side nodes of all visits with a front end."""
    rng = visits.stream(config.seed, "behavior")
    exists = masks(rng, visits)
    _scalars(rng, scalars(config.calibrated), visits, exists, out)
    _histograms(rng, histograms(config.calibrated), visits, exists, out)
    if config.calibrated:
        _lasts_as_long_as_its_pages(out)
    out.put("B002", _entry(rng, visits), visits.front)
    out.put("B043", _completion(rng, visits), exists["filled"] & chance(rng, 0.95, len(visits)))
    out.put("B051", visits.address_mode, visits.front)
    _environment(rng, visits, out)
    fixed = position(rng, visits)
    out.put("B085", np.where(fixed, 0, 1), visits.front & (visits["location"] == 1))
    ship = visits.cast.addresses["city"][visits["address"]]
    here = np.where(
        visits["kind"] == 0,
        np.where(visits["city"] >= 0, visits["city"], visits.of_account("home_city")),
        visits.cast.networks["city"][np.maximum(visits["network"], 0)],
    )
    km = np.where(ship == here, rng.gamma(1.6, 6.0, len(visits)), geo.distance_km(here, ship))
    out.put("B109", geo.distance_band(km), visits.front & (visits["location"] == 1) & fixed)
