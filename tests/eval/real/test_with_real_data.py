"""The sets themselves, where somebody has them."""

from __future__ import annotations

import os

import numpy as np
import pytest

from riskgraph.core.errors import Unavailable
from riskgraph.eval.real import VARIABLE, Fold, amazon, delbot, dsjtzs, insurance, tolokers

pytestmark = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"real data is opt-in: {VARIABLE} does not name its folder"
)


def taken(folds: object) -> list[Fold]:
    try:
        return list(folds)  # type: ignore[call-overload, no-any-return]
    except Unavailable as missing:
        pytest.skip(missing.message)


def test_tolokers_has_its_published_size_and_splits() -> None:
    folds = taken(tolokers.folds(None))
    assert len(folds) == 10
    assert len(folds[0].label) == 11_758
    assert folds[0].label.mean() == pytest.approx(0.218, abs=0.001)
    assert len(folds[0].train) == pytest.approx(11_758 / 2, abs=2)


def test_amazon_has_its_published_size() -> None:
    (fold,) = taken(amazon.folds(None, range(1)))
    assert len(fold.label) == 10_224
    assert fold.label.mean() == pytest.approx(0.0678, abs=0.0001)


def test_insurance_has_eight_quarters_and_no_protected_column() -> None:
    folds = taken(insurance.folds(None))
    assert len(folds) == 7
    assert sum(len(f.test) for f in folds) + len(folds[0].train) == 11_337
    assert not [n for n in folds[0].components if insurance.refused(n.split(".")[1])]


def test_dsjtzs_has_276_bots_and_1741_people() -> None:
    folds = taken(dsjtzs.folds(None, 0))
    assert [int(folds[0].label.sum()), int((~folds[0].label).sum())] == [276, 1741]
    # Nearly every recording is long enough for all histograms but that of pauses.
    speed = folds[0].components.index("B014.entropy")
    assert np.isnan(folds[0].values[:, speed]).mean() < 0.01


def test_delbot_has_four_ways_to_leave_out_a_device_and_a_family() -> None:
    folds = taken(delbot.folds(None, 0))
    assert sorted(int(f.label[f.test].sum()) for f in folds) == [408, 408, 1899, 1899]
    assert sorted(int((~f.label[f.test]).sum()) for f in folds) == [70, 70, 229, 229]
