"""All visits of a world in time order, with what follows from their order: ranks, saved data, habits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.eval.worlds import habits
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.gangs import running_count
from riskgraph.eval.worlds.parcels import mishaps
from riskgraph.eval.worlds.pools import Cast
from riskgraph.eval.worlds.profiles import DRIVERS, HonestType
from riskgraph.eval.worlds.sellers import stalls
from riskgraph.eval.worlds.shop import DAY, USUAL_BASKETS, USUAL_SEEK
from riskgraph.eval.worlds.streams import Bools, Floats, Ints, chance, pick, stream
from riskgraph.eval.worlds.writer import ROWS_PER_FILE, spans

SAVED, NEW, PARSED = range(3)
# People grow used to shops: they are quicker, read less, and let the browser fill in more.
_DRIFT = np.array([{"haste": 1.0, "depth": -0.5, "paste": 0.7, "familiar": 0.5}.get(d, 0.0) for d in DRIVERS])
_OF_OTHERS = ("identity", "payment")
# Published worlds have at most this many orders: they are one part, and their bytes are fixed.
PART_ORDERS = 5 * ROWS_PER_FILE


@dataclass(frozen=True)
class Visits:
    """N visits, ascending in time. Columns of ``Cast.visits`` are read as ``visits["name"]``.

    Attributes:
        families: Family of each kind of visit; kind 0 is honest, kind 1 the first of them.
        types: The configuration's kinds of honest people.
        columns: The sorted columns.
        habit: float64[N, drivers], lasting habits of the person at the device plus the session's mood.
        address_mode: int64[N]: saved, new (typed or autofilled) or parsed (pasted block).
        new_card: bool[N] card details are entered in this visit.
        rank: int64[N] earlier orders of the account.
        address_rank: int64[N] earlier orders to the address.
        first: Number of the first of these visits among all of the world.
        part: Number of the part with streams of its own, see ``parts``.
    """

    cast: Cast
    families: tuple[Family, ...]
    types: tuple[HonestType, ...]
    columns: dict[str, NDArray[Any]]
    habit: Floats
    address_mode: Ints
    new_card: Bools
    rank: Ints
    address_rank: Ints
    first: int = 0
    part: int = 0

    def __len__(self) -> int:
        return len(self.columns["t"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def rows(self, start: int, stop: int, part: int | None = None) -> Visits:
        """Some of the visits, as views of the same columns."""
        return Visits(
            self.cast,
            self.families,
            self.types,
            {name: column[start:stop] for name, column in self.columns.items()},
            self.habit[start:stop],
            self.address_mode[start:stop],
            self.new_card[start:stop],
            self.rank[start:stop],
            self.address_rank[start:stop],
            self.first + start,
            self.part if part is None else part,
        )

    def parts(self) -> Iterator[Visits]:
        """The visits in parts of ``PART_ORDERS``, so that what is measured of them fits into memory."""
        for part, (start, stop) in enumerate(spans(len(self), PART_ORDERS)):
            yield self.rows(start, stop, part)

    def stream(self, seed: int, name: str) -> np.random.Generator:
        """The random stream of a name for this part; the first part's is the name's own."""
        return stream(seed, name, self.part) if self.part else stream(seed, name)

    def driver(self, name: str) -> Floats:
        return np.asarray(self.habit[:, DRIVERS.index(name)])

    def trait(self, name: str) -> Floats:
        """A family's trait (see ``Family``) for each visit; 0 for honest ones."""
        values = np.array([0.0, *(float(getattr(family, name)) for family in self.families)])
        return np.asarray(values[self["kind"]], dtype=np.float64)

    def of_type(self, name: str) -> Floats:
        """A figure of an honest person's kind (see ``HonestType``) for each visit; 0 for fraudulent ones."""
        values = np.array([float(getattr(kind, name)) for kind in self.types])
        return np.where(self["kind"] == 0, values[self["honest_type"]], 0.0)

    def shown(self, node: str) -> Floats:
        """How much more of a node an honest person's kind shows; 0 for fraudulent visits."""
        values = np.array([dict(kind.shows).get(node, 0.0) for kind in self.types])
        return np.where(self["kind"] == 0, values[self["honest_type"]], 0.0)

    def of_account(self, name: str) -> NDArray[Any]:
        return np.asarray(self.cast.accounts[name][self["account"]])

    def of_device(self, name: str) -> NDArray[Any]:
        """A column of the visit's device; meaningless where there is none."""
        return np.asarray(self.cast.devices[name][np.maximum(self["device"], 0)])

    @cached_property
    def front(self) -> Bools:
        return habits.has_front_end(self["channel"])

    @cached_property
    def mouse(self) -> Bools:
        return self.front & np.isin(self["modality"], (habits.MOUSE, habits.MIXED))

    @cached_property
    def touch(self) -> Bools:
        return self.front & np.isin(self["modality"], (habits.TOUCH, habits.MIXED))

    @cached_property
    def card_used(self) -> Bools:
        return np.asarray(self["card"] >= 0, dtype=np.bool_)


def _pair(a: Ints, b: Ints) -> Ints:
    return np.asarray(a * (int(b.max(initial=0)) + 2) + b + 1, dtype=np.int64)


def _disguise(
    rng: np.random.Generator, config: WorldConfig, columns: dict[str, NDArray[Any]], habit: Floats
) -> Floats:
    """Camouflage also shows as visits that look like any honest person's: their habits, and ``columns``."""
    n = len(habit)
    plain = chance(rng, config.disguise * columns["camouflage"], n)
    plain |= (columns["gang"] >= 0) & (columns["kind"] == 0)
    habit = np.where(plain[:, None], rng.normal(0, 1, habit.shape), habit)
    if config.plain_baskets:
        bought = plain & (columns["launch"] < 0)
        columns["basket"] = np.where(bought, pick(rng, USUAL_BASKETS, n), columns["basket"])
        columns["other"] = columns["other"] & ~plain
        columns["seek_coupon"] = np.where(plain, rng.beta(*USUAL_SEEK, n), columns["seek_coupon"])
    return habit


def _mix(config: WorldConfig, columns: dict[str, NDArray[Any]], families: tuple[Family, ...]) -> None:
    """Turn some of a gang's orders into honest ones, as cover; the truth still says who bought them."""
    covers = chance(stream(config.seed, "mixed"), config.mixed * columns["camouflage"], len(columns["t"]))
    if config.lifelike:
        # Whoever orders with things of others does not buy honestly with them.
        owns = [True, *(family.archetype.family not in _OF_OTHERS for family in families)]
        covers &= np.array(owns)[columns["kind"]]
    columns["kind"] = np.where(covers & ~columns["victim"], 0, columns["kind"])
    columns["parcel"] = np.where(columns["kind"] == 0, 0, columns["parcel"])


def _address_modes(
    rng: np.random.Generator, config: WorldConfig, cast: Cast, columns: dict[str, NDArray[Any]], habit: Floats
) -> Ints:
    """How each visit gives its address: saved, new or parsed."""
    n = len(habit)
    known = running_count(_pair(columns["account"], columns["address"])) > 0
    paste = habit[:, DRIVERS.index("paste")]
    parses = chance(rng, 1 / (1 + np.exp(1.7 - 1.1 * paste)), n)
    typed = np.where(parses, PARSED, NEW)
    # The address book also holds addresses from before the world began.
    saved = np.where(columns["kind"] == 0, config.address_book, config.prepared * columns["camouflage"])
    # Who came a short while ago has an empty book.
    old = columns["t"] - cast.accounts["created"][columns["account"]] >= config.address_book_days * DAY
    saved = np.where(old, saved, 0.0)
    in_book = ~columns["other"] & chance(rng, saved, n)
    return np.where(known | in_book, np.where(chance(rng, 0.94, n), SAVED, typed), typed).astype(np.int64)


def arrange(config: WorldConfig, cast: Cast, families: tuple[Family, ...]) -> Visits:
    """Sort all visits by time and derive what depends on the order."""
    rng = stream(config.seed, "sessions")
    cast.visits.sort(np.argsort(cast.visits["t"], kind="stable"))
    columns = {name: cast.visits[name] for name in cast.visits.defaults}
    # Times are kept to the millisecond, as a checkout sends them.
    columns["t"] = np.round(columns["t"], 3)
    n = len(columns["t"])
    _mix(config, columns, families)
    columns["merchant"] = stalls(config, cast, columns["merchant"], columns["t"])
    columns["parcel"] = mishaps(config, columns["parcel"], columns["kind"] == 0)
    columns["paid_first"] = habits.paid_first(config, columns["channel"])
    styles = np.concatenate(cast.styles)
    habit = styles[columns["style"]] + rng.normal(0, (1 - habits.PERSON_SHARE) ** 0.5, (n, len(DRIVERS)))
    habit = _disguise(rng, config, columns, habit)
    elapsed = (columns["t"] - config.start_s) / (config.end_s - config.start_s) - 0.5
    habit += config.drift * elapsed[:, None] * _DRIFT
    modes = _address_modes(rng, config, cast, columns, habit)
    first_card = running_count(_pair(columns["account"], columns["card"])) == 0
    return Visits(
        cast,
        families,
        config.honest_types,
        columns,
        habit,
        modes,
        (columns["card"] >= 0) & ((first_card & chance(rng, 0.75, n)) | chance(rng, 0.05, n)),
        running_count(columns["account"]),
        running_count(columns["address"]),
    )
