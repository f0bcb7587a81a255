"""How habits show in the browser-side nodes: one line per node, read by ``behavior``.

Centres follow the human percentiles in the literature (product-page dwell median 30 s, buyers'
session 21 min, key hold 120 ms, key interval 216 ms, phone tap 102 ms, mouse speed 506 px/s);
``CALIBRATED`` follows their other percentiles as well (see ``calibration``), in later worlds.
Weights say how strongly a habit moves the node, in the node's own scale per standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

Weights = dict[str, float]


@dataclass(frozen=True)
class Scalar:
    """A number or flag node.

    Attributes:
        shape: count (Poisson of exp), ratio (logistic), duration (exp), flag (logistic chance).
        centre: Value of the linear part for an ordinary person.
        noise: Standard deviation of what habits do not explain.
        mask: Name of the condition under which the node exists.
        digits: Decimals that are kept.
        zero: Chance that a ratio or duration is exactly 0.
    """

    node: str
    shape: Literal["count", "ratio", "duration", "flag"]
    centre: float
    noise: float
    mask: str
    weights: Weights = field(default_factory=dict)
    digits: int = 4
    zero: float = 0.0


@dataclass(frozen=True)
class Bins:
    """One histogram: log2 (or logit, for linear bins) centre and width, and how many entries.

    Attributes:
        touch: How much further up the centre lies on touch screens.
        aside: Share of entries that lie elsewhere, and by how far.
    """

    node: str
    part: str
    centre: float
    width: float
    entries: float
    mask: str
    weights: Weights = field(default_factory=dict)
    noise: float = 0.3
    least: int = 1
    entry_weights: Weights = field(default_factory=dict)
    narrows: float = 0.0
    entry_noise: float = 0.45
    touch: float = 0.0
    aside: tuple[float, float] = (0.0, 0.0)


SCALARS = (
    Scalar("B003", "count", 2.3, 0.5, "browse", {"depth": 0.55, "haste": -0.2}),
    Scalar("B004", "count", 0.0, 0.5, "front", {"depth": 0.6, "haste": -0.15}),
    Scalar("B005", "ratio", -1.4, 0.35, "browse", {"depth": 0.4, "haste": -0.15}),
    Scalar("B006", "ratio", -1.0, 0.7, "browse", {"depth": 0.25, "bargain": 0.15, "card_trouble": 0.2}),
    Scalar("B007", "ratio", -0.9, 0.55, "browse", {"depth": 0.35, "haste": -0.25, "care": 0.2}),
    Scalar("B008", "duration", 3.3, 0.8, "reviews", {"interest": 0.7, "haste": -0.2}, 1, 0.25),
    Scalar("B010", "duration", 7.1, 0.65, "press", {"haste": -0.6, "depth": 0.35}, 1),
    Scalar("B011", "count", 0.5, 0.4, "cart", {"bargain": 0.45, "depth": 0.15}),
    Scalar("B018", "ratio", 1.2, 0.35, "mouse", {"smooth": 0.3, "regular": 0.15, "haste": 0.1}),
    Scalar("B019", "ratio", -2.6, 0.45, "mouse", {"smooth": -0.35, "regular": -0.2}),
    Scalar("B020", "duration", 1.15, 0.25, "mouse", {"smooth": -0.15, "haste": 0.1}, 2),
    Scalar("B021", "ratio", -1.9, 0.5, "mouse", {"regular": 0.3, "spoof": 0.15}),
    Scalar("B022", "count", -3.2, 0.5, "mouse", {"spoof": 0.5, "regular": 0.3}),
    Scalar("B027", "duration", -1.4, 0.4, "touch_width", {"still": -0.25, "regular": -0.2}, 3),
    Scalar("B029", "flag", -0.9, 0.0, "touch", {"still": -0.5, "interest": 0.4}),
    Scalar("B030", "ratio", -1.9, 0.5, "motion", {"still": -0.7}),
    Scalar("B031", "ratio", -1.7, 0.5, "motion", {"still": -0.7}),
    Scalar("B032", "flag", -6.2, 0.0, "handheld", {"spoof": 0.9}),
    Scalar("B039", "ratio", -2.6, 0.5, "typed_keys", {"familiar": -0.25, "care": 0.1}),
    Scalar("B040", "ratio", -2.6, 0.45, "typed", {"familiar": -0.55, "switching": 0.25}),
    Scalar("B041", "ratio", 1.8, 0.8, "ime", {"paste": -0.4}),
    Scalar("B042", "ratio", -1.5, 0.5, "keys", {"speed": 0.5, "regular": -0.25}),
    Scalar("B045", "count", -0.7, 0.3, "typed", {"care": 0.4, "familiar": -0.2}),
    Scalar("B046", "duration", 4.0, 0.4, "filled", {"haste": -0.35, "speed": -0.2, "paste": -0.35}, 1),
    Scalar("B047", "ratio", -0.4, 0.9, "optional", {"care": 0.6, "haste": -0.2}, 4, 0.2),
    Scalar("B048", "count", -1.6, 0.4, "front", {"card_trouble": 0.45, "familiar": -0.2}),
    Scalar("B049", "ratio", -1.8, 0.9, "typed_keys", {"speed": 0.4, "haste": 0.2}, 4, 0.3),
    Scalar("B050", "count", -1.1, 0.4, "filled", {"bargain": 0.3, "familiar": -0.2, "care": 0.2}),
    Scalar("B052", "count", -2.2, 0.4, "front", {"switching": 0.35, "paste": 0.3}),
    Scalar("B053", "duration", 2.4, 0.9, "front", {"interest": 0.4, "care": 0.2}, 1, 0.82),
    Scalar("B054", "count", -1.0, 0.3, "front", {"paste": 0.65, "switching": 0.15}),
    Scalar("B055", "flag", -2.6, 0.0, "filled", {"paste": 0.9, "familiar": -0.3}),
    Scalar("B056", "ratio", 0.2, 1.0, "filled", {"paste": -0.5, "familiar": 0.5}, 4, 0.3),
    Scalar("B057", "ratio", -3.4, 0.6, "keys", {"spoof": 0.3, "paste": 0.15}, 4, 0.7),
    Scalar("B058", "count", -2.0, 0.5, "front", {"switching": 0.55, "paste": 0.2}),
    Scalar("B059", "duration", 8.2, 0.6, "returns", {"switching": -0.3, "haste": -0.3}, 0),
    Scalar("B060", "count", -2.3, 0.3, "card_choice", {"card_trouble": 0.65}),
    Scalar("B061", "count", -2.2, 0.3, "front", {"card_trouble": 0.5}),
    Scalar("B062", "duration", 3.3, 0.5, "payment", {"haste": -0.45, "card_trouble": 0.15}, 1),
    Scalar("B071", "count", 0.1, 0.4, "front", {"switching": 0.65}),
    Scalar("B072", "ratio", -1.8, 0.6, "press", {"switching": 0.6}, 4),
    Scalar("B073", "duration", 7.2, 0.6, "left", {"haste": -0.3, "regular": -0.15}, 0),
    Scalar("B074", "count", -2.0, 0.3, "front", {"switching": 0.4, "bargain": 0.25}),
    Scalar("B075", "count", -1.7, 0.4, "browser", {"switching": 0.25}),
    Scalar("B076", "count", -0.6, 0.4, "browser", {"depth": 0.35}),
    Scalar("B080", "ratio", -4.5, 0.6, "front", {"spoof": 0.4}, 4, 0.93),
    Scalar("B081", "duration", 0.35, 0.25, "coalesced", {"haste": 0.05, "spoof": -0.1}, 3),
    Scalar("B083", "ratio", 2.4, 0.6, "frames", {"spoof": -0.3}),
    Scalar("B090", "duration", 8.6, 0.6, "press", {"haste": -0.6, "interest": 0.15}, 0),
)

HISTOGRAMS = (
    Bins("B001", "", 4.9, 0.65, 1.9, "browse", {"haste": -0.45, "interest": 0.2}, 0.35, 1, {"depth": 0.5}),
    Bins("B009", "", 10.2, 0.8, 4.8, "browse", {"haste": 0.25, "regular": 0.1}, 0.4, 20, {"depth": 0.3},
    0.12),
    Bins("B012", "", 4.3, 0.7, 1.2, "front", {"haste": -0.45, "familiar": -0.15}, 0.3, 1),
    Bins("B013", "speed", 8.9, 1.1, 5.0, "mouse_address", {"haste": 0.2, "familiar": 0.25}, 0.35, 20,
    {"paste": -0.3}),
    Bins("B013", "turn", -1.2, 0.9, 5.0, "mouse_address", {"smooth": -0.25, "switching": 0.15}, 0.25, 20,
    {"paste": -0.3}),
    Bins("B013", "pause", 8.2, 0.8, 3.0, "mouse_address", {"familiar": -0.3, "switching": 0.3}, 0.35, 1),
    Bins("B014", "", 9.0, 1.1, 6.6, "mouse", {"haste": 0.25}, 0.3, 50, {"depth": 0.2}),
    Bins("B015", "", 3.0, 0.28, 6.6, "mouse", {"regular": -0.03}, 0.1, 50, {}, 0.10),
    Bins("B016", "", 12.4, 1.3, 6.5, "mouse", {"haste": 0.25, "smooth": -0.2}, 0.35, 50),
    Bins("B017", "", -1.3, 0.9, 6.4, "mouse", {"smooth": -0.25, "regular": -0.1}, 0.2, 50),
    Bins("B023", "", -0.3, 0.8, 2.9, "clicks", {"regular": -0.25, "haste": 0.1}, 0.3, 5),
    Bins("B024", "", 6.55, 0.28, 2.9, "mouse", {"haste": -0.1}, 0.2, 5, {}, 0.12),
    Bins("B025", "", 8.7, 0.8, 1.2, "mouse", {"haste": -0.4, "interest": 0.1}, 0.4, 1),
    Bins("B026", "speed", 10.1, 0.6, 3.6, "touch", {"haste": 0.2}, 0.3, 3, {"depth": 0.3}, 0.12),
    Bins("B026", "length", 8.3, 0.5, 3.6, "touch", {"haste": 0.1}, 0.2, 3, {"depth": 0.3}, 0.12),
    Bins("B026", "curve", -1.9, 0.8, 3.6, "touch", {"regular": -0.2}, 0.25, 3, {"depth": 0.3}, 0.10),
    Bins("B028", "", 6.4, 0.28, 3.0, "touch", {"haste": -0.1}, 0.2, 5, {}, 0.14),
    Bins("B033", "", 6.9, 0.30, 4.3, "keys", {"speed": -0.15, "regular": -0.05}, 0.25, 20, {}, 0.15),
    Bins("B034", "", 7.75, 0.55, 4.2, "keys", {"speed": -0.4, "familiar": -0.1}, 0.25, 20, {}, 0.15),
    Bins("B035", "", 7.9, 0.55, 1.8, "name_typed", {"speed": -0.25, "familiar": -0.4}, 0.3, 3, touch=0.7),
    Bins("B036", "", 7.8, 0.5, 2.3, "phone_typed", {"speed": -0.2, "familiar": -0.4}, 0.3, 5, touch=0.7),
    Bins("B037", "", 8.1, 0.6, 3.0, "typed", {"speed": -0.25, "familiar": -0.4}, 0.3, 5, touch=0.7),
    Bins("B038", "", 8.3, 0.5, 2.7, "card_typed", {"speed": -0.2, "familiar": -0.35,
    "card_trouble": -0.15}, 0.3, 8, touch=0.7),
    Bins("B044", "", 9.8, 0.7, 1.4, "filled", {"familiar": -0.45, "haste": -0.15}, 0.35, 2),
    Bins("B063", "", 11.8, 0.8, 1.2, "hosted", {"haste": -0.3, "card_trouble": -0.1}, 0.4, 2),
)  # fmt: skip

# Where later worlds differ. Weights and noise grow together, so that a habit shows as clearly as before.
CALIBRATED: dict[tuple[str, str], dict[str, Any]] = {
    ("B001", ""): {"centre": 4.49, "noise": 0.42, "weights": {"haste": -0.54, "interest": 0.24},
    "entries": 3.4, "entry_noise": 0.68, "entry_weights": {"depth": 0.75}},
    ("B003", ""): {"centre": 3.45, "noise": 0.65, "weights": {"depth": 0.72, "haste": -0.26}},
    # What a visit takes beside its product pages, which ``behavior`` adds.
    ("B010", ""): {"centre": 5.2, "noise": 0.8, "weights": {"haste": -0.6}},
    # Steps between two aims are fast, those on the aim slow.
    ("B013", "speed"): {"centre": 9.4, "width": 1.0, "aside": (0.15, -4.0)},
    ("B014", ""): {"centre": 9.4, "width": 1.0, "aside": (0.15, -4.0)},
    ("B028", ""): {"centre": 6.7, "width": 0.18, "noise": 0.12},
    # A few keys are held down, to erase or to move.
    ("B033", ""): {"centre": 6.87, "width": 0.16, "aside": (0.07, 2.6)},
    ("B035", ""): {"centre": 7.75, "width": 0.34, "touch": 0.75},
    ("B036", ""): {"centre": 7.75, "width": 0.34, "touch": 0.75},
    ("B037", ""): {"centre": 7.72, "width": 0.34, "touch": 0.75},
}  # fmt: skip


@cache
def scalars(calibrated: bool) -> tuple[Scalar, ...]:
    """The number and flag nodes of a world; ``calibrated`` as in its configuration."""
    if not calibrated:
        return SCALARS
    return tuple(replace(spec, **CALIBRATED.get((spec.node, ""), {})) for spec in SCALARS)


@cache
def histograms(calibrated: bool) -> tuple[Bins, ...]:
    """The histograms of a world; ``calibrated`` as in its configuration."""
    if not calibrated:
        return HISTOGRAMS
    return tuple(replace(spec, **CALIBRATED.get((spec.node, spec.part), {})) for spec in HISTOGRAMS)
