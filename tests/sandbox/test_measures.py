"""What a record says of diversity, loss and risk, against counts made another way."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.order import JURISDICTIONS
from riskgraph.sandbox import Policy, Release, ReleaseRequest, read_table, verify_copy
from riskgraph.sandbox.groups import Groups, Sums, sse_ratio
from riskgraph.sandbox.manifest import Facts, Order, audit_of_refusal
from riskgraph.sandbox.measures import diversity, loss, risk, size_histogram


def _groups(units: list[int], label: list[int], rows: list[int]) -> Groups:
    count, empty = len(units), np.zeros((len(units), 0), np.float32)
    return Groups(
        label=np.array(label, np.int8), stratum=np.zeros(count, np.int16), rows=np.array(rows),
        units=np.array(units), components=np.array(units) // 5, mean=empty, sd=empty, presence=empty,
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(50, 400), st.integers(5, 400), st.integers(0, 1)), min_size=1))
def test_every_group_is_in_one_bin_of_each_histogram(sizes: list[tuple[int, int, int]]) -> None:
    units, components, label = (np.array(column) for column in zip(*sizes, strict=True))
    made = size_histogram(label.astype(np.int8), units, components, 50)
    for name, size in (("units", units), ("components", components)):
        edges = [*made[name]["edges"], np.inf]
        for value, word in ((0, "honest"), (1, "fraud")):
            mine = size[label == value]
            bins = zip(edges, edges[1:], strict=False)
            assert made[name][word] == [int(((mine >= a) & (mine < b)).sum()) for a, b in bins]
            assert sum(made[name][word]) == len(mine)


@given(st.lists(st.integers(50, 900), min_size=1, max_size=40))
def test_risk_is_one_over_the_size_of_the_group(units: list[int]) -> None:
    found = risk(_groups(units, [0] * len(units), units))["gbt42460"]
    each = [1 / size for size in units for _ in range(size)]
    assert found["DRb"] == pytest.approx(max(each))
    assert found["DRc"] == pytest.approx(sum(each) / len(each))
    assert (found["DRa"], found["level"], found["context"]) == (0, 3, None)
    assert found["R"] == found["DRb"] <= 1 / 50


def test_a_group_above_the_threshold_makes_the_risk_one() -> None:
    found = risk(_groups([10, 90], [0, 0], [10, 90]))["gbt42460"]
    assert (found["R"], found["level"], found["DRa"]) == (1.0, 2, pytest.approx(0.1))


def test_loss_counts_what_was_left_out() -> None:
    found = loss(_groups([50, 60], [0, 1], [100, 60]), 0.5, 50, 40)
    assert (found["n_avg"], found["c_avg"]) == (80, 1.6)
    assert found["discernibility"] == 100**2 + 60**2 + 40 * 200
    assert found["suppression"] == {"rows": 40, "share": 0.2}
    assert found["ncp"] is None


def test_the_label_of_a_group_is_never_hidden() -> None:
    found = diversity(_groups([50, 60], [0, 1], [300, 100]))
    assert found == {"max_prevalence": 1.0, "pure_share": 1.0, "t_max": 0.75}


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_error_ratio_is_that_of_the_rows(seed: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), 6)
    values = rng.normal(group[:, None], 1, (len(group), 3))
    absent = rng.random(values.shape) < 0.2
    filled = np.where(absent, 0, values)

    def over(x: Any) -> Any:
        return np.stack([x[group == g].sum(axis=0) for g in range(groups)])

    sums = Sums(over(filled), over(filled**2), over(~absent * 1.0), over(filled), over(filled))
    masked = np.ma.array(values, mask=absent)
    within = sum(((masked[group == g] - masked[group == g].mean(axis=0)) ** 2).sum() for g in range(groups))
    whole = ((masked - masked.mean(axis=0)) ** 2).sum()
    assert sse_ratio(sums) == pytest.approx(float(within / whole), abs=1e-4)


def test_a_release_records_all_that_is_known_and_why_the_rest_is_not(release: Release, signer: Any) -> None:
    record = verify_copy(release.path / "audit.jsonl", signer)
    groups = read_table(release.path, "centroids.parquet")
    assert 0 < record["loss"]["sse_ratio"] < 1
    assert record["loss"]["n_avg"] == pytest.approx(np.mean(groups["rows"]), abs=0.01)
    assert record["risk"]["prosecutor_max"] == pytest.approx(1 / min(groups["units"]))
    assert record["dominance"]["max_share"] <= 0.2
    assert record["composition"] == {
        "exempt": "simulated", "records_already_released": None, "releases_overlapping": None,
    }  # fmt: skip
    for name in ("approvals", "utility", "raw_ttl", "consent_policy_version"):
        assert record[name] is None
        assert record["not_measured"][name]
    assert set(record["risk"]["wp216"].values()) == {None}
    held = release.certificate["size_histogram"]["units"]
    assert sum(held["honest"]) + sum(held["fraud"]) == release.certificate["groups"]


def _basis(provenance: str, policy: Policy, places: tuple[int, int, int] | None) -> dict[str, Any]:
    request = ReleaseRequest(date(2026, 6, 30), 1, provenance, 0.0, "test")
    facts = Facts((), places, {}, 0, 0) if places else None
    basis: dict[str, Any] = audit_of_refusal(Order(request, "", policy), facts, "invalid", "")["legal_basis"]
    return basis


def test_only_people_whose_orders_were_used_need_a_legal_basis() -> None:
    shipped = Policy.default()
    assert set(_basis("simulated", shipped, (5, 5, 5)).values()) == {None}
    assert set(_basis("merchant", shipped, None).values()) == {None}
    everywhere = {p: 9 for p in JURISDICTIONS}
    found = _basis("merchant", shipped, tuple(everywhere.values()))  # type: ignore[arg-type]
    assert found == shipped.legal_basis(JURISDICTIONS)
    assert found["gdpr"] == ["GDPR 6(1)(a), 7"]
    only = _basis("merchant", shipped, tuple(9 * (p == "CN") for p in JURISDICTIONS))  # type: ignore[arg-type]
    assert (only["gdpr"], only["other"]) == (None, None)
    assert "PIPL 13(1)(1), 14(2)" in only["pipl"]
    assert all(cited.removeprefix("where sensitive ").startswith("PIPL") for cited in only["further_rules"])
