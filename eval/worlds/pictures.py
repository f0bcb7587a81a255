"""Pictures of simulated worlds for the documents, as PNG and SVG, the same bytes for the same world.

All raise ExtraMissing when matplotlib is not installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.outcome import FRAUD_KINDS
from riskgraph.eval.metrics import Bools, Floats, Ints
from riskgraph.eval.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, picture
from riskgraph.eval.worlds.gates.material import Material
from riskgraph.eval.worlds.gates.people import recall_by_camouflage
from riskgraph.eval.worlds.reader import World

DAY_S = 86_400.0
_KIND_COLOURS = {"account": GREY, "device": BLUE, "card": ORANGE, "door": GREEN, "phone": PURPLE}
_DASHES = ("-", "--", ":", "-.")
LONGEST_DAYS = 120


def plot_volume(folder: Path, placed_s: Floats, fraud: Bools) -> None:
    """``volume``: orders a day, honest and fraudulent, over the world's time.

    Args:
        folder: Where ``volume.png`` and ``volume.svg`` go.
        placed_s: float64[N] epoch seconds.
        fraud: bool[N].
    """
    day = (placed_s // DAY_S).astype(np.int64)
    days = np.arange(day.min(), day.max() + 1)
    counts = [np.bincount(day[m] - days[0], minlength=len(days)) for m in (~fraud, fraud)]
    with picture(folder, "volume", 2, (12.5, 4.4), True) as (figure, axes):
        for axis, count, name, colour in zip(axes, counts, ("honest", "fraud"), (BLUE, ORANGE), strict=True):
            axis.fill_between((days * DAY_S).astype("datetime64[s]"), count, color=colour, lw=0, step="mid")
            axis.set(title=f"{name} orders a day", ylim=(0, None))
            axis.tick_params(axis="x", rotation=30)


def plot_label_arrival(folder: Path, world: World, material: Material) -> None:
    """``labels``: share of each archetype's orders reported as fraud within so many days."""
    reported: dict[str, float] = {}
    for outcome in world.outcomes():
        if outcome.kind in FRAUD_KINDS:
            soonest = reported.get(outcome.order_key, np.inf)
            reported[outcome.order_key] = min(soonest, outcome.reported_at)
    delay = np.array([reported.get(key, np.inf) for key in material.keys]) - material.relations.placed_s
    days = np.arange(0, LONGEST_DAYS + 1)
    truth = material.oracle
    with picture(folder, "labels", 1, (8.6, 5.4), True) as (figure, axes):
        for i, name in enumerate(sorted(set(truth.archetype[truth.is_fraud].tolist()))):
            mine = np.sort(delay[truth.is_fraud & (truth.archetype == name)]) / DAY_S
            share = np.searchsorted(mine, days, side="right") / max(1, len(mine))
            axes[0].plot(days, share, color=_colour(i), ls=_dash(i), label=name.replace("_", " "))
        axes[0].set(title="Fraud reported by age", xlabel="days since the order", ylim=(0, 1))
        axes[0].set_ylabel("share of orders reported")
        axes[0].legend(loc="lower right")


def plot_gate_camouflage(folder: Path, material: Material) -> None:
    """``gate-camouflage``: recall of trees on the order alone by camouflage, at 0.38 % false positives."""
    rows = recall_by_camouflage(material)
    with picture(folder, "gate-camouflage", 1, (8.6, 5.4), True) as (figure, axes):
        middle = [(low + high) / 2 for low, high, _ in rows]
        value = np.array([measured.value for _, _, measured in rows])
        ends = np.array([[m.value - m.lower, m.upper - m.value] for _, _, m in rows]).reshape(-1, 2).T
        axes[0].errorbar(middle, value, yerr=ends, color=BLUE, marker="o", capsize=4)
        axes[0].set(title="Recall of reference trees on the order alone", xlabel="camouflage of the gang")
        axes[0].set(ylabel="recall, 95 % by whole gangs", xlim=(0, 1), ylim=(0, 1))


def plot_gang(folder: Path, kinds: Mapping[str, Ints], gang: Ints, number: int) -> None:
    """``gang``: one gang's orders and the accounts, devices, cards, doors and phones that they share.

    Args:
        folder: Where ``gang.png`` and ``gang.svg`` go.
        kinds: Entity kind to int64[N] codes, -1 for none.
        gang: int64[N], -1 for none.
        number: The gang to draw.
    """
    import networkx

    rows = np.flatnonzero(gang == number)
    graph = networkx.Graph()
    graph.add_nodes_from(("order", int(r)) for r in rows)
    for kind in _KIND_COLOURS:
        for r in rows[kinds[kind][rows] >= 0]:
            graph.add_edge(("order", int(r)), (kind, int(kinds[kind][r])))
    place = networkx.spring_layout(graph, seed=1, k=2.2 / np.sqrt(max(1, len(graph))), iterations=200)
    with picture(folder, "gang", 1, (9.0, 7.0), True) as (figure, axes):
        for a, b in graph.edges:
            axes[0].plot(*np.stack([place[a], place[b]], axis=1), color="#CCCCCC", lw=0.8, zorder=1)
        for kind, colour in {"order": "#1A1A1A", **_KIND_COLOURS}.items():
            at = _places(place, kind)
            label = f"{kind} ({len(at)})"
            axes[0].scatter(
                at[:, 0], at[:, 1], s=26 if kind == "order" else 60, color=colour, label=label, zorder=2
            )
        axes[0].set(title=f"One gang: {len(rows)} orders and what they share")
        axes[0].axis("off")
        axes[0].legend(loc="lower left")


def _places(place: Mapping[Any, NDArray[np.float64]], kind: str) -> NDArray[np.float64]:
    return np.array([at for node, at in place.items() if node[0] == kind]).reshape(-1, 2)


def _colour(i: int) -> str:
    return (BLUE, ORANGE, GREEN, PURPLE, GREY)[i % 5]


def _dash(i: int) -> str:
    return _DASHES[i // 5 % len(_DASHES)]
