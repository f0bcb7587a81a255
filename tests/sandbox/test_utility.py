"""The utility process: what a release costs, and that nothing but the cost comes out."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.errors import CheckFailed, Invalid, Unavailable
from riskgraph.core.table import OrderTable
from riskgraph.core.units import find_units
from riskgraph.governance.signing import Ed25519Signer
from riskgraph.models import registry
from riskgraph.sandbox.intake import microseconds
from riskgraph.sandbox.policy import Policy, objectors
from riskgraph.sandbox.utility import Cost, CostRequest, Judged, _folds, _job, measure_cost
from riskgraph.sandbox.utility_process import ALL, OTHER, Answer, _cells, answer_of
from tests.sandbox import fitters
from tests.sandbox.conftest import UNTIL, build_world

LAW = Policy.default()
REQUEST = CostRequest(UNTIL, seeds=1, folds=0, reps=20)


def two_times(early: OrderTable, late: OrderTable) -> OrderTable:
    """One table of two times; nobody of the first comes back in the second."""
    shift = {name: 10**7 for name in ("account", "device", "card", "address")}
    moved = {n: np.where(getattr(late, n) >= 0, getattr(late, n) + s, -1) for n, s in shift.items()}
    after = late.placed_at + microseconds(UNTIL + timedelta(days=140)) - microseconds(UNTIL)
    late = replace(late, placed_at=after, **moved)
    columns = {
        f.name: np.concatenate([getattr(early, f.name), getattr(late, f.name)]) for f in fields(OrderTable)
    }
    return OrderTable(**columns)


@pytest.fixture(scope="module")
def history() -> OrderTable:
    early = build_world(3, honest=2400, fraud=1000, honest_people=900, fraud_people=440)
    late = build_world(4, honest=1200, fraud=500, honest_people=500, fraud_people=200)
    return two_times(early, late)


@pytest.fixture(scope="module")
def judged(history: OrderTable) -> Judged:
    words = np.array(["farm", "takeover", "rare"], dtype=object)
    # Kinds by person: two large ones, and one of a handful of persons.
    place = np.where(history.account % 20 == 0, 2, history.account % 2)
    return Judged(history.label, words[place])


@pytest.fixture(scope="module")
def cost(history: OrderTable, judged: Judged) -> Cost:
    two = {"distance": fitters.distance, "coin": fitters.coin}
    return measure_cost(history, judged, two, replace(REQUEST, folds=2), policy=Policy.default())


def test_a_model_that_learns_beats_a_coin_on_raw_rows_and_on_the_release(cost: Cost) -> None:
    learned, coin = cost.cell("distance"), cost.cell("coin")
    assert learned is not None
    assert coin is not None
    assert learned.auc.raw > 0.8
    assert learned.auc.release > 0.8
    assert abs(coin.auc.raw - 0.5) < 0.1


def test_a_model_that_does_not_look_at_its_rows_loses_nothing(cost: Cost) -> None:
    for cell in (c for c in cost.cells if c.model == "coin"):
        for figure in (cell.auc, cell.recall):
            assert (figure.loss, figure.lower, figure.upper) == (0, 0, 0)


def test_a_loss_is_raw_less_release_and_lies_in_its_interval(cost: Cost) -> None:
    for figure in (f for c in cost.cells for f in (c.auc, c.recall)):
        assert figure.loss == pytest.approx(figure.raw - figure.release, abs=3e-5)
        assert figure.lower <= figure.loss <= figure.upper


def test_no_cell_stands_for_fewer_than_fifty_persons_and_rare_kinds_go_together(cost: Cost) -> None:
    assert min(cell.units for cell in cost.cells) >= 50
    assert {c.kind for c in cost.cells} <= {"all", "other", "farm", "takeover"}
    whole = cost.cell("distance")
    assert whole is not None
    assert sum(c.orders for c in cost.cells if (c.model, c.unseen) == ("distance", False)) == 2 * whole.orders


def test_kinds_are_judged_as_unseen_too(cost: Cost) -> None:
    assert cost.cell("distance", unseen=True) is not None
    assert cost.cell("distance", "rare", unseen=True) is None


@pytest.mark.slow
def test_the_same_seed_gives_the_same_cost(history: OrderTable, judged: Judged) -> None:
    one = {"distance": fitters.distance}
    first, second = (
        measure_cost(history, judged, one, REQUEST, policy=Policy.default()).to_json() for _ in range(2)
    )
    assert first == second


def test_no_person_and_no_component_is_in_training_and_in_the_test(
    history: OrderTable, judged: Judged
) -> None:
    for seed in range(5):
        job, _ = _job(history, judged, [fitters.coin], replace(REQUEST, seed=seed, hold_out=0.3), LAW)
        for who in (job.unit, job.component):
            assert not np.intersect1d(who[job.trained], who[job.test]).size
        assert history.placed_at[job.test].min() >= microseconds(UNTIL)
        assert history.placed_at[job.train].max() < microseconds(UNTIL)
        assert not (job.table.order_id != "").any()


def test_an_order_without_the_consent_takes_no_part(history: OrderTable, judged: Judged) -> None:
    willing = np.arange(len(history)) % 10 > 0
    job, _ = _job(replace(history, training_consent=willing), judged, [fitters.coin], REQUEST, LAW)
    assert willing[job.trained | job.test].all()


def test_an_order_of_a_shopper_who_objected_or_above_the_cap_takes_no_part(
    history: OrderTable, judged: Judged
) -> None:
    early = history.placed_at < microseconds(UNTIL)
    often = np.flatnonzero(early & (history.label == 0))[::40]
    account = history.account.copy()
    account[often] = account[often[0]]
    first = np.unique(account, return_index=True)[1]
    objected = np.zeros(len(history), dtype=np.bool_)
    objected[first[first != often[0]][::5]] = True
    table = replace(history, account=account, objected=objected)
    unit = find_units(table).unit
    table.objected[np.isin(unit, unit[often])] = False
    job, _ = _job(table, judged, [fitters.coin], replace(REQUEST, hold_out=0.0), LAW)
    assert table.objected.any()
    assert not objectors(table, unit)[job.trained | job.test].any()
    assert len(often) > 12
    assert np.unique(job.unit[job.trained] * 2 + table.label[job.trained], return_counts=True)[1].max() == 12


@given(st.lists(st.integers(0, 999), min_size=2, max_size=20), st.integers(1, 20))
def test_each_kind_is_left_out_once_and_no_fold_takes_all(sizes: list[int], folds: int) -> None:
    fold = _folds(np.array(sizes), folds)
    assert ((fold >= 0) & (fold < folds)).all()
    if folds > 1:
        assert len(np.unique(fold)) == min(folds, len(sizes))


class TestNothingElseComesOut:
    def test_a_fitter_can_keep_no_row_in_a_file_a_process_or_a_registry(
        self,
        history: OrderTable,
        judged: Judged,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv(fitters.FOLDER, str(tmp_path))
        shutil.copytree(registry.shipped_champion(), tmp_path / "model")
        before = {path: path.stat().st_size for path in tmp_path.rglob("*")}
        measure_cost(history, judged, {"thief": fitters.tries_everything}, REQUEST, policy=Policy.default())
        after = {path: path.stat().st_size for path in tmp_path.rglob("*")}
        # Native code can make a file, and put nothing into it.
        assert after.pop(tmp_path / "native", 0) == 0
        assert after == before
        assert registry.champion(tmp_path, Ed25519Signer(bytes(32))) is None
        assert capfd.readouterr() == ("", "")

    def test_rows_in_place_of_scores_are_refused(self, history: OrderTable, judged: Judged) -> None:
        with pytest.raises(CheckFailed, match="scoring model 1"):
            measure_cost(history, judged, {"thief": fitters.hands_out_rows}, REQUEST, policy=Policy.default())

    def test_an_error_that_quotes_a_row_stays_inside(self, history: OrderTable, judged: Judged) -> None:
        with pytest.raises(CheckFailed, match="fitting model 1") as failed:
            measure_cost(history, judged, {"thief": fitters.quotes_a_row}, REQUEST, policy=Policy.default())
        assert "secret" not in str(failed.value)
        assert failed.value.__cause__ is None

    def test_rows_through_the_pipe_itself_are_refused(self, history: OrderTable, judged: Judged) -> None:
        with pytest.raises(CheckFailed, match=r"more than any answer holds"):
            measure_cost(history, judged, {"thief": fitters.takes_the_pipe}, REQUEST, policy=Policy.default())

    def test_a_process_that_dies_is_told(self, history: OrderTable, judged: Judged) -> None:
        with pytest.raises(Unavailable, match="code 7"):
            measure_cost(history, judged, {"gone": fitters.dies}, REQUEST, policy=Policy.default())

    def test_every_number_that_comes_back_has_its_place_in_a_closed_list(self, cost: Cost) -> None:
        for cell in cost.to_json()["cells"]:
            assert set(cell) == {"model", "kind", "unseen", "orders", "units", "auc", "recall"}
            for figure in (cell["auc"], cell["recall"]):
                assert set(figure) == {"raw", "release", "loss", "lower", "upper"}
                # Five digits: no room for a score or a row between them.
                assert all(round(value, 5) == value for value in figure.values())


def _locked(target: Callable[..., None], *more: object) -> object:
    """What a locked process of its own sends."""
    context = get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=target, args=(its, *more))
    process.start()
    its.close()
    with mine:
        told = mine.recv()
    process.join()
    assert process.exitcode == 0
    return told


@pytest.mark.skipif(sys.platform == "win32", reason="ways out of a POSIX system")
class TestTheLock:
    def test_each_way_out_is_refused_and_a_folder_stays_as_it_was(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        from tests.sandbox import ways_out

        (tmp_path / "empty").mkdir()
        (tmp_path / "file").write_text("as it was")

        def look() -> list[object]:
            found = [tmp_path, *sorted(tmp_path.rglob("*"))]
            return [
                (p, p.stat().st_mode, p.stat().st_uid, p.stat().st_size, p.stat().st_mtime_ns) for p in found
            ]

        before = look()
        assert _locked(ways_out.try_all, tmp_path) == []
        assert look() == before
        assert capfd.readouterr() == ("", "")

    def test_one_pipe_stays_open(self) -> None:
        from tests.sandbox import ways_out

        assert _locked(ways_out.open_descriptors) == []


CELL = [0, ALL, 0, 80, 60, *[0.9, 0.8, 0.1, 0.05, 0.15] * 2]


def _said(*lines: list[float]) -> bytes:
    return json.dumps(lines).encode()


def test_an_answer_is_read_as_it_was_meant() -> None:
    answer = answer_of(_said([1], CELL), 1, 3)
    assert isinstance(answer, Answer)
    assert answer.cells[0].auc == (0.9, 0.8, 0.1, 0.05, 0.15)
    assert answer_of(_said([0, 2, 4]), 1, 3) == (2, 4)


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 1), (1, 3), (1, -3), (2, 2), (3, 59), (4, 49), (5, 1.5), (5, 7), (3, 80.5), (9, -2), (5, True)],
)
def test_a_cell_out_of_range_is_refused(place: int, value: float) -> None:
    wrong = [*CELL]
    wrong[place] = value
    with pytest.raises(CheckFailed):
        answer_of(_said([1], wrong), 1, 3)


@settings(max_examples=50)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_whatever_is_sent_is_a_typed_answer_or_refused(said: object) -> None:
    try:
        got = answer_of(json.dumps(said).encode(), 2, 3)
    except CheckFailed:
        return
    assert isinstance(got, (Answer, tuple))


@given(st.binary(max_size=60))
def test_bytes_that_are_no_json_are_refused(said: bytes) -> None:
    try:
        json.loads(said)
    except ValueError:
        with pytest.raises(CheckFailed):
            answer_of(said, 1, 1)


@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=8),
    st.integers(0, 3),
)
def test_no_difference_of_cells_stands_for_fewer_than_fifty_persons(sizes: list[int], folds: int) -> None:
    kind = np.repeat(np.arange(len(sizes)), sizes)
    unit, fold = np.arange(len(kind)), _folds(np.array(sizes), folds)[kind]
    cells = list(_cells(kind, unit, fold))
    for new in (False, True):
        masks = {code: mask for code, unseen, mask in cells if unseen == new}
        if masks:
            parts = sum(int(mask.sum()) for code, mask in masks.items() if code != ALL)
            left = int(masks[ALL].sum()) - parts
            assert left == 0 or parts == 0
            assert min(int(mask.sum()) for mask in masks.values()) >= 50
    assert {code for code, _, _ in cells} <= {ALL, OTHER, *range(len(sizes))}


@pytest.mark.parametrize("wrong", [{"k": 49}, {"seeds": 0}, {"folds": -1}, {"hold_out": 1.0}, {"reps": 1}])
def test_a_request_out_of_range_names_the_field(wrong: dict[str, float]) -> None:
    with pytest.raises(Invalid) as refused:
        replace(REQUEST, **wrong)
    assert refused.value.field == next(iter(wrong))


def test_a_cut_with_nobody_after_it_is_refused(history: OrderTable, judged: Judged) -> None:
    with pytest.raises(CheckFailed, match="the test has 0"):
        measure_cost(
            history,
            judged,
            {"coin": fitters.coin},
            replace(REQUEST, until=date(2027, 6, 30)),
            policy=Policy.default(),
        )


def test_a_class_with_too_few_persons_is_refused_with_what_is_missing(
    history: OrderTable, judged: Judged
) -> None:
    with pytest.raises(CheckFailed, match=r"more \w+ persons? .*missing"):
        measure_cost(
            history, judged, {"coin": fitters.coin}, replace(REQUEST, k=200), policy=Policy.default()
        )


def test_a_judge_of_another_length_is_refused(history: OrderTable, judged: Judged) -> None:
    with pytest.raises(Invalid, match="one label and kind per order"):
        measure_cost(
            history,
            Judged(judged.label[1:], judged.kind),
            {"coin": fitters.coin},
            REQUEST,
            policy=Policy.default(),
        )
