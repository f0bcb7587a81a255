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
    Trials,
    attack_release,
    encode,
    figures,
    pooled,
    read_published,
    settle,
    true_groups,
)
from riskgraph.sandbox.attack.inference import hide, infer
from riskgraph.sandbox.attack.membership import membership, scores
from riskgraph.sandbox.attack.rates import area
from riskgraph.sandbox.attack.run import NAMES, OF_ONE_COMPONENT, Effort, drawn_of, spread
from riskgraph.sandbox.pairs import APART, CELLS, joint_cells
from riskgraph.sandbox.policy import objectors
from tests.sandbox.attack.conftest import a_few
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
def on_release(tried: list[Trials]) -> Result:
    return settle([tried])


@pytest.fixture(scope="module")
def tried(halves: Any) -> list[Trials]:
    return attack_release(
        halves.published, halves.members, halves.group, halves.controls, None, seed=1, effort=EFFORT
    )


@pytest.fixture(scope="module")
def on_raw(halves: Any, bad: Any) -> Result:
    controls = halves.controls.take(np.sort(np.random.default_rng(2).permutation(len(halves.controls))[:700]))
    records = encode(bad.published, bad.members)
    # What a suppressed block holds never reaches a model, so the model knows the encoded records.
    scorer = memorises(records.raw)
    made = attack_release(bad.published, bad.members, bad.group, controls, scorer, seed=1, effort=EFFORT)
    return settle([made])


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
    leaks = {f.attack for f in on_release.findings if f.bound and f.lower is not None and f.lower > f.bound}
    assert leaks <= {"membership_data", "label_inference"}
    assert max(f.value for f in lines(on_release, "membership_data")) < 0.72
    assert max(f.value for f in lines(on_release, "label_inference")) < 0.2


def test_naming_one_person_is_never_easier_than_one_in_fifty(on_release: Result, halves: Any) -> None:
    for line in lines(on_release, "linkage"):
        assert line.control < line.success <= 1 / 50


def test_every_line_has_trials_an_interval_and_a_verdict_or_a_reason(on_release: Result) -> None:
    for line in on_release.findings:
        shown = line.to_json()
        assert {"name", "n", "success", "control", "ci", "bound", "pass", "judged_by"} <= set(shown)
        if line.verdict == "not measured":
            assert line.reason
            assert (shown["value"], shown["ci"], shown["pass"]) == (None, None, None)
            continue
        assert line.n >= line.persons > 0 or line.attack == "singling_out"
        assert line.lower is not None
        assert line.upper is not None
        assert 0 <= line.lower <= line.upper <= 1
        assert (line.bound is None) == (line.attack == "right_group")
        if line.attack in ("singling_out", "linkability", "inference") and line.subjects == "all":
            assert min(line.n, line.controls) >= 1_000


def test_the_same_seed_gives_the_same_lines_and_another_one_others(halves: Any) -> None:
    little = Effort(rows=300, predicates=50, halves=50)
    one, again, other = (
        settle(
            [
                attack_release(
                    halves.published, halves.members, halves.group, halves.controls, None,
                    seed=seed, effort=little,
                )
            ]
        )
        for seed in (1, 1, 2)
    )  # fmt: skip
    assert one == again
    assert one != other


def test_the_same_attack_told_twice_adds_trials_and_no_certainty(
    on_release: Result, tried: list[Trials]
) -> None:
    """Persons are clusters over releases: what they gave once more is no news."""
    double = settle([tried, tried])
    for once, twice in zip(on_release.findings, double.findings, strict=True):
        assert (twice.n, twice.controls) == (2 * once.n, 2 * once.controls)
        assert twice.persons == once.persons
        if once.value is not None:
            ends = (once.success, once.value, once.lower, once.upper)
            assert (twice.success, twice.value, twice.lower, twice.upper) == pytest.approx(ends, abs=1e-9)
    with pytest.raises(ValueError, match="different lines"):
        settle([tried, tried[::-1]])


def few_bins(published: Published, most: int) -> Published:
    """The release with its bins merged to at most ``most`` of a component, as a small history has them."""
    scales, shapes = [], []
    for scale, shape in zip(published.scales, published.shapes, strict=True):
        into = np.minimum(np.arange(len(scale.z)), most - 1)
        last = np.append(np.flatnonzero(np.diff(into)), len(into) - 1)
        merged = dataclasses.replace(
            scale, edges=scale.edges[last[:-1]], z=scale.z[last], coarse=np.arange(len(last), dtype=np.int8)
        )
        scales.append(merged)
        shapes.append(dataclasses.replace(shape, bin=into[shape.bin].astype(np.int8)))
    return dataclasses.replace(published, scales=tuple(scales), shapes=tuple(shapes))


@pytest.mark.parametrize("most", [2, 3, 11])
def test_every_hidden_value_is_there_and_those_of_a_record_differ_however_few_bins_there_are(
    halves: Any, most: int
) -> None:
    published = few_bins(halves.published, most)
    records = encode(published, halves.members.take(a_few(halves.members)))
    rows, places = hide(published, records, 8, np.random.default_rng(1))
    assert records.present[rows, places].all()
    assert len({*zip(rows.tolist(), places.tolist(), strict=True)}) == len(rows)
    assert np.bincount(rows, minlength=len(records)).min() >= 1
    assert np.bincount(rows).max() == 8
    assert min(len(published.scales[j].z) for j in places) >= min(most, 4)


def test_whoever_has_the_raw_rows_infers_hidden_values_where_no_component_has_four_bins(
    halves: Any, bad: Any
) -> None:
    published = few_bins(bad.published, 3)
    rng = np.random.default_rng(3)
    outside = halves.controls.take(np.sort(rng.permutation(len(halves.controls))[:700]))
    members, controls, drawn = (encode(published, raw) for raw in (bad.members, outside, drawn_of(published)))
    result = settle([infer(published, members, controls, drawn, rng)])
    (line,) = [f for f in result.findings if (f.attack, f.subjects) == ("inference", "all")]
    assert line.verdict == "broken"
    assert line.lower is not None
    assert line.lower > 0.5


def test_where_no_component_has_two_bins_inference_is_not_measured(halves: Any) -> None:
    published = few_bins(halves.published, 1)
    members, controls = (
        encode(published, raw.take(a_few(raw, 60, 60))) for raw in (halves.members, halves.controls)
    )
    drawn = encode(published, drawn_of(published))
    result = settle([infer(published, members, controls, drawn, np.random.default_rng(1))])
    for line in result.findings:
        if line.attack in ("inference", "attribute_inference"):
            assert (line.verdict, line.value) == ("not measured", None)
            assert "two bins" in line.reason


def test_without_a_joint_table_of_a_class_its_cells_are_not_measured(halves: Any) -> None:
    pairs = halves.published.pairs
    kept = pairs.label == 0
    fields = {f.name: getattr(pairs, f.name)[kept] for f in dataclasses.fields(pairs)}
    published = dataclasses.replace(halves.published, pairs=dataclasses.replace(pairs, **fields))
    sides = [encode(published, raw.take(a_few(raw, 80, 80))) for raw in (halves.members, halves.controls)]
    both, member = sides[0].join(sides[1]), np.repeat([True, False], 160)
    result = settle([membership(published, both, member, encode(published, drawn_of(published)))])
    cells = [f for f in result.findings if f.method.startswith("R4")]
    assert {(f.subjects, f.verdict) for f in cells if f.subjects == "fraud"} == {("fraud", "not measured")}
    assert all(f.reason == "no joint table of this class is told" for f in cells if f.subjects == "fraud")
    assert all(f.verdict != "not measured" for f in cells if f.subjects == "honest")


def trials(kind: str, value: list[float], by: str = "holm", attack: str = "label_inference") -> Trials:
    """Trials on five members, then on five controls, all persons apart."""
    half = len(value) // 2
    member = np.repeat([True, False], [half, len(value) - half])
    return Trials(
        attack, "m", "fraud", "row", kind, 0.02, by, np.array(value), member, np.arange(len(value))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("area", [0.5] * 10, "alike"),
        ("risk", [1.0] * 10, "every guess is right"),
        ("risk", [], "nobody"),
        ("area", [], "nobody"),
    ],
)
def test_a_line_that_could_not_tell_members_from_controls_is_not_measured(
    kind: str, value: list[float], reason: str
) -> None:
    line = pooled([trials(kind, value)])
    assert line.value is None
    assert reason in line.reason
    some = pooled([trials(kind, value), trials(kind, [0.0] * 5 + [1.0] * 5)])
    assert some.value is not None
    assert some.n == 5
    assert some.reason == f"1 of 2 releases left out: {line.reason}"
    (judged,) = settle([[trials(kind, value)]]).findings
    assert judged.to_json()["pass"] is None


def test_a_line_above_its_bound_is_broken_only_beyond_chance_and_else_open() -> None:
    """Ten lines at once, of which one is above by chance: that is no leak; a plain one is."""
    rng = np.random.default_rng(4)

    def line(rate: float, number: int) -> Trials:
        won = np.concatenate([rng.random(600) < rate, rng.random(600) < 0.3]).astype(np.float64)
        return dataclasses.replace(trials("risk", won.tolist()), method=f"m{number}")

    likely = [line(0.3, number) for number in range(9)]
    chance = line(0.375, 9)
    result = settle([[*likely, chance]])
    (last,) = [f for f in result.findings if f.method == "m9"]
    assert last.lower is not None
    assert last.lower > last.bound
    assert last.verdict == "open"
    assert not result.broken
    assert result.verdict == "open"
    assert [f.method for f in settle([[*likely, line(0.6, 10)]]).broken] == ["m10"]


def test_figures_that_are_asked_for_break_at_their_bound_as_they_stand() -> None:
    value = trials("mean", [0.0, 0.0, 0.0, 0.03, 0.03, 0.0], "value", "linkage")
    all_members = dataclasses.replace(value, member=np.ones(6, dtype=np.bool_), blind=0.001)
    (line,) = settle([[all_members]]).findings
    assert line.value == pytest.approx(0.01)
    assert line.verdict == "open"
    above = dataclasses.replace(all_members, value=all_members.value + 0.0101)
    (line,) = settle([[above]]).findings
    assert line.verdict == "broken"
    few = trials("risk", [0.0] * 60, "upper", "singling_out")
    (line,) = settle([[few]]).findings
    assert line.value == 0
    assert line.verdict == "broken"
    assert settle([[dataclasses.replace(few, by="holm")]]).findings[0].verdict == "open"


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
    assert found["membership_model_auc"]["value"] is None
    shown = found["membership_data_auc"]
    measured = [f.value for f in lines(on_release, "membership_data") if f.value is not None]
    assert shown["value"] == max(measured)
    assert (shown["bound"], shown["judged_by"], shown["pass"]) == (0.6, "value", shown["value"] <= 0.6)
    assert found["linkage"]["bound"] == 0.015
    (line,) = lines(on_release, "inference", "all")
    assert found["inference"]["value"] == line.upper


def test_guessing_the_right_group_is_told_beside_guessing_by_size(on_release: Result, on_raw: Result) -> None:
    for result, succeeds in ((on_release, False), (on_raw, True)):
        for line in lines(result, "right_group"):
            assert line.verdict == "told only"
            assert line.control is not None
            assert 0 < line.control < 1
            if succeeds:
                assert line.success > 0.9


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
