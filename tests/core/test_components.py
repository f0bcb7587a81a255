"""Components follow contracts section 1, to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.catalog import catalog
from riskgraph.core.components import histogram_components, histogram_quantiles
from riskgraph.core.errors import Invalid
from riskgraph.core.subgraph import OrderSubgraph

HOLD = catalog()["B033"]
counts = st.lists(st.integers(0, 500), min_size=16, max_size=16).filter(sum)


def quantile(bins, q):
    return histogram_quantiles(np.array([HOLD.histograms[0].edges]), np.array([bins]), np.array([q]))[0, 0]


def components(bins):
    return histogram_components(np.array([HOLD.histograms[0].edges]), np.array([bins]))[0].tolist()


def wire(bins):
    return {"n": sum(bins), "bins": bins}


def test_quantiles_are_linear_inside_a_bin():
    bins = [0] * 16
    bins[5] = 10
    assert quantile(bins, 0.5) == pytest.approx(16 + 0.5 * 16)


def test_the_last_bin_ends_at_twice_its_lower_edge():
    bins = [0] * 15 + [4]
    assert quantile(bins, 1.0) == 2**15


def test_a_histogram_in_one_bin_has_no_entropy_and_full_mode_share():
    bins = [0] * 16
    bins[3] = 7
    n, p50, _spread, entropy, mode = components(bins)
    assert (n, entropy, mode) == (3.0, 0.0, 1.0)
    assert 4 <= p50 <= 8


def test_spread_is_the_log_ratio_of_p90_and_p10_over_the_first_width():
    bins = [0] * 16
    bins[2], bins[8] = 50, 50
    p10, p90 = quantile(bins, 0.1), quantile(bins, 0.9)
    assert components(bins)[2] == pytest.approx(math.log2((p90 + 1) / (p10 + 1)))


@given(counts)
def test_every_histogram_gives_finite_ordered_components(bins):
    subgraph = OrderSubgraph.build({"B033": wire(bins)}, {})
    parts = subgraph.components[catalog().component_slices[HOLD.index]]
    shares = subgraph.shares[catalog().histogram_slices[HOLD.index]]
    n, p50, spread, entropy, mode = parts.tolist()
    assert np.isfinite(parts).all()
    assert parts.dtype == np.float32
    assert n == pytest.approx(math.log2(1 + sum(bins)), rel=1e-6)
    assert 0 <= p50 <= 2**15
    assert spread >= 0
    assert 0 <= entropy <= 4.0001
    assert 1 / 16 - 1e-6 <= mode <= 1
    assert abs(int(shares[0].sum()) - 255) <= 8


@pytest.mark.parametrize(
    ("node", "value", "field"),
    [
        ("B033", {"n": 3, "bins": [1] * 16}, "signals.B033.n"),
        ("B033", {"n": 15, "bins": [1] * 15}, "signals.B033.bins"),
        ("B033", {"n": 0, "bins": [0] * 16}, "signals.B033.n"),
        ("B033", {"n": -1, "bins": [-1] + [0] * 15}, "signals.B033.bins"),
        ("B033", {"n": 1.0, "bins": [1.0] + [0] * 15}, "signals.B033.bins"),
        ("B033", [1, 2], "signals.B033"),
        ("B013", {"speed": wire([1] * 16)}, "signals.B013"),
        ("B071", -1, "signals.B071"),
        ("B071", float("nan"), "signals.B071"),
        ("B071", float("inf"), "signals.B071"),
        ("B071", True, "signals.B071"),
        ("B071", "3", "signals.B071"),
        ("B079", 1, "signals.B079"),
        ("B085", "denied", "signals.B085"),
        ("B085", None, "signals.B085"),
        ("B085", ["granted"], "signals.B085"),
    ],
)
def test_a_wrong_value_is_refused_and_the_field_is_named(node, value, field):
    with pytest.raises(Invalid) as refused:
        OrderSubgraph.build({node: value}, {})
    assert refused.value.field == field


def test_a_refusal_is_no_word_of_the_location_node():
    assert catalog()["B085"].words == ("granted", "unavailable")
