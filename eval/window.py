"""Which orders a backtest may count, and what is known about them.

Simulated worlds are judged by their oracle. A merchant's own history is judged by its labels as
known at the cut-off; young and unlabelled orders are left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import Invalid
from riskgraph.core.table import OrderTable
from riskgraph.eval.cells import Persons, together
from riskgraph.eval.metrics import Bools, Floats, Ints

DAY_US = 86_400_000_000
# A clean label needs 60 days without dispute (contracts, section 3).
TIERS = (("mature", 60, None), ("maturing", 30, 60), ("immature", 0, 30))
MATURE_DAYS = 60


@dataclass(frozen=True, slots=True)
class Window:
    """Days from ``start`` to ``end``, both included, UTC."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise Invalid(f"the window ends on {self.end}, before it starts on {self.start}", field="to")

    @classmethod
    def parse(cls, start: str, end: str) -> Window:
        """Read two ISO dates.

        Raises:
            Invalid: If one is no date, or the window ends before it starts.
        """
        try:
            return cls(date.fromisoformat(start), date.fromisoformat(end))
        except ValueError as wrong:
            raise Invalid(f"a window needs two dates like 2026-07-01: {wrong}", field="from") from wrong

    @property
    def start_us(self) -> int:
        return _day_us(self.start)

    @property
    def end_us(self) -> int:
        """First microsecond after the window."""
        return _day_us(self.end + timedelta(days=1))

    def mask(self, placed_at: Ints) -> Bools:
        """bool[N]: the orders placed inside."""
        return np.asarray((placed_at >= self.start_us) & (placed_at < self.end_us), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Truth:
    """The oracle of a simulated world, in any order of rows; joined by ``order_id``.

    Attributes:
        gang_id: Strings or whole numbers; empty, None or negative where there is no gang.
        archetype: Kind of fraud; ignored for honest orders.
        camouflage: float64[N], 0 open to 1 like an honest person; NaN where it has no meaning.
        honest_type: Kind of honest person; ignored for fraud.
    """

    order_id: NDArray[np.object_]
    is_fraud: Bools
    gang_id: NDArray[Any]
    archetype: NDArray[np.object_]
    camouflage: Floats
    honest_type: NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Chosen:
    """The orders that count, with their truth, and how many do not count for which reason.

    Attributes:
        gang: int64[N], -1 for none.
        seen_before: bool[N], the order's gang placed orders before the window.
        from_oracle: Truth and kinds come from an oracle; otherwise from labels, kinds unknown.
        persons: Who stands behind the orders; None of simulated ones, of which everything may be told.
    """

    table: OrderTable
    is_fraud: Bools
    gang: Ints
    archetype: NDArray[np.object_]
    camouflage: Floats
    honest_type: NDArray[np.object_]
    seen_before: Bools
    rows: dict[str, Any]
    tiers: list[dict[str, Any]]
    from_oracle: bool
    persons: Persons | None = None


def choose_simulated(
    table: OrderTable, truth: Truth, window: Window, known_at: datetime, counted: Bools | None = None
) -> Chosen:
    """Orders of the window that the oracle knows; of ``counted``, bool[N], where given."""
    place, known = join(table.order_id, truth.order_id)
    inside = _inside(table, window, counted)
    used = inside & known
    fraud = np.where(known, truth.is_fraud[place], False)
    gang = np.where(known & fraud, gang_codes(truth.gang_id)[place], -1)
    # Whether a gang is new decides how much a model could have learned of it.
    before = np.unique(gang[(table.placed_at < window.start_us) & (gang >= 0)])
    return Chosen(
        table.take(used),
        fraud[used],
        gang[used],
        _words(truth.archetype)[place][used],
        np.asarray(truth.camouflage, dtype=np.float64)[place][used],
        _words(truth.honest_type)[place][used],
        np.isin(gang[used], before),
        _row_counts(inside, used, {_aside(counted): ~inside, "not in the oracle": inside & ~known}),
        label_tiers(table.take(inside), known_at, fraud[inside]),
        True,
    )


def choose_labelled(
    table: OrderTable, window: Window, known_at: datetime, counted: Bools | None = None
) -> Chosen:
    """Orders of the window old enough for a clean label, and labelled at ``known_at``.

    Younger orders are left out whole: of them only fraud can have a label yet. Of ``counted``, bool[N], where
    given; who shares what with whom is read off all orders.
    """
    inside = _inside(table, window, counted)
    mature = _age_days(table.placed_at, known_at) >= MATURE_DAYS
    used = inside & mature & (table.label >= 0)
    unlabelled, young = inside & mature & (table.label < 0), inside & ~mature
    reasons = {
        "unlabelled": unlabelled,
        f"younger than {MATURE_DAYS} days at the label cut-off": young,
        _aside(counted): ~inside,
    }
    persons = Persons.of(table)
    apart = together([[0], [1], [2]], lambda group: persons.may_tell(_any(reasons, group)))
    rows = table.take(used)
    fraud = np.asarray(rows.label == 1, dtype=np.bool_)
    # Labelled fraud before the window too: a group may have begun there.
    history = table.take((table.placed_at < window.end_us) & (table.label == 1))
    group = linked_groups(history)
    place, _ = join(rows.order_id, history.order_id)
    gang = np.where(fraud, group[place] if len(group) else -1, -1).astype(np.int64)
    blank = np.full(len(rows), "unknown", dtype=object)
    nan = np.full(len(rows), np.nan)
    before = np.isin(gang, np.unique(group[history.placed_at < window.start_us])) & fraud
    counts = _told_counts(persons, inside, used, reasons, apart)
    tiers = _told_tiers(persons, table, inside, known_at, tells_young=[1] in apart and [0] in apart)
    return Chosen(
        rows, fraud, gang, blank, nan, blank, before, counts, tiers, False, persons.take(used)
    )  # fmt: skip


def _inside(table: OrderTable, window: Window, counted: Bools | None) -> Bools:
    inside = window.mask(table.placed_at)
    return inside if counted is None else inside & counted


def _aside(counted: Bools | None) -> str:
    return "outside the window" if counted is None else "outside the window or of another merchant"


def gang_codes(gang_id: NDArray[Any]) -> Ints:
    """Gang ids as int64 codes, -1 where there is none."""
    text = np.array(["" if g is None or g != g else str(g) for g in gang_id], dtype=str)
    kept, code = np.unique(text, return_inverse=True)
    # Negative numbers stand for none in worlds that number their gangs.
    none = np.array([not k or k.startswith("-") for k in kept], dtype=bool)
    return np.asarray(np.where(none[code], -1, code), dtype=np.int64)


def linked_groups(table: OrderTable) -> Ints:
    """Groups of orders that share account, device, card or address, directly or in a chain.

    They stand in for gangs where no oracle names them, int64[N].
    """
    group = np.arange(len(table), dtype=np.int64)
    while True:
        before = group.copy()
        for key in (table.account, table.device, table.card, table.address):
            has = key >= 0
            _, code = np.unique(key[has], return_inverse=True)
            # Again and again until nothing moves, since links form chains.
            lowest = np.full(len(code), len(table), dtype=np.int64)
            np.minimum.at(lowest, code, group[has])
            group[has] = lowest[code]
        if np.array_equal(before, group):
            return group


def label_tiers(table: OrderTable, known_at: datetime, is_fraud: Bools | None) -> list[dict[str, Any]]:
    """Reported labels by age at the cut-off; beside the true count of fraud where it is known."""
    return [_tier(table, known_at, tier, is_fraud) for tier in TIERS]


def _tier(
    table: OrderTable, known_at: datetime, tier: tuple[str, int, int | None], is_fraud: Bools | None = None
) -> dict[str, Any]:
    name, low, high = tier
    inside = _tier_mask(table, known_at, tier)
    label = table.label[inside]
    return {
        "tier": name,
        "from_days": low,
        "to_days": high,
        "orders": int(inside.sum()),
        "labelled_fraud": int((label == 1).sum()),
        "labelled_clean": int((label == 0).sum()),
        "unlabelled": int((label < 0).sum()),
        "true_fraud": None if is_fraud is None else int(is_fraud[inside].sum()),
    }


def _tier_mask(table: OrderTable, known_at: datetime, tier: tuple[str, int, int | None]) -> Bools:
    age, (_, low, high) = _age_days(table.placed_at, known_at), tier
    return np.asarray((age >= low if low else np.ones(len(age), bool)) & (age < (high or np.inf)))


def _told_tiers(
    persons: Persons, table: OrderTable, inside: Bools, known_at: datetime, *, tells_young: bool
) -> list[dict[str, Any]]:
    """Tiers of real people: the young ones together, or without labels, where few are behind a count."""
    mature, *young = TIERS
    known, rows = persons.take(inside), table.take(inside)

    def fits(group: list[int]) -> bool:
        among = np.logical_or.reduce([_tier_mask(rows, known_at, young[i]) for i in group])
        return all(known.may_tell(among & (np.sign(rows.label) == label)) for label in (-1, 0, 1))

    groups = together([[i] for i in range(len(young))], fits)
    tiers = [_tier(rows, known_at, mature)]
    for group in groups:
        first, last = young[group[0]], young[group[-1]]
        tier = _tier(rows, known_at, (" and ".join(young[i][0] for i in group), last[1], first[2]))
        hidden = [] if fits(group) else ["labelled_fraud", "labelled_clean", "unlabelled"]
        tiers.append({**tier, **dict.fromkeys(hidden)})
    if not tells_young:
        # What is told of the orders that do not count gives their sum, so nothing more may be said.
        cells = ["orders", "unlabelled"]
        tiers[0] |= dict.fromkeys(cells)
        tiers[1:] = [{**t, **dict.fromkeys([*cells, "labelled_fraud", "labelled_clean"])} for t in tiers[1:]]
    return tiers


def join(wanted: NDArray[np.object_], have: NDArray[np.object_]) -> tuple[NDArray[np.intp], Bools]:
    """Place of each wanted id in ``have`` (0 where missing), and whether it is there."""
    rows = {str(name): i for i, name in enumerate(have)}
    # A repeated id would silently take another order's truth.
    if len(rows) != len(have):
        raise Invalid("order ids are not unique", field="order_id")
    place = np.array([rows.get(str(name), -1) for name in wanted], dtype=np.intp)
    return np.maximum(place, 0), place >= 0


def _row_counts(inside: Bools, used: Bools, reasons: dict[str, Bools]) -> dict[str, Any]:
    excluded = [{"reason": why, "count": int(mask.sum())} for why, mask in reasons.items()]
    return {
        "in_table": len(inside),
        "in_window": int(inside.sum()),
        "used": int(used.sum()),
        "excluded": excluded,
    }


def _told_counts(
    persons: Persons, inside: Bools, used: Bools, reasons: dict[str, Bools], groups: list[list[int]]
) -> dict[str, Any]:
    """Counts of orders of real people that do not count: reasons together where few stand behind one.

    ``in_window`` is told where those outside are told alone, and nothing but ``used`` where even all the
    others are few.
    """
    names, whole = list(reasons), persons.may_tell(~used)
    excluded = [
        {"reason": "; ".join(names[i] for i in group),
         "count": int(_any(reasons, group).sum()) if whole else None}
        for group in reversed(groups)
    ]  # fmt: skip
    return {
        "in_table": len(inside) if whole else None,
        "in_window": int(inside.sum()) if whole and groups[-1] == [len(names) - 1] else None,
        "used": int(used.sum()),
        "excluded": excluded,
    }


def _any(reasons: dict[str, Bools], group: list[int]) -> Bools:
    return np.asarray(np.logical_or.reduce([list(reasons.values())[i] for i in group]))


def _age_days(placed_at: Ints, known_at: datetime) -> Floats:
    return np.asarray((known_at.timestamp() * 1e6 - placed_at) / DAY_US, dtype=np.float64)


def _words(values: NDArray[np.object_]) -> NDArray[np.object_]:
    return np.array(["unknown" if v is None or v != v else str(v) for v in values], dtype=object)


def _day_us(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1e6)
