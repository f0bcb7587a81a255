"""Linked scores tell of earlier orders of other accounts, and of nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.eval.linked import DAYS, linked_scores
from tests.eval.backtest_toy import make_toy

DAY = 86_400_000_000
orders = st.lists(
    st.tuples(st.integers(0, 80), st.integers(0, 3), st.integers(-1, 2), st.integers(-5, 5)),
    min_size=1, max_size=40,
)  # fmt: skip
TOY = make_toy(orders=400).table


@given(orders)
def test_a_linked_score_is_that_of_earlier_orders_of_other_accounts_in_thirty_days(
    rows: list[tuple[int, int, int, int]],
) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    day, account, device, logit = (np.array(column) for column in zip(*rows, strict=True))
    columns = {
        "placed_at": day * DAY, "account": account, "device": device,
        "card": np.full(len(rows), -1), "address": device,
    }  # fmt: skip
    table = TOY.take(np.arange(len(rows)))
    for name, column in columns.items():
        object.__setattr__(table, name, column.astype(np.int64))
    found = linked_scores(table, logit.astype(np.float64))
    for i in range(len(rows)):
        told = [
            logit[j]
            for j in range(len(rows))
            if 0 <= device[i] == device[j] and account[j] != account[i] and 0 < day[i] - day[j] <= DAYS
        ]
        wanted = [np.mean(told), max(told)] if told else [np.nan, np.nan]
        np.testing.assert_allclose(found[i], [*wanted, *wanted, np.nan, np.nan], rtol=1e-6)
