"""Every attack fails on a release and succeeds on one without protection, else it could not fail."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import CheckFailed
from riskgraph.core.order import JURISDICTIONS
from riskgraph.core.subgraph import State
from riskgraph.sandbox import Policy, ReleaseRequest, find_units, write_release
from riskgraph.sandbox.attack import (
    Finding,
    Published,
    Raw,
    Records,
    Result,
    attack_release,
    both_ways,
    encode,
    figures,
    read_published,
    true_groups,
)
from riskgraph.sandbox.attack.membership import scores
from riskgraph.sandbox.attack.rates import area
from riskgraph.sandbox.attack.run import NAMES, OF_ONE_COMPONENT, Effort, spread
from riskgraph.sandbox.pairs import APART, CELLS, joint_cells
from riskgraph.sandbox.policy import objectors
from tests.sandbox.conftest import nothing_told_of_pairs

EFFORT = Effort(rows=1_500, predicates=1_000, halves=1_000)
ATTACKS = {
    "linkage",
    "membership_data",
    "membership_model",
    "inference",
    "attribute_inference",
    "label_inference",
    "singling_out",
    "linkability",
}


def memorises(members: Raw) -> Any:
    """A model that knows the label of each member and nothing else."""
    known = {row.tobytes(): label for row, label in zip(members.components, members.label, strict=True)}

    def score(raw: Raw) -> NDArray[np.float64]:
        return np.array([float(known.get(row.tobytes(), 0.5)) for row in raw.components])

    return score


@pytest.fixture(scope="module")
def on_release(halves: Any) -> Result:
    return attack_release(
        halves.published, halves.members, halves.group, halves.controls, None, seed=1, effort=EFFORT
    )


@pytest.fixture(scope="module")
def on_raw(halves: Any, bad: Any) -> Result:
    controls = halves.controls.take(np.sort(np.random.default_rng(2).permutation(len(halves.controls))[:700]))
    records = encode(bad.published, bad.members)
    # What a suppressed block holds never reaches a model, so the model knows the encoded records.
    scorer = memorises(records.raw)
    return attack_release(bad.published, bad.members, bad.group, controls, scorer, seed=1, effort=EFFORT)


def lines(result: Result, attack: str, subjects: str | None = None) -> list[Finding]:
    return [f for f in result.findings if f.attack == attack and subjects in (None, f.subjects)]


def test_every_attack_breaks_its_bound_on_raw_rows_in_groups_of_one(on_raw: Result) -> None:
    assert {f.attack for f in on_raw.broken} == ATTACKS


@pytest.mark.parametrize(
    ("attack", "subjects"),
    [("linkage", "honest"), ("linkage", "fraud"), ("singling_out", "all"), ("linkability", "all")],
)
def test_every_way_to_link_and_to_single_out_finds_almost_all_raw_rows(
    on_raw: Result, attack: str, subjects: str
) -> None:
    found = lines(on_raw, attack, subjects)
    assert found
    assert min(f.success for f in found) > 0.9
    assert all(f.control is not None and f.control < 0.5 for f in found)


@pytest.mark.parametrize("subjects", ["honest", "fraud"])
@pytest.mark.parametrize("per", ["row", "person"])
@pytest.mark.parametrize(
    "method",
    [
        "R2: fit of the best group",
        "R2: best group against its class",
        "R2: pull towards the best group",
        "nearest drawn row, on bins",
        "nearest drawn row, on ranks",
        "all of them, fitted on half of the persons",
    ],
)
def test_membership_is_plain_where_groups_are_single_rows(
    on_raw: Result, subjects: str, per: str, method: str
) -> None:
    (line,) = [f for f in lines(on_raw, "membership_data", subjects) if (f.method, f.per) == (method, per)]
    assert line.value > 0.9
    assert line.lower > 0.85


def test_a_model_that_memorised_its_members_gives_them_away(on_raw: Result) -> None:
    assert min(f.value for f in lines(on_raw, "membership_model")) > 0.9


def test_hidden_values_are_read_from_raw_rows(on_raw: Result) -> None:
    (near,) = lines(on_raw, "inference", "all")
    (group,) = lines(on_raw, "attribute_inference", "all")
    assert near.success > 0.95
    assert near.value > 0.8
    assert group.success > 0.9
    assert group.value > 0.3


def test_the_release_withstands_what_breaks_raw_rows(on_release: Result) -> None:
    """No leak beyond doubt, but for what a release of 250 fraud persons tells of them as a class.

    Membership and label then show a little, far less than raw rows do; so few trials say nothing
    about upper ends.
    """
    leaks = {f.attack for f in on_release.findings if f.lower > f.bound}
    assert leaks <= {"membership_data", "label_inference"}
    assert max(f.value for f in lines(on_release, "membership_data")) < 0.72
    assert max(f.value for f in lines(on_release, "label_inference")) < 0.2


def test_naming_one_person_is_never_easier_than_one_in_fifty(on_release: Result, halves: Any) -> None:
    for line in lines(on_release, "linkage"):
        assert line.control < line.success <= 1 / 50


def test_every_line_has_trials_an_interval_and_a_bound(on_release: Result) -> None:
    for line in on_release.findings:
        assert line.n > 0
        assert 0 <= line.lower <= line.upper <= 1
        assert line.bound is not None
        assert {"name", "n", "success", "control", "ci", "bound", "pass"} <= set(line.to_json())
        if line.attack in ("singling_out", "linkability", "inference") and line.subjects == "all":
            assert min(line.n, line.controls) >= 1_000


def test_the_same_seed_gives_the_same_lines_and_another_one_others(halves: Any) -> None:
    little = Effort(rows=300, predicates=50, halves=50)
    one, again, other = (
        attack_release(
            halves.published, halves.members, halves.group, halves.controls, None, seed=seed, effort=little
        )
        for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_attacks_made_both_ways_add_up_trials_and_average_areas(on_release: Result) -> None:
    double = both_ways(on_release, on_release)
    for once, twice in zip(on_release.findings, double.findings, strict=True):
        assert (twice.n, twice.controls) == (2 * once.n, 2 * once.controls)
        assert twice.success == pytest.approx(once.success)
        if once.by == "value":
            assert (twice.value, twice.lower, twice.upper) == (once.value, once.lower, once.upper)
        else:
            assert twice.upper - twice.lower <= once.upper - once.lower
    with pytest.raises(ValueError, match="different lines"):
        both_ways(on_release, Result(on_release.findings[::-1]))


def test_no_ring_has_more_than_twenty_rows_in_a_comparison(halves: Any) -> None:
    records = encode(halves.published, halves.members)
    kept = spread(records, 700, np.random.default_rng(1))
    assert len(set(kept.tolist())) == len(kept)
    for label in (0, 1):
        mine = records.raw.component[kept][records.label[kept] == label]
        assert np.bincount(mine).max() <= OF_ONE_COMPONENT
        assert 0 < len(mine) <= 700


def test_figures_are_the_worst_lines_and_say_what_was_left_out(on_release: Result) -> None:
    found = figures(on_release)
    assert tuple(found) == NAMES
    assert found["membership_model_auc"] is None
    shown = found["membership_data_auc"]
    assert shown is not None
    assert shown["value"] == max(f.value for f in lines(on_release, "membership_data"))
    assert found["inference"]["value"] >= max(f.upper for f in lines(on_release, "inference", "all"))


def test_a_line_above_its_bound_is_broken_and_one_at_it_is_not(on_release: Result) -> None:
    line = next(f for f in on_release.findings if f.attack == "linkage")
    assert dataclasses.replace(line, value=0.02).held
    assert not dataclasses.replace(line, value=0.0201).held
    assert dataclasses.replace(line, value=0.5, bound=None).held


def test_the_map_that_judges_linkage_is_that_of_the_release_or_refused(halves: Any) -> None:
    units = halves.split.unit[halves.split.first][halves.grouping.rows]
    counted = [len(np.unique(units[halves.group == g])) for g in range(len(halves.published.groups))]
    assert counted == halves.published.groups.units.tolist()
    other = dataclasses.replace(halves.request, seed=99)
    with pytest.raises(CheckFailed, match="not that of the release"):
        true_groups(halves.history, other, halves.published, policy=Policy.default())


def overfitted(published: Published, records: Records, rows: NDArray[np.intp]) -> Published:
    """The release with R3 and R4 counted over a few fraud records, exactly."""
    few = records.take(rows)
    shapes = list(published.shapes)
    for j, shape in enumerate(shapes):
        tally = np.bincount(few.code[few.present[:, j], j] - 1, minlength=len(published.scales[j].z))
        cells = np.bincount(shape.bin, minlength=len(tally))
        share = shape.share.copy()
        share[1] = (tally / np.maximum(cells, 1) / max(tally.sum(), 1))[shape.bin]
        shapes[j] = dataclasses.replace(shape, share=share)
    pairs = published.pairs
    cell, total = pairs.cell.copy(), pairs.total.copy()
    for p in np.flatnonzero(pairs.label == 1):
        codes = []
        for j in pairs.ends[p]:
            codes.append(np.append(0, published.scales[j].coarse + 1).astype(np.uint8)[few.code[:, j]])
        cell[p] = np.arange(CELLS)
        total[p] = np.bincount(joint_cells(*codes), minlength=APART + 1)
    pairs = dataclasses.replace(pairs, cell=cell, total=total)
    return dataclasses.replace(published, shapes=tuple(shapes), pairs=pairs)


def fitted_correlation(records: Records, published: Published, rows: NDArray[np.intp]) -> Published:
    """The release with the correlation of a few fraud records instead of that of honest residuals."""
    groups = published.groups
    share = np.where(groups.label == 1, groups.rows, 0) / groups.rows[groups.label == 1].sum()
    z = np.where(records.present[rows], records.z[rows] - share @ groups.mean, 0.0)
    z /= z.std(axis=0) + 1e-6
    own = z.T @ z / len(z)
    correlation = published.correlation.copy()
    correlation[:259, :259] = 0.7 * own + 0.3 * np.eye(259)
    return dataclasses.replace(published, correlation=correlation)


def test_marginals_cells_and_correlations_of_a_few_fraud_persons_give_them_away(halves: Any) -> None:
    """What R3 and R4 would tell without merged cells and with a correlation of the fraud class."""
    sides = [raw.take(np.flatnonzero(raw.label == 1)[:120]) for raw in (halves.members, halves.controls)]
    inside, outside = (encode(halves.published, side) for side in sides)
    both, member = inside.join(outside), np.repeat([True, False], 120)
    drawn = encode(halves.published, sides[0])
    rows = np.arange(120)
    found = scores(overfitted(halves.published, both, rows), both, drawn)
    assert area(found["R3: marginals against the other class"], member) > 0.7
    assert area(found["R4: cells against independence"], member) > 0.6
    wrong = fitted_correlation(both, halves.published, rows)
    assert area(scores(wrong, both, drawn)["R3: fit of correlations"], member) > 0.9


def test_an_order_that_cap_policy_or_an_objection_keeps_out_is_no_member(
    make_world: Any, signer: Any, tmp_path: Any
) -> None:
    table = make_world(3, 3_000, 900, 900, 300)
    honest = np.flatnonzero(table.label == 0)
    account = table.account.copy()
    account[honest[::30]] = table.account[honest[0]]
    objected = np.zeros(len(table), dtype=np.bool_)
    objected[np.flatnonzero(table.label == 1)[:20]] = True
    table = dataclasses.replace(table, account=account, objected=objected)
    policy = Policy.default().tightened({"CN": {"C": {"motion": "barred"}, "R": {"motion": "barred"}}})
    request = ReleaseRequest(
        until=date(2026, 6, 30), seed=3, provenance="simulated", now=0.0, code="test"
    )  # fmt: skip
    with nothing_told_of_pairs():
        made = write_release(table, tmp_path / "release", request, signer, policy=policy)
    dropped = made.manifest["input"]["dropped"]
    assert dropped["cap"] > 50
    assert dropped["objected"] >= 20
    assert made.manifest["input"]["withheld_nodes"] > 0
    found = true_groups(table, request, read_published(made), policy)
    unit = find_units(table).unit[found.rows]
    assert np.unique(unit * 2 + table.label[found.rows], return_counts=True)[1].max() == 12
    assert not objectors(table)[found.rows].any()
    assert (found.entered.order_id == table.order_id[found.rows]).all()
    chinese = table.jurisdiction[found.rows] == JURISDICTIONS.index("CN")
    motion = [n.index for n in catalog() if n.purpose == "motion"]
    assert (found.entered.states[chinese][:, motion] != State.PRESENT).all()
    with pytest.raises(CheckFailed, match="not that of the release"):
        true_groups(table, request, read_published(made), policy=Policy.default())
