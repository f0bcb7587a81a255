"""The layout with linked scores differs in six components and in nothing else."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from riskgraph.bench.linked import with_links
from riskgraph.models.layout import Layout


def test_the_layout_with_links_keeps_pairs_and_stand_ins() -> None:
    plain, wide = Layout.of_catalog(), with_links(Layout.of_catalog())
    assert len(wide.components) == len(plain.components) + 6
    assert np.array_equal(wide.ends, plain.ends)
    assert np.array_equal(wide.stand_in, plain.stand_in)
    assert np.array_equal(wide.pair_a, plain.pair_a)
