"""What is told of absent nodes stands for k persons, and no exact count follows from it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from riskgraph.core.catalog import NODE_COUNT
from riskgraph.core.subgraph import State
from riskgraph.sandbox.absence import CAUSES, fit_absence, tally_absence
from riskgraph.sandbox.frame import COMPONENT_COUNT, Frame
from riskgraph.sandbox.published import told_share
from riskgraph.sandbox.strata import COUNT, Pattern, blocked

K = 50
# a node that lies in no block
NODE = int(np.flatnonzero(~blocked().any(axis=0))[0])


def frame_of(unit: NDArray[np.int64], stratum: NDArray[np.int16], absent: NDArray[np.uint8]) -> Frame:
    """Honest rows of which one node has the given states, and every other node is there."""
    order = np.lexsort((stratum, unit))
    states = np.full((NODE_COUNT, len(unit)), State.PRESENT, dtype=np.uint8)
    states[NODE] = absent
    return Frame(
        source=np.arange(len(unit)),
        label=np.zeros(len(unit), dtype=np.int8),
        unit=unit[order],
        component=unit[order],
        stratum=stratum[order],
        values=np.full((COMPONENT_COUNT, len(unit)), np.nan, dtype=np.float32),
        states=states[:, order],
    )


@given(
    st.integers(0, 10_000), st.integers(60, 400), st.integers(1, 3), st.floats(0, 1), st.sampled_from([0, 1])
)
@settings(max_examples=80, deadline=None)
def test_a_pooled_share_of_presence_stands_for_k_persons(
    seed: int, people: int, strata: int, often: float, spread: int
) -> None:
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, people, 6 * people)
    # persons in one stratum each, or in any of them
    stratum = ((unit if spread else rng.integers(0, 9, len(unit))) % strata).astype(np.int16)
    # who lacks it once mostly lacks it everywhere, and so counts in several strata
    has = (rng.random(people) < often)[unit] ^ (rng.random(len(unit)) < 0.01)
    state = np.where(has, State.PRESENT, rng.choice(CAUSES, len(unit)))
    frame = frame_of(unit, stratum, state.astype(np.uint8))
    items = np.unique(frame.unit * COUNT + frame.stratum)
    shared = np.array([len(items) - len(np.unique(frame.unit)), 0])
    share = tally_absence(frame).rare_shares(shared, K)[0, :, NODE]
    for value in set(share[~np.isnan(share)].tolist()) - {0.0, 1.0}:
        inside = np.isin(frame.stratum, np.flatnonzero(share == value))
        there = frame.states[NODE] == State.PRESENT
        few = [len(np.unique(frame.unit[inside & side])) for side in (there, ~there)]
        assert min(few) >= K
    for code in np.unique(frame.stratum):
        mine = frame.stratum == code
        there = frame.states[NODE, mine] == State.PRESENT
        if 0 < len(np.unique(frame.unit[mine][there])) < K <= len(np.unique(frame.unit[mine][~there])) // 3:
            assert not np.isnan(share[code])


def test_a_node_of_a_block_that_a_stratum_lacks_is_still_told_of_k_persons_only() -> None:
    """Results of a payment may be there before it."""
    node = int(np.flatnonzero(blocked()[0])[0])
    state = np.full(400, State.NOT_DELIVERED, dtype=np.uint8)
    frame = frame_of(np.arange(400), np.zeros(400, dtype=np.int16), np.full(400, State.PRESENT, np.uint8))
    frame.states[node] = state
    nobody = np.zeros(2, dtype=np.int64)
    assert np.isnan(tally_absence(frame).rare_shares(nobody, K)[0, 0, node])
    frame.states[node, :12] = State.PRESENT
    assert tally_absence(frame).rare_shares(nobody, K)[0, 0, node] == 0
    frame.states[node, :60] = State.PRESENT
    assert np.isnan(tally_absence(frame).rare_shares(nobody, K)[0, 0, node])


def test_where_under_k_persons_have_a_node_and_under_k_lack_it_no_share_of_theirs_is_told() -> None:
    state = np.full(70, State.PRESENT, dtype=np.uint8)
    state[:30] = State.NOT_DELIVERED
    frame = frame_of(np.arange(70), np.zeros(70, dtype=np.int16), state)
    assert tally_absence(frame).rare_shares(np.zeros(2, dtype=np.int64), K)[0, 0, NODE] == 1


def test_a_share_of_causes_is_no_fraction_of_the_rows_and_a_cause_of_few_is_not_told() -> None:
    unit = np.arange(400)
    state = np.full(400, State.PRESENT, dtype=np.uint8)
    state[:120], state[120:200], state[200:240] = CAUSES
    frame = frame_of(unit, np.zeros(400, dtype=np.int16), state)
    noises = [np.random.default_rng(seed) for seed in (1, 2)]
    told = [fit_absence(tally_absence(frame), K, rng).cause[0, 0, :, NODE] for rng in noises]
    for shares in told:
        assert shares.sum() == np.float32(1)
        assert shares[2] == 0
        assert abs(shares[0] - 0.6) < 0.1
        assert shares[0] != np.float32(0.6)
    assert told[0][0] != told[1][0]


def test_where_no_cause_has_k_persons_none_is_told() -> None:
    state = np.full(400, State.PRESENT, dtype=np.uint8)
    state[:40] = State.REFUSED
    frame = frame_of(np.arange(400), np.zeros(400, dtype=np.int16), state)
    absence = fit_absence(tally_absence(frame), K, np.random.default_rng(0))
    assert not absence.cause[0, 0, :, NODE].any()


def test_blocks_are_those_that_a_pattern_names() -> None:
    assert blocked()[Pattern(0, 0, 0, 0).code].sum() > blocked()[Pattern(1, 2, 0, 0).code].sum() > 0
    assert not blocked()[Pattern(1, 2, 1, 1).code].any()


@given(st.floats(0, 1))
def test_a_told_share_is_never_below_the_share_and_at_most_a_twentieth_above(share: float) -> None:
    told = told_share(share)
    assert share - 1e-8 <= told < share + 0.05
    assert abs(told * 20 - round(told * 20)) < 1e-9
