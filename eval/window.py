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


def choose_simulated(table: OrderTable, truth: Truth, window: Window, known_at: datetime) -> Chosen:
    """Orders of the window that the oracle knows."""
    place, known = join(table.order_id, truth.order_id)
    inside = window.mask(table.placed_at)
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
        _row_counts(inside, used, {"not in the oracle": inside & ~known}),
        label_tiers(table.take(inside), known_at, fraud[inside]),
        True,
    )


def choose_labelled(table: OrderTable, window: Window, known_at: datetime) -> Chosen:
    """Orders of the window old enough for a clean label, and labelled at ``known_at``.

    Younger orders are left out whole: of them only fraud can have a label yet.
    """
    inside = window.mask(table.placed_at)
    mature = _age_days(table.placed_at, known_at) >= MATURE_DAYS
    used = inside & mature & (table.label >= 0)
    reasons = {
        f"younger than {MATURE_DAYS} days at the label cut-off": inside & ~mature,
        "unlabelled": inside & mature & (table.label < 0),
    }
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
    tiers = label_tiers(table.take(inside), known_at, None)
    counts = _row_counts(inside, used, reasons)
    return Chosen(rows, fraud, gang, blank, nan, blank, before, counts, tiers, False)


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
    age = _age_days(table.placed_at, known_at)
    tiers = []
    for name, low, high in TIERS:
        inside = (age >= low if low else np.ones(len(age), bool)) & (age < (high or np.inf))
        label = table.label[inside]
        tiers.append({
            "tier": name,
            "from_days": low,
            "to_days": high,
            "orders": int(inside.sum()),
            "labelled_fraud": int((label == 1).sum()),
            "labelled_clean": int((label == 0).sum()),
            "unlabelled": int((label < 0).sum()),
            "true_fraud": None if is_fraud is None else int(is_fraud[inside].sum()),
        })  # fmt: skip
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
        "excluded": [{"reason": "outside the window", "count": int((~inside).sum())}, *excluded],
    }


def _age_days(placed_at: Ints, known_at: datetime) -> Floats:
    return np.asarray((known_at.timestamp() * 1e6 - placed_at) / DAY_US, dtype=np.float64)


def _words(values: NDArray[np.object_]) -> NDArray[np.object_]:
    return np.array(["unknown" if v is None or v != v else str(v) for v in values], dtype=object)


def _day_us(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1e6)
