"""Pictures of simulated worlds as SVG for light and dark pages, the same bytes for the same world.

All raise ExtraMissing when matplotlib is not installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.door import Door
from riskgraph.core.outcome import FRAUD_KINDS
from riskgraph.eval.metrics import Bools, Floats, Ints
from riskgraph.eval.plots import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, picture
from riskgraph.eval.worlds.gates.material import Material
from riskgraph.eval.worlds.gates.people import recall_by_camouflage
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.writer import Progress, quiet

DAY_S = 86_400.0
_MARKS = {
    "order": (BLACK, "o"), "account": (GREY, "s"), "device": (BLUE, "^"), "card": (ORANGE, "D"),
    "door": (GREEN, "p"), "phone": (PURPLE, "v"),
}  # fmt: skip
_DASHES = ("-", "--", ":", "-.")
LONGEST_DAYS = 120
# A gang with more orders is a cloud on a page.
MOST_DRAWN = 45
NAMES = ("volume", "gang", "labels", "camouflage")


def draw(world: World, folder: Path, door: Door, progress: Progress = quiet) -> list[Path]:
    """All four pictures of a simulated world, in the order of NAMES; files of these names are replaced.

    Raises:
        NotFound: If the world has no oracle.
        ExtraMissing: If matplotlib is not installed.
    """
    progress("pictures", 0, 1)
    material = Material.of(world, door, progress)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = material.relations.kinds
    plot_volume(folder, material.relations.placed_s, material.oracle.is_fraud)
    plot_gang(folder, kinds, material.gang, telling_gang(kinds, material.gang))
    plot_label_arrival(folder, world, material)
    plot_camouflage(folder, material)
    progress("pictures", 1, 1)
    return [folder / f"{name}.svg" for name in NAMES]


def plot_volume(folder: Path, placed_s: Floats, fraud: Bools) -> None:
    """``volume``: orders a day, honest and fraudulent, over the world's time.

    Args:
        folder: Where ``volume.svg`` goes.
        placed_s: float64[N] epoch seconds.
        fraud: bool[N].
    """
    from matplotlib.dates import DateFormatter, MonthLocator

    day = (placed_s // DAY_S).astype(np.int64)
    days = np.arange(day.min(), day.max() + 1)
    counts = [np.bincount(day[m] - days[0], minlength=len(days)) for m in (~fraud, fraud)]
    when = (days * DAY_S).astype("datetime64[s]")
    with picture(folder, "volume", 2, (12.5, 4.4), True, page=True) as (figure, axes):
        for axis, count, name, colour in zip(axes, counts, ("honest", "fraud"), (BLUE, ORANGE), strict=True):
            axis.fill_between(when, count, color=colour, lw=0, step="mid")
            axis.set(title=f"{name} orders a day", ylim=(0, None), xlabel=f"{str(when[0])[:4]}")
            axis.xaxis.set_major_locator(MonthLocator())
            axis.xaxis.set_major_formatter(DateFormatter("%b"))


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
    shares: dict[str, Floats] = {}
    for name in sorted(set(truth.archetype[truth.is_fraud].tolist())):
        mine = np.sort(delay[truth.is_fraud & (truth.archetype == name)]) / DAY_S
        shares[name] = np.searchsorted(mine, days, side="right") / max(1, len(mine))
    with picture(folder, "labels", 1, (10.4, 5.4), True, page=True) as (figure, axes):
        # From the top line down, as the legend is read beside them.
        for i, name in enumerate(sorted(shares, key=lambda name: -shares[name][-1])):
            axes[0].plot(days, shares[name], color=_colour(i), ls=_dash(i), label=name.replace("_", " "))
        axes[0].set(title="Fraud reported by age", xlabel="days since the order", ylim=(0, 1))
        axes[0].set(xlim=(0, LONGEST_DAYS), ylabel="share of orders reported")
        axes[0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def plot_camouflage(folder: Path, material: Material) -> None:
    """``camouflage``: recall of trees on the order alone by camouflage, at 0.38 % false positives."""
    rows = recall_by_camouflage(material)
    with picture(folder, "camouflage", 1, (8.6, 5.0), True, page=True) as (figure, axes):
        middle = [(low + high) / 2 for low, high, _ in rows]
        value = np.array([measured.value for _, _, measured in rows])
        ends = np.array([[m.value - m.lower, m.upper - m.value] for _, _, m in rows]).reshape(-1, 2).T
        axes[0].errorbar(middle, value, yerr=ends, color=BLUE, marker="o", capsize=4)
        axes[0].set(title="Recall of reference trees on the order alone", xlabel="camouflage of the gang")
        axes[0].set(ylabel="recall, 95 % by whole gangs", xlim=(0, 1), ylim=(0, 1))


def telling_gang(kinds: Mapping[str, Ints], gang: Ints) -> int:
    """The gang to draw: of those not too large the one that shares most kinds of entities, then most orders.

    Args:
        kinds: Entity kind to int64[N] codes, -1 for none.
        gang: int64[N], -1 for none; some gang must be there.
    """

    def merit(number: int) -> tuple[bool, int, int]:
        rows = np.flatnonzero(gang == number)
        codes = [kinds[kind][rows] for kind in _MARKS if kind != "order"]
        shared = sum(len(np.unique(found := c[c >= 0])) < len(found) for c in codes)
        return len(rows) <= MOST_DRAWN, shared, len(rows)

    return max((int(g) for g in np.unique(gang[gang >= 0])), key=merit)


def plot_gang(folder: Path, kinds: Mapping[str, Ints], gang: Ints, number: int) -> None:
    """``gang``: one gang's orders and the accounts, devices, cards, doors and phones that they share.

    Args:
        folder: Where ``gang.svg`` goes.
        kinds: Entity kind to int64[N] codes, -1 for none.
        gang: int64[N], -1 for none.
        number: The gang to draw.
    """
    import networkx

    rows = np.flatnonzero(gang == number)
    graph = networkx.Graph()
    graph.add_nodes_from(("order", int(r)) for r in rows)
    for kind in _MARKS:
        for r in rows if kind != "order" else ():
            if kinds[kind][r] >= 0:
                graph.add_edge(("order", int(r)), (kind, int(kinds[kind][r])))
    place = _layout(graph)
    with picture(folder, "gang", 1, (9.6, 6.4), True, page=True) as (figure, axes):
        for a, b in graph.edges:
            axes[0].plot(*np.stack([place[a], place[b]], axis=1), color="#CCCCCC", lw=0.8, zorder=1)
        for kind, (colour, mark) in _MARKS.items():
            at = _places(place, kind)
            if len(at):
                size, text = 30 if kind == "order" else 70, f"{kind} ({len(at)})"
                axes[0].scatter(*at.T, s=size, color=colour, marker=mark, label=text, zorder=2)
        axes[0].set(title=f"One gang: {len(rows)} orders and what they share")
        axes[0].axis("off")
        axes[0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _layout(graph: Any) -> Mapping[Any, NDArray[np.float64]]:
    """A place for each node; parts that share nothing are kept near by a hub that is not drawn."""
    import networkx

    joined, hub = graph.copy(), ("hub", 0)
    parts = [sorted(part) for part in networkx.connected_components(graph)]
    if len(parts) > 1:
        joined.add_edges_from((hub, max(part, key=graph.degree)) for part in parts)
    place: dict[Any, NDArray[np.float64]] = networkx.kamada_kawai_layout(joined)
    place.pop(hub, None)
    return place


def _places(place: Mapping[Any, NDArray[np.float64]], kind: str) -> NDArray[np.float64]:
    return np.array([at for node, at in place.items() if node[0] == kind]).reshape(-1, 2)


def _colour(i: int) -> str:
    return (BLUE, ORANGE, GREEN, PURPLE, GREY)[i % 5]


def _dash(i: int) -> str:
    return _DASHES[i // 5 % len(_DASHES)]
