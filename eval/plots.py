"""Pictures of a backtest, as PNG and SVG, the same bytes for the same figures.

Colours are those of Okabe and Ito (2008), told apart with any colour vision; lines also differ in
dash and marker, so that a print in grey can be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from riskgraph.core.errors import ExtraMissing
from riskgraph.eval.comparison import Ranked
from riskgraph.eval.intervals import FPR_GRID
from riskgraph.eval.metrics import REFERENCE, Bools, Floats

BLUE, ORANGE, GREEN, PURPLE, BLACK, GREY = (
    "#0072B2", "#D55E00", "#009E73", "#AA4499", "#1A1A1A", "#6B6B6B",
)  # fmt: skip
# Below one honest order in 10,000 a window of some ten thousand orders has no resolution.
LOG_FLOOR = 1e-4
# Log odds at which the picture of steps of scores ends, unless a threshold lies beyond.
STEP_END = 14.5
REFERENCE_LABEL = "reference, not ours: 92.7 % at 0.38 %"
_OTHERS = ((PURPLE, "--"), (GREEN, "-."), (ORANGE, ":"), (GREY, (0, (5, 1, 1, 1, 1, 1))))
# What each colour becomes on a dark page.
_DARK = {
    "#FFFFFF": "#0D1117", "#000000": "#C9D1D9", "#E3E3E3": "#30363D", "#CCCCCC": "#4A525C",
    BLUE: "#4AA8E0", ORANGE: "#FF8A3D", GREEN: "#2FD0A0", PURPLE: "#E07FD0", BLACK: "#E6EDF3",
    GREY: "#A8A8A8",
}  # fmt: skip
_LONG = re.compile(r"\d+\.\d{3,}")
_FONTS = "'DejaVu Sans', Verdana, sans-serif"
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "svg.fonttype": "path",
    # Fixed ids inside the SVG: the same figures give the same bytes.
    "svg.hashsalt": "riskgraph",
}


def check_matplotlib() -> None:
    """Raises ExtraMissing when pictures cannot be drawn (extra ``lab``)."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as missing:
        raise ExtraMissing("backtest pictures", "lab") from missing


def for_pages(svg: str) -> str:
    """An SVG of ``picture`` that is small, and light or dark as its reader's screen is."""
    rules = "".join(
        f'[style*="{part}: {light.lower()}"]{{{part}:{dark}!important}}'
        for light, dark in _DARK.items()
        for part in ("fill", "stroke")
    )
    # Above the rules for shapes, by one step of specificity.
    rules += "text,text[style]{fill:#E6EDF3!important}"
    style = f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>"
    svg = _LONG.sub(lambda digits: f"{float(digits[0]):.2f}", svg)
    return svg.replace("'DejaVu Sans'", _FONTS).replace("<defs>", f"{style}<defs>", 1)


@contextmanager
def picture(
    folder: Path,
    name: str,
    columns: int,
    size: tuple[float, float],
    simulated: bool,
    *,
    page: bool = False,
) -> Iterator[Any]:
    """A figure that is saved as NAME.png and NAME.svg; no global state, no window.

    With ``page`` as NAME.svg alone, see ``for_pages``.
    """
    check_matplotlib()
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(_STYLE | ({"svg.fonttype": "none"} if page else {})):
        figure = Figure(figsize=size, layout="constrained")
        # Without pyplot: it keeps every figure alive and may ask for a display.
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, columns, squeeze=False)[0]
        yield figure, axes
        if simulated:
            figure.text(
                0.99, 0.985, "SIMULATED", ha="right", va="top", color="white", weight="bold", size=11,
                bbox={"boxstyle": "round,pad=0.35", "facecolor": "#9C2A00", "edgecolor": "none"},
            )  # fmt: skip
        # Versions and dates are left out, so that the same figures give the same bytes.
        if not page:
            figure.savefig(folder / f"{name}.png", metadata={"Software": None})
        path = folder / f"{name}.svg"
        figure.savefig(path, metadata={"Date": None, "Creator": "riskgraph"})
        if page:
            path.write_text(for_pages(path.read_text(encoding="utf-8")), encoding="utf-8")


def plot_roc(
    folder: Path, ranked: Mapping[str, Ranked], frozen: Mapping[str, Any], title: str, simulated: bool
) -> None:
    """ROC curve, once as usual and once with a logarithmic false-positive rate.

    Args:
        folder: Where ``roc.png`` and ``roc.svg`` go.
        ranked: ``model`` first, then the baselines.
        frozen: ``metrics.frozen`` of the report: the operating points.
        title: Head line.
        simulated: Mark the picture.

    Raises:
        ExtraMissing: If matplotlib is not installed.
    """
    with picture(folder, "roc", 2, (12.5, 6.2), simulated) as (figure, axes):
        for axis, log in zip(axes, (False, True), strict=True):
            for i, (name, entry) in enumerate(ranked.items()):
                _curve(axis, name, entry, i, log, coarse=not simulated)
            _operating_points(axis, frozen, log)
            axis.plot(
                REFERENCE["fpr"], REFERENCE["recall"], "D", ms=9, mfc="white", mec=BLACK, mew=1.8,
                label=REFERENCE_LABEL, zorder=6, ls="none",
            )  # fmt: skip
            _roc_axes(axis, log)
        axes[0].legend(loc="lower right")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")


def _curve(axis: Any, name: str, entry: Ranked, i: int, log: bool, *, coarse: bool) -> None:
    if not entry.told:
        return
    floor = LOG_FLOOR / 10 if log else 0.0
    x, y = entry.roc.fpr, entry.roc.tpr
    if coarse:
        # A line between far points that is straight as counted is none on a log axis.
        fine = np.union1d(FPR_GRID, x)
        x, y = fine, np.interp(fine, x, y)
    x = np.maximum(x, floor)
    area = entry.entry["auc"]
    text = f"{name.replace('_', ' ')}: AUC {area['value']:.4f} ({area['lower']:.4f} to {area['upper']:.4f})"
    if i == 0:
        grid = np.maximum(FPR_GRID, floor)
        axis.fill_between(
            grid, entry.draws.band_lower, entry.draws.band_upper, color=BLUE, alpha=0.18, lw=0,
            label="model: 95 % interval, whole gangs drawn",
        )  # fmt: skip
        axis.plot(x, y, color=BLUE, lw=2.4, label=text, zorder=4)
    else:
        colour, dash = _OTHERS[(i - 1) % len(_OTHERS)]
        axis.plot(x, y, color=colour, ls=dash, lw=1.8, label=text, zorder=3)


def _operating_points(axis: Any, frozen: Mapping[str, Any], log: bool) -> None:
    for kind, marker in (("reject", "o"), ("reject_or_review", "s")):
        recall, fpr = frozen[kind]["recall"], frozen[kind]["fpr"]
        if None in (recall["value"], fpr["value"], recall["lower"], fpr["lower"]):
            continue
        # A rate of 0 has no place on a log axis: the marker then sits on the left edge.
        x, left, right = (max(fpr[k], LOG_FLOOR if log else 0.0) for k in ("value", "lower", "upper"))
        axis.errorbar(
            x,
            recall["value"],
            xerr=[[x - left], [right - x]],
            yerr=[[recall["value"] - recall["lower"]], [recall["upper"] - recall["value"]]],
            fmt=marker, ms=8, color=ORANGE, mec="white", mew=1.0, elinewidth=1.6, capsize=3,
            zorder=7, clip_on=False, label=f"frozen threshold: {kind.replace('_', ' ')}",
        )  # fmt: skip


def _roc_axes(axis: Any, log: bool) -> None:
    axis.set_ylabel("recall (share of fraudulent orders flagged)")
    axis.set_ylim(-0.01, 1.02)
    if log:
        axis.set_xscale("log")
        axis.set_xlim(LOG_FLOOR, 1)
        axis.set_xticks([1e-4, 1e-3, 1e-2, 1e-1, 1], ["0.01 %", "0.1 %", "1 %", "10 %", "100 %"])
        axis.set_title("the same, false positives on a log scale", loc="left")
    else:
        axis.plot([0, 1], [0, 1], color=GREY, lw=1, ls=(0, (2, 3)))
        axis.set_xlim(-0.01, 1.0)
        axis.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"])
        axis.set_title("ROC curve", loc="left")
    axis.set_yticks(np.arange(0, 1.01, 0.2), [f"{v:.0%}".replace("%", " %") for v in np.arange(0, 1.01, 0.2)])
    axis.set_xlabel("false-positive rate (share of honest orders flagged)")


def plot_camouflage(folder: Path, steps: Sequence[Mapping[str, Any]], title: str, simulated: bool) -> None:
    """Recall against camouflage, as ``camouflage.png`` and ``camouflage.svg``.

    Args:
        folder: Where the pictures go.
        steps: ``slices.camouflage`` of the report.
        title: Head line.
        simulated: Mark the picture.

    Raises:
        ExtraMissing: If matplotlib is not installed.
    """
    with picture(folder, "camouflage", 1, (8.6, 5.4), simulated) as (figure, axes):
        axis = axes[0]
        x = np.array([s["mean"] for s in steps])
        for kind, colour, marker in (("reject", BLUE, "o"), ("reject_or_review", ORANGE, "s")):
            parts = [s[f"recall_{kind}"] for s in steps]
            value, low, high = (np.array([p[k] for p in parts]) for k in ("value", "lower", "upper"))
            # Side by side, so that neither interval hides the other.
            axis.errorbar(
                x + (0.003 if kind == "reject" else -0.003), value, yerr=[value - low, high - value],
                color=colour, marker=marker, ms=7, lw=2.2, elinewidth=1.6, capsize=4,
                label=kind.replace("_", " "),
            )  # fmt: skip
        axis.axhline(REFERENCE["recall"], color=BLACK, lw=1.4, ls="--", label=REFERENCE_LABEL)
        axis.set_ylim(-0.01, 1.03)
        axis.set_yticks(
            np.arange(0, 1.01, 0.2), [f"{v:.0%}".replace("%", " %") for v in np.arange(0, 1.01, 0.2)]
        )
        axis.set_xlabel("camouflage of the gang (0 open, 1 like an honest person); bars: 95 % intervals")
        axis.set_ylabel("recall at the frozen threshold")
        axis.legend(loc="lower left")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")


def plot_scores(
    folder: Path, probability: Floats, is_fraud: Bools, title: str, simulated: bool,
    steps: Floats | None = None,
) -> None:  # fmt: skip
    """Histogram of scores, honest and fraudulent orders, as ``scores.png`` and ``scores.svg``.

    The axis is log odds, so that both ends can be seen; counts are on a log scale.

    Args:
        folder: Where the pictures go.
        probability: float64[N].
        is_fraud: bool[N].
        title: Head line.
        simulated: Mark the picture.
        steps: Least score of each step of a ROC grid, falling: its steps are the bars, and no more is told
            than by the curve; None for bars of one width.

    Raises:
        ExtraMissing: If matplotlib is not installed.
    """
    odds, edges = _bars(_log_odds(probability), steps)
    with picture(folder, "scores", 1, (8.6, 5.0), simulated) as (figure, axes):
        axis = axes[0]
        kinds = (~is_fraud, BLUE, "honest", None), (is_fraud, ORANGE, "fraud", "///")
        for mask, colour, name, hatch in kinds:
            counts, _ = np.histogram(odds[mask], edges)
            axis.stairs(
                counts, edges, fill=True, alpha=0.35, color=colour, hatch=hatch,
                label=f"{name} ({int(mask.sum()):,} orders)",
            )  # fmt: skip
            axis.stairs(counts, edges, color=colour, lw=1.6)
        axis.set_yscale("log")
        axis.set_ylim(0.7, None)
        _score_ticks(axis, edges)
        axis.set_xlabel("score (calibrated probability, on a log-odds axis)")
        counted = "orders" if steps is None else "orders of a step of the curve"
        axis.set_ylabel(f"{counted} (log scale)")
        axis.legend(loc="upper right", bbox_to_anchor=(1.0, 0.93))
        figure.suptitle(title, x=0.01, ha="left", weight="bold")


def _bars(odds: Floats, steps: Floats | None) -> tuple[Floats, Floats]:
    """Log odds as drawn, and the edges of the bars."""
    if steps is None:
        return odds, np.linspace(odds.min() - 1e-6, odds.max() + 1e-6, 61)
    # Where the outer bars end is nobody's score either.
    inner = _log_odds(steps[:-1])[::-1]
    end = max(STEP_END, float(np.abs(inner).max(initial=0.0)) + 0.5)
    return np.clip(odds, -end, end), np.concatenate([[-end], inner, [end]])


def _score_ticks(axis: Any, edges: Floats) -> None:
    shown = np.array([1e-6, 1e-4, 0.01, 0.1, 0.5, 0.9, 0.99, 0.9999, 1 - 1e-6])
    place = np.log(shown / (1 - shown))
    kept = (place >= edges[0]) & (place <= edges[-1])
    axis.set_xticks(place[kept], [f"{p:.6g}" for p in shown[kept]])


def _log_odds(probability: Floats) -> Floats:
    # Log odds of 0 and 1 are infinite.
    inner = np.clip(probability, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(inner / (1 - inner)))
