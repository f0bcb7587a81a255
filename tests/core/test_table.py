"""Columns of a history that lie in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from riskgraph.core.table import let_go


def test_what_is_let_go_of_can_still_be_read_and_written(tmp_path: Path) -> None:
    column = np.lib.format.open_memmap(tmp_path / "c.npy", mode="w+", dtype=np.float32, shape=(50_000, 3))
    column[:] = np.arange(150_000, dtype=np.float32).reshape(50_000, 3)
    let_go(column, column[:10], np.zeros(3))
    assert column[49_999].tolist() == [149_997.0, 149_998.0, 149_999.0]
    column[0] = 7.0
    let_go(column[:20_000])
    assert column[0].tolist() == [7.0, 7.0, 7.0]
    assert column.sum(dtype=np.float64) == np.arange(150_000, dtype=np.float64).sum() + 21.0 - 3.0


def test_a_column_in_memory_stays() -> None:
    column = np.ones(5)
    let_go(column)
    assert column.sum() == 5
