import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from riskgraph.core.catalog import catalog
from riskgraph.models.calibration import (
    DRAWN_TAIL,
    FLAGGED_SHARE,
    REFUSED_CONFIDENCE,
    REJECT_SHARE,
    _rest,
    calibrate,
    find_thresholds,
    solve_shift,
    sure_share,
)
from riskgraph.models.card import AVAILABILITY_CLASSES
from riskgraph.models.compiled import sigmoid
from riskgraph.models.rows import Rows, source_columns, without_source
from tests.models.helpers import random_components

REJECT, FLAGGED = REJECT_SHARE / DRAWN_TAIL, FLAGGED_SHARE / DRAWN_TAIL
BIAS = {name: -3.0 - i for i, name in enumerate(AVAILABILITY_CLASSES)}
SEEN_NODE = catalog().component_index["B130.value"]
SDK_NODE = catalog().component_index["B003.value"]


def rows_of(counts: dict[str, int], seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    total = sum(counts.values())
    components = random_components(total, seed, absent=0.0)
    components[:, [SEEN_NODE, SDK_NODE]] = rng.normal(0, 1, (total, 2))
    label = (rng.random(total) < 0.05).astype(np.int8)
    availability = np.repeat(np.array(list(counts), dtype=object), list(counts.values()))
    return Rows(components, availability, label, np.ones(total), np.full(total, -1, dtype=np.int32))


def raw(components: np.ndarray) -> np.ndarray:
    return np.nan_to_num(components[:, [SEEN_NODE, SDK_NODE]].astype(np.float64)).sum(axis=1)


def test_thresholds_keep_the_promised_shares_of_honest_rows() -> None:
    logit = np.random.default_rng(1).normal(-4, 2, 50_000)
    found = find_thresholds(logit, np.ones(50_000))
    score = sigmoid(logit)
    assert 0.95 * REJECT < (score >= found.reject).mean() <= REJECT
    assert 0.95 * FLAGGED < (score >= found.review).mean() <= FLAGGED


def test_thresholds_heed_weights() -> None:
    logit = np.arange(1000) / 100.0
    weight = np.where(np.arange(1000) >= 900, 0.1, 1.0)
    found = find_thresholds(logit, weight)
    flagged = sigmoid(logit) >= found.review
    assert weight[flagged].sum() / weight.sum() <= FLAGGED
    # each of the last hundred weighs a tenth
    assert flagged.sum() == int(FLAGGED * weight.sum() / 0.1)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(-6, 50), min_size=1, max_size=400))
def test_ties_never_break_the_shares_nor_the_order(values: list[int]) -> None:
    logit = np.array(values, dtype=np.float64)
    found = find_thresholds(logit, np.ones(len(logit)))
    assert 0 < found.review < found.reject <= 1
    assert (sigmoid(logit) >= found.reject).mean() <= REJECT or sigmoid(logit).max() > 1 - 1e-9


@settings(deadline=None)
@given(st.floats(1e-4, 0.2), st.integers(1, 60_000))
def test_of_a_true_share_above_the_wanted_one_so_few_rows_are_seldom_seen(share: float, count: int) -> None:
    found = sure_share(share, count, 0.95)
    assert np.isnan(found) == (binom.cdf(0, count, share) > 0.05)
    if not np.isnan(found):
        seen = round(found * count)
        assert seen <= share * count
        assert binom.cdf(seen, count, share) <= 0.05 + 1e-9
        assert binom.cdf(seen + 1, count, share) > 0.05 or seen + 1 > share * count


def test_refusers_are_told_of_cuts_that_so_few_rows_cannot_be_sure_of() -> None:
    few, many = (calibrate(raw, BIAS, rows_of({"pre_auth/front_end": n}))["pre_auth/refused"].how
                 for n in (1_500, 20_000))  # fmt: skip
    assert "with 95 % confidence but for reject, which would take more rows: reject lies above every" in few
    assert "with 95 % confidence: reject rests on" in many


def test_chance_does_not_fall_to_the_cost_of_those_who_refuse() -> None:
    logit = np.random.default_rng(3).normal(-4, 2, 30_000)
    plain, sure = find_thresholds(logit, np.ones(30_000)), find_thresholds(logit, np.ones(30_000), 0.95)
    assert sure.reject > plain.reject
    assert sure.review > plain.review


@pytest.mark.parametrize("rate", [0.001, 0.05, 0.6])
def test_the_shift_meets_the_rate(rate: float) -> None:
    rng = np.random.default_rng(2)
    logit, weight = rng.normal(-2, 3, 4000), rng.uniform(0.1, 5, 4000)
    shift = solve_shift(logit, weight, rate)
    assert np.average(sigmoid(logit + shift), weights=weight) == pytest.approx(rate, abs=1e-9)


def test_a_class_with_many_rows_is_calibrated_on_its_own() -> None:
    rows = rows_of({"pre_auth/front_end": 30_000, "pre_auth/no_front_end": 30_000})
    found = calibrate(raw, BIAS, rows)["pre_auth/no_front_end"]
    mine = rows.take(rows.availability == "pre_auth/no_front_end")
    mean = sigmoid(raw(mine.components) + found.offset).mean()
    assert found.how.startswith("own rows")
    assert mean == pytest.approx(mine.fraud_rate, rel=0.05)


def test_a_class_says_on_how_many_honest_rows_its_cuts_rest() -> None:
    rows = rows_of({"pre_auth/front_end": 30_000, "pre_auth/no_front_end": 2150})
    found = calibrate(raw, BIAS, rows)
    honest = [int((~rows.fraud)[rows.availability == n].sum()) for n in list(found)[:2]]
    for count, name in zip(honest, list(found)[:2], strict=True):
        many, more = int(count * REJECT), int(count * FLAGGED)
        assert found[name].how.endswith(f"reject rests on the {many} highest honest rows, review on {more}")


def test_a_cut_that_not_even_one_row_may_pass_lies_above_them_all() -> None:
    found = calibrate(raw, BIAS, rows_of({"pre_auth/front_end": 400}))["pre_auth/front_end"]
    assert found.how.endswith("reject lies above every honest row, review rests on the 2 highest")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4000), st.integers(0, 1000))
def test_what_a_cut_is_said_to_rest_on_lies_above_it(count: int, seed: int) -> None:
    logit = np.random.default_rng(seed).normal(-3, 2, count)
    found = find_thresholds(logit, np.ones(count))
    said = [int(n) for n in re.findall(r"\d+", _rest(sigmoid(logit), found))]
    counts = [int((sigmoid(logit) >= cut).sum()) for cut in (found.reject, found.review)]
    assert said == [n for n in counts if n]


def test_refused_is_calibrated_on_consenting_rows_with_consent_nodes_masked() -> None:
    rows = rows_of({"pre_auth/front_end": 20_000, "pre_auth/refused": 50})
    found = calibrate(raw, BIAS, rows)
    assert "C and R nodes masked" in found["pre_auth/refused"].how
    masked = without_source(rows.take(rows.availability == "pre_auth/front_end"), "refused")
    honest = ~masked.fraud
    score = sigmoid(raw(masked.components)[honest] + found["pre_auth/refused"].offset)
    wanted = sure_share(REJECT, honest.sum(), REFUSED_CONFIDENCE)
    rejected = (score >= found["pre_auth/refused"].thresholds.reject).mean()
    assert 0 < rejected == pytest.approx(wanted)


def test_masking_takes_exactly_the_nodes_of_a_source() -> None:
    names = np.array(catalog().components)
    refused, bare = names[source_columns("refused")], names[source_columns("no_front_end")]
    assert {n.split(".")[0] for n in refused} == {n.id for n in catalog() if n.consent_needed}
    assert {n.split(".")[0] for n in bare} == {n.id for n in catalog() if n.computed_by == "sdk"}
    assert not source_columns("front_end").any()


def test_classes_never_seen_borrow_and_say_so() -> None:
    found = calibrate(raw, BIAS, rows_of({"pre_auth/front_end": 20_000}))
    assert set(found) == set(AVAILABILITY_CLASSES)
    assert "SDK nodes masked" in found["pre_auth/no_front_end"].how
    assert found["post_auth/front_end"].how.startswith("copied from pre_auth/front_end")
    for source in ("front_end", "no_front_end", "refused"):
        assert found[f"post_auth/{source}"].offset == found[f"pre_auth/{source}"].offset
        assert found[f"post_auth/{source}"].thresholds == found[f"pre_auth/{source}"].thresholds


def test_few_rows_lean_on_all_rows() -> None:
    found = calibrate(raw, BIAS, rows_of({"post_auth/refused": 200}))
    assert "all held-out rows" in found["pre_auth/front_end"].how
    assert all(np.isfinite(c.offset) for c in found.values())


def test_a_class_without_fraud_takes_the_shift_of_all_rows() -> None:
    rows = rows_of({"pre_auth/front_end": 20_000, "pre_auth/no_front_end": 5000})
    rows.label[rows.availability == "pre_auth/no_front_end"] = 0
    found = calibrate(raw, BIAS, rows)
    trained = np.array([BIAS[n] for n in rows.availability])
    general = solve_shift(raw(rows.components) + trained, rows.weight, rows.fraud_rate)
    assert found["pre_auth/no_front_end"].offset == pytest.approx(
        BIAS["pre_auth/no_front_end"] + general, abs=1e-9
    )
