"""Pairs that data proposes: what is found, and that no few persons are behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from riskgraph.bench.pair_weight import plant
from riskgraph.core.catalog import NODE_COUNT, Catalog, catalog, read_table
from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.core.table import OrderTable
from riskgraph.ports import PairScreen, TrainingRows
from riskgraph.sandbox import Policy, proposal
from riskgraph.sandbox.proposal import (
    FoundPair,
    PairRequest,
    _checked,
    find_pairs,
    read_proposal,
    signed_proposal,
)
from riskgraph.sandbox.proposal_process import Crowds, PairJob, best_pairs, rounded
from riskgraph.sandbox.utility_process import RawRows
from tests.sandbox.conftest import UNTIL, FakeSigner, build_world

# No template pair, and nearly independent in this history.
PAIR = ("B005", "B071")
REQUEST = PairRequest(UNTIL, count=10)
LAW = Policy.default()


def _search(history: OrderTable) -> list[tuple[str, str]]:
    search = pytest.importorskip("riskgraph.models.pair_search", reason="fitting needs the extra train")
    pytest.importorskip("torch")
    found = find_pairs(history, search.left_over, REQUEST, libraries=("torch._dynamo",), policy=LAW)
    return [pair.nodes for pair in found]


@pytest.fixture(scope="module")
def history() -> OrderTable:
    return build_world(3, 4_000, 2_600, 1_400, 1_200)


def test_a_coupling_planted_in_fraud_alone_is_proposed_first(history: OrderTable) -> None:
    assert not {tuple(sorted(PAIR))} & {_ids(p.a, p.b) for p in catalog().pairs}
    assert _search(plant(history, [PAIR], 0.6, seed=1))[0] == PAIR


def test_a_coupling_of_twenty_persons_is_not_proposed(history: OrderTable) -> None:
    few = np.isin(history.account, np.unique(history.account[history.label == 1])[:20])
    among = plant(history.take(few), [PAIR], 1.0, seed=1)
    components = history.components.copy()
    components[few] = among.components
    assert PAIR not in _search(replace(history, components=components))


def _ids(a: int, b: int) -> tuple[str, ...]:
    return tuple(sorted((catalog().nodes[a].id, catalog().nodes[b].id)))


@dataclass(frozen=True)
class FakeScreen:
    """Gains of any size; what is looked at is whom they are told of."""

    bins: NDArray[np.uint8]
    gain: NDArray[np.float64]
    drawn: NDArray[np.float64]

    def interactions(self, a: int, b: int) -> NDArray[np.float64]:
        return self.gain[a, b]

    def redrawn(self, level: NDArray[np.float64]) -> FakeScreen:
        return replace(self, gain=self.drawn)


NODES = [n.index for n in catalog() if n.pairs_by_data][:4]
ENDS = [(a, b) for a in NODES for b in NODES if a < b and catalog().may_find(a, b)]


def _people(seed: int, spread: float) -> tuple[FakeScreen, Crowds]:
    """Some hundred persons of each class, some often, some in rings, on three bins of four nodes."""
    rng = np.random.default_rng(seed)
    unit = np.sort(rng.integers(0, 1_200, 3_000))
    label = (unit % 2).astype(np.int8)
    component = np.where(rng.random(1_200) < spread, 0, np.arange(1_200))[unit]
    bins = np.zeros((3_000, NODE_COUNT), dtype=np.uint8)
    weights = rng.dirichlet((1.0, 5.0, 5.0, 5.0), len(NODES))
    for node, share in zip(NODES, weights, strict=True):
        bins[:, node] = rng.choice(4, 1_200, p=share)[unit]
    gain = rng.random((NODE_COUNT, NODE_COUNT, 12, 12))
    return FakeScreen(bins, gain, np.zeros_like(gain)), Crowds(bins, label, unit, component, 50)


def _crowds(screen: FakeScreen, crowds: Crowds, a: int, b: int, i: int, j: int) -> Iterator[bool]:
    """The rule, quadrant by quadrant, in sets of persons."""
    for label, above, beyond in product((0, 1), (False, True), (False, True)):
        rows = [
            r
            for r in range(len(crowds.unit))
            if crowds.label[r] == label
            and screen.bins[r, a] > 0
            and screen.bins[r, b] > 0
            and (screen.bins[r, a] > i + 1) == above
            and (screen.bins[r, b] > j + 1) == beyond
        ]
        persons = {int(crowds.unit[r]) for r in rows}
        homes = {person: 0 for person in persons}
        for r in rows:
            homes[int(crowds.unit[r])] = int(crowds.component[r])
        sizes = [list(homes.values()).count(home) for home in set(homes.values())]
        yield len(persons) >= 50 and len(sizes) >= 5 and max(sizes) <= len(persons) / 2


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.7]))
def test_no_pair_is_told_for_a_cut_with_a_quadrant_of_under_fifty_persons(seed: int, spread: float) -> None:
    screen, crowds = _people(seed, spread)
    told = {(a, b): gain for gain, a, b in best_pairs(screen, crowds, 1_000)}
    for a, b in ENDS:
        holding = [
            float(screen.gain[a, b, i, j])
            for i, j in product(range(2), range(2))
            if all(_crowds(screen, crowds, a, b, i, j))
        ]
        # A person who gives more than a fifth of a quadrant's rows, or a ring half of them, may bar one more.
        assert told.get((a, b), 0.0) in {0.0, *holding}
    assert set(told) <= set(ENDS)


def test_cuts_of_crowds_are_told_and_the_order_is_that_of_their_gains() -> None:
    screen, crowds = _people(1, 0.0)
    told = best_pairs(screen, crowds, 1_000)
    assert len(told) >= 3
    assert told == sorted(told, reverse=True)
    assert best_pairs(screen, crowds, 2) == told[:2]


def test_what_twenty_persons_show_is_first_without_the_rule_and_not_told_with_it() -> None:
    screening = pytest.importorskip("riskgraph.models.screening")
    rng = np.random.default_rng(4)
    rows, (a, b) = 4_000, ENDS[0]
    bins = rng.integers(1, 11, (rows, NODE_COUNT)).astype(np.uint8)
    label = (np.arange(rows) < 800).astype(np.int8)
    # nobody is high on both but twenty frauds
    bins[(bins[:, a] > 8) & (bins[:, b] > 8), a] = 1
    bins[:20, [a, b]] = 12
    left = screening.LeftOver(bins, label, np.ones(rows), np.full(rows, 0.2))
    crowds = Crowds(bins, label, np.arange(rows), np.arange(rows), 50)
    free = {(x, y): left.interactions(x, y).max() for x, y, _ in crowds.candidates}
    assert max(free, key=lambda pair: free[pair]) == (a, b)
    assert (a, b) not in {(x, y) for _, x, y in best_pairs(left, crowds, 20)}


def test_pairs_that_gain_no_more_than_chance_are_not_told() -> None:
    screen, crowds = _people(2, 0.0)
    gains = [gain for gain, _, _ in best_pairs(screen, crowds, 10)]
    assert len(gains) >= 2

    def told(chance: float) -> int:
        noise = replace(screen, drawn=np.full_like(screen.gain, chance))
        job = PairJob(_rows(crowds.label), crowds.unit, crowds.component, lambda *_: noise, 10, 50, 0)
        return len(job.answer(lambda *_: None))

    assert [told(0.0), told(gains[1]), told(gains[0])] == [len(gains), 1, 0]


def _rows(label: NDArray[np.int8]) -> RawRows:
    empty = np.zeros((len(label), 0), dtype=np.float32)
    words = np.full(len(label), "pre_auth/front_end", dtype=object)
    return RawRows(empty, words, label, np.ones(len(label)), np.full(len(label), -1, dtype=np.int32))


def test_data_proposes_no_pair_that_is_one_nor_any_of_a_node_that_may_not_stand_alone_or_is_sensitive() -> (
    None
):
    book = catalog()
    barred = [n for n in book if not n.alone or n.sensitive]
    assert {"B084", "B086", "B113", "B115"} <= {n.id for n in barred}
    for a, b in product(range(NODE_COUNT), repeat=2):
        if book.may_find(a, b):
            assert a != b
            assert (min(a, b), max(a, b)) not in book.pair_index
            assert not {book.nodes[a].id, book.nodes[b].id} & {n.id for n in barred}


@given(st.floats(1e-6, 1e9))
def test_a_gain_is_told_with_one_digit(gain: float) -> None:
    assert len(f"{rounded(gain):e}".split("e")[0].rstrip("0").rstrip(".")) == 1
    assert abs(rounded(gain) - gain) <= gain / 2


GOOD = [*ENDS[0], 20.0]


@pytest.mark.parametrize(
    "lines",
    [
        [[ENDS[0][1], ENDS[0][0], 20.0]],
        [[0, 0, 20.0]],
        [[catalog().pairs[0].a, catalog().pairs[0].b, 20.0]],
        [[137, 138, 20.0]],
        [[*ENDS[0], 21.5]],
        [[*ENDS[0], 0.0]],
        [[*ENDS[0]]],
        [[*ENDS[0], 20.0, 3]],
        [[float(ENDS[0][0]), ENDS[0][1], 20.0]],
        [GOOD, GOOD],
        [GOOD, [*ENDS[1], 30.0]],
        [GOOD, [*ENDS[1], 10.0], [*ENDS[2], 10.0]],
    ],
)
def test_an_answer_that_is_not_of_the_closed_list_is_refused(lines: list[list[float]]) -> None:
    with pytest.raises(CheckFailed):
        _checked(lines, 2)


def test_an_answer_is_read_as_it_was_meant() -> None:
    found = _checked([GOOD, [*ENDS[1], 20.0]], 2)
    assert [p.nodes for p in found] == [_ids(*ENDS[0]), _ids(*ENDS[1])]


def quotes_a_row(rows: TrainingRows, seed: int) -> PairScreen:
    raise ValueError(f"secret {rows.components[0].tolist()}")


def hands_out_rows(rows: TrainingRows, seed: int) -> Any:
    return rows.components


@pytest.mark.parametrize(("thief", "stage"), [(quotes_a_row, "fitting"), (hands_out_rows, "searching")])
def test_what_is_said_in_the_process_stays_there(history: OrderTable, thief: Any, stage: str) -> None:
    with pytest.raises(CheckFailed, match=f"failed at {stage}") as failed:
        find_pairs(history, thief, REQUEST, policy=LAW)
    assert "secret" not in str(failed.value)


def test_too_few_persons_are_refused_before_anything_is_fitted(history: OrderTable) -> None:
    with pytest.raises(CheckFailed, match=r"more (fraud|honest) person.*missing"):
        find_pairs(history, quotes_a_row, replace(REQUEST, k=800), policy=LAW)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 301}, {"k": 49}])
def test_a_request_out_of_range_names_the_field(wrong: dict[str, int]) -> None:
    with pytest.raises(Invalid) as refused:
        replace(REQUEST, **wrong)
    assert refused.value.field == next(iter(wrong))


def _signed(signer: FakeSigner) -> dict[str, Any]:
    found = [FoundPair(("B005", "B071"), 30.0)]
    return signed_proposal(found, REQUEST, signer, provenance="simulated", code="test", at="2026-06-30")


def test_a_proposal_is_read_only_if_nothing_in_it_was_changed(signer: FakeSigner) -> None:
    made = _signed(signer)
    assert read_proposal(json.dumps(made, indent=3).encode(), signer)["pairs"][0]["nodes"] == ["B005", "B071"]
    for name in set(made) - {"key_id", "signature"}:
        with pytest.raises(CheckFailed, match="signature"):
            read_proposal(json.dumps({**made, name: "other"}).encode(), signer)
    for wrong in (b"", b"[]", b"{}", json.dumps({**made, "signature": "x"}).encode()):
        with pytest.raises(CheckFailed, match="no signed proposal"):
            read_proposal(wrong, signer)


def test_a_proposal_for_another_catalogue_is_refused(
    signer: FakeSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = json.dumps(_signed(signer)).encode()
    found = "from,to,proposal\npath_entropy,tab_hide_count,abc\n"
    other = Catalog.read(read_table("catalog.csv"), read_table("edges.csv"), found)
    monkeypatch.setattr(proposal, "catalog", lambda: other)
    with pytest.raises(CheckFailed, match=r"catalogue version 1, .* another \(1\.1\)"):
        read_proposal(data, signer)
