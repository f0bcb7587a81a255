"""Vehicle insurance claims of eight real quarters, measured as time goes on.

Each claim is a row, each lawful column a node with one component, every value a word; pairs are found by
data. The model of a quarter has seen all quarters before it and no other. Columns whose names the
project refuses as sensitive (sex, marital status) are dropped by that same check, and so is age in both
its forms. Row and policy numbers tell the place in the file, the year the quarter, and the columns of
limits repeat a banded one: dropped too.
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
        words, values = in_words(table[:, places], train)
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


def in_words(
    table: NDArray[np.object_], train: NDArray[np.intp]
) -> tuple[tuple[int, ...], NDArray[np.float32]]:
    """How many words each column has, and their numbers, commonest first on the training rows.

    The last word takes what training rows did not show, and where they showed more than eleven, the rest.
    """
    values, words = np.empty(table.shape, dtype=np.float32), []
    for column in range(table.shape[1]):
        ranked = Counter(table[train, column]).most_common(MAX_WORDS - 1)
        number = {word: place for place, (word, _) in enumerate(ranked)}
        values[:, column] = [number.get(word, len(ranked)) for word in table[:, column]]
        words.append(len(ranked) + 1)
    return tuple(words), values
