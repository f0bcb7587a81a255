"""What honest and fraudulent visits draw from the same distributions: consent, devices, habits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.pools import Cast
from riskgraph.eval.worlds.profiles import DRIVERS
from riskgraph.eval.worlds.streams import Bools, Floats, Ints, chance, pick, stream

CHANNELS = ("own_web", "mini_program", "market_a", "market_b")
DESKTOP, PHONE, WEBVIEW, TABLET = range(4)
DEVICE_CLASSES = ("desktop", "phone", "webview", "tablet")
HOME, MOBILE, OFFICE, DATACENTER, PROXY = range(5)
MOUSE, TOUCH, KEY, MIXED, OTHER = range(5)
# Share of a habit's variance that stays with the person; the rest is the mood of the session.
PERSON_SHARE = 0.6


def persons(rng: np.random.Generator, n: int) -> Floats:
    """Habits of N ordinary persons: the lasting part, with unit variance once a session is added."""
    return np.asarray(rng.normal(0, PERSON_SHARE**0.5, (n, len(DRIVERS))), dtype=np.float64)


def new_devices(rng: np.random.Generator, cast: Cast, kind: Ints, fails: Floats | float) -> Ints:
    """Register devices; ``fails`` is each one's chance of giving no position when permitted."""
    n = len(kind)
    chromium = chance(rng, np.where(kind == DESKTOP, 0.72, 0.6), n)
    return cast.devices.add(
        n,
        kind=kind,
        position_fails=fails,
        has_hints=chromium,
        ua_lies=chance(rng, 0.012, n),
        own_trace=chance(rng, 0.0015, n),
        hz=np.array([60.0, 125.0, 250.0, 1000.0])[pick(rng, (0.25, 0.5, 0.1, 0.15), n)],
        virtual=chance(rng, 0.01, n),
    )


def ordinary_fails(rng: np.random.Generator, config: WorldConfig, n: int) -> Floats:
    """Position failure of ordinary devices: mean ``position_fails``, independent of any distance."""
    return np.asarray(rng.beta(1.2, 1.2 * (1 / config.position_fails - 1), n), dtype=np.float64)


def device_of_channel(rng: np.random.Generator, channel: Ints) -> Ints:
    """Kind of device for a visit through ``channel``: mini-programs run in a phone's webview."""
    web = np.array([DESKTOP, PHONE, TABLET])[pick(rng, (0.6, 0.33, 0.07), len(channel))]
    return np.where(channel == 1, WEBVIEW, web).astype(np.int64)


def has_front_end(channel: Ints) -> Bools:
    return np.asarray(channel < 2, dtype=np.bool_)


def paid_first(config: WorldConfig, channel: Ints) -> Bools:
    """Which orders are decided after payment: a matter of the channel, never of who orders."""
    rng = stream(config.seed, "phases")
    share = np.where(has_front_end(channel), config.post_auth, config.post_auth_market)
    return chance(rng, share, len(channel))


def consents(
    rng: np.random.Generator,
    config: WorldConfig,
    channel: Ints,
    refuses: Bools,
    denies: Bools,
    no_training: Bools,
) -> dict[str, NDArray[np.int64]]:
    """Purposes of N visits: 1 granted, 0 refused, -1 never asked.

    Args:
        rng: The part's random stream.
        config: Shares of what is asked.
        channel: int64[N].
        refuses: bool[N] the shopper refuses everything optional.
        denies: bool[N] the shopper denies the position.
        no_training: bool[N] the shopper keeps orders out of training.
    """
    n = len(channel)
    front = has_front_end(channel)
    touch = channel == 1
    location = np.where(chance(rng, config.location_asked, n), np.where(denies, 0, 1), -1)
    motion = np.where(touch & chance(rng, config.motion_asked, n), np.where(denies, 0, 1), -1)
    device = np.array([1, 0, -1])[pick(rng, (0.94, 0.03, 0.03), n)]
    out = {
        "behavior": np.ones(n, dtype=np.int64),
        "motion": motion,
        "location": location,
        "device_ok": device,
    }
    for name, values in out.items():
        values = np.where(refuses & ((values >= 0) | (name == "behavior")), 0, values)
        if name == "device_ok":
            values = np.where(refuses, 0, values)
        out[name] = np.where(front, values, -1).astype(np.int64)
    out["training"] = np.where(no_training, 0, 1).astype(np.int64)
    return out


def modality(rng: np.random.Generator, device_kind: Ints, keyboard: Bools) -> Ints:
    """Input modality of N visits; keyboard and screen-reader users on desktops use no mouse."""
    n = len(device_kind)
    desktop = np.array([MOUSE, MIXED])[pick(rng, (0.9, 0.1), n)]
    keys = np.array([KEY, OTHER])[pick(rng, (0.8, 0.2), n)]
    return np.where(device_kind == DESKTOP, np.where(keyboard, keys, desktop), TOUCH).astype(np.int64)
