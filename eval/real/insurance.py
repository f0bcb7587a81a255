"""Vehicle insurance claims of eight real quarters, measured as time goes on.

Each claim is a row, each lawful column a node with one component; pairs are found by data. Bands with an
order, such as a price, are numbers, all other values words. The model of a quarter has seen all quarters
before it and no other. Columns whose names the project refuses as sensitive (sex, marital status) are
dropped by that same check, and so is age in both its forms. Row and policy numbers tell the place in the
file, the year the quarter, and the columns of limits repeat a banded one: dropped too.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.sensitive import is_sensitive
from riskgraph.eval.real import Fold, find

FILE = "fraud_oracle/fraud_oracle_1994_1995.csv.gz"
LABEL = "FraudFound_P"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# The check of names lets age pass: shops ask for it lawfully. A score of persons may not use it here.
AGES = ("Age", "AgeOfPolicyHolder")
MAX_WORDS = 12
_LIMITS = ("_min", "_max")
# Bands from low to high; a column is a number where each of its values is in one of these lists.
_BANDS: tuple[str, ...] = (
    "less than 20000|20000 to 29000|30000 to 39000|40000 to 59000|60000 to 69000|more than 69000",
    "none|1 to 7|8 to 15|15 to 30|more than 30",
    "none|1|2 to 4|more than 4",
    "none|1 to 2|3 to 5|more than 5",
    "new|2 years|3 years|4 years|5 years|6 years|7 years|more than 7",
    "under 6 months|1 year|2 to 3 years|4 to 8 years|no change",
    "1 vehicle|2 vehicles|3 to 4|5 to 8|more than 8",
    "300|400|500|700",
    "1|2|3|4|5",
)


def refused(name: str) -> bool:
    """Whether a lawful model may not see a column."""
    return is_sensitive(name) or name in AGES


def lawful(header: Sequence[str]) -> list[int]:
    """Places of the columns that a model may see."""
    dropped = {LABEL, "PolicyNumber", "Year"}
    return [
        place
        for place, name in enumerate(header)
        if not (refused(name) or name in dropped or name.lower().endswith(_LIMITS))
    ]


def folds(data: Path | None) -> Iterator[Fold]:
    """One fold for each quarter but the first.

    Raises:
        Unavailable: If the set is not there.
    """
    with gzip.open(find(data, FILE), "rt", encoding="utf-8", newline="") as stream:
        header, *lines = csv.reader(stream)
    table = np.array(lines, dtype=object)
    year, month = table[:, header.index("Year")].astype(int), table[:, header.index("Month")]
    quarter = year * 4 + np.array([MONTHS.index(m) for m in month]) // 3
    label = table[:, header.index(LABEL)] == "1"
    places = lawful(header)
    for now in np.unique(quarter)[1:]:
        train = np.flatnonzero(quarter < now)
        words, values = as_numbers(table[:, places], train)
        yield Fold(
            name=f"{now // 4}-Q{now % 4 + 1}",
            # With its place, since the file names two different columns alike.
            components=tuple(f"{place}.{header[place]}" for place in places),
            values=values,
            words=words,
            label=label,
            train=train,
            held_out=np.empty(0, dtype=np.intp),
            test=np.flatnonzero(quarter == now),
        )


def as_numbers(
    table: NDArray[np.object_], train: NDArray[np.intp]
) -> tuple[tuple[int, ...], NDArray[np.float32]]:
    """How many words each column has, 0 where it holds bands, and the numbers of its values.

    Words are numbered by how often training rows show them. The last word takes what training rows did
    not show, and where they showed more than eleven, the rest.
    """
    values, words = np.empty(table.shape, dtype=np.float32), []
    for column in range(table.shape[1]):
        seen = Counter(table[train, column])
        bands = next((b.split("|") for b in _BANDS if seen.keys() <= set(b.split("|"))), None)
        ranked = bands or [word for word, _ in seen.most_common(MAX_WORDS - 1)]
        number = {word: place for place, word in enumerate(ranked)}
        # A band that no list knows lies nowhere in the order.
        other = float("nan") if bands else len(ranked)
        values[:, column] = [number.get(word, other) for word in table[:, column]]
        words.append(0 if bands else len(ranked) + 1)
    return tuple(words), values
