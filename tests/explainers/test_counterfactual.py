"""What could have been different: fewest, scored again, in the shopper's own hands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph import bootstrap
from riskgraph.core.catalog import catalog
from riskgraph.core.report import Counterfactual
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.core.verdict import DecisionTree, RiskScore, Thresholds, Verdict
from riskgraph.explainers.acts import _move, acts, changed, options
from riskgraph.explainers.counterfactual import EVALUATIONS, find_counterfactual
from riskgraph.explainers.texts import table
from riskgraph.settings import Settings
from tests.explainers.helpers import GameScorer, RandomScorer, logistic, random_subgraph

AVAILABILITY = "pre_auth/front_end"
TREE = bootstrap.load_tree(Settings())
UNGATED = DecisionTree.parse({**TREE.data, "gates": []})
seeds = st.integers(0, 10_000)
offsets = st.floats(-2.0, 6.0)
# What is said of consent, in either language, whatever the form of the word.
CONSENT = re.compile(
    r"consent|permi|allow|grant|agree|opt.in|refus|同意|授权|许可|允许|拒绝提供", re.IGNORECASE
)


def found(scorer: Any, subgraph: OrderSubgraph, tree: DecisionTree = TREE) -> Counterfactual | None:
    score = scorer.score(subgraph, AVAILABILITY)
    return find_counterfactual(subgraph, score, tree.walk(score), scorer, tree)


def verdict(scorer: Any, subgraph: OrderSubgraph, codes: Any = (), tree: DecisionTree = TREE) -> Verdict:
    """The verdict with some acts, on a subgraph that was checked as one from outside is."""
    chosen = [option for option in options(subgraph) if option.act.code in codes]
    order = changed(subgraph, chosen)
    checked = OrderSubgraph(order.states, order.components, order.shares)
    return tree.walk(scorer.score(checked, AVAILABILITY)).verdict


def sets(subgraph: OrderSubgraph, size: int) -> Iterator[tuple[str, ...]]:
    """Every set of acts that do not exclude each other."""
    for chosen in combinations(options(subgraph), size):
        if all(not a.act.nodes & b.act.nodes for a, b in combinations(chosen, 2)):
            yield tuple(option.act.code for option in chosen)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, offset=offsets)
def test_what_is_named_leads_to_the_verdict_that_is_named(seed: int, offset: float) -> None:
    scorer, subgraph = RandomScorer(seed, offset), random_subgraph(seed)
    told = found(scorer, subgraph)
    if told is not None and told.acts:
        assert verdict(scorer, subgraph, told.acts) is told.verdict
        assert told.verdict.milder(verdict(scorer, subgraph))


@settings(max_examples=40, deadline=None)
@given(seed=seeds, offset=offsets)
def test_no_fewer_acts_would_have_done(seed: int, offset: float) -> None:
    """Against every set by its definition, gates and all."""
    scorer, subgraph = RandomScorer(seed, offset), random_subgraph(seed)
    told, before = found(scorer, subgraph), verdict(scorer, subgraph)
    if told is None:
        assert before is Verdict.ACCEPT
        return
    fewer = range(1, len(told.acts) if told.acts else 4)
    assert not [
        chosen
        for size in fewer
        for chosen in sets(subgraph, min(size, 3))
        if verdict(scorer, subgraph, chosen).milder(before)
    ]


@settings(max_examples=60, deadline=None)
@given(seed=seeds, share=st.floats(0.0, 1.0), refused=st.sets(st.sampled_from(["behavior", "device"])))
def test_no_act_gives_data_that_is_not_there(seed: int, share: float, refused: set[str]) -> None:
    """GDPR Art. 7(4); PIPL Art. 16: consent is not sold as a way to pass."""
    subgraph = random_subgraph(seed, share, refused=tuple(refused))
    for option in options(subgraph):
        after = changed(subgraph, [option])
        gone = subgraph.present & ~after.present
        assert (after.states[~subgraph.present] == subgraph.states[~subgraph.present]).all()
        assert (after.states[gone] == State.NOT_APPLICABLE).all()
        same = np.nan_to_num(after.components, nan=-99.0) == np.nan_to_num(subgraph.components, nan=-99.0)
        moved = {catalog().component_node[place] for place in np.flatnonzero(~same).tolist()}
        assert moved == set(option.moved)
        assert all(catalog().nodes[i].actionable and not catalog().nodes[i].consent_needed for i in moved)


def test_no_text_of_a_counterfactual_names_consent() -> None:
    told = [text for act in acts() for text in act.text.values()]
    told += [text for act in acts() for move in act.moves for text in move.why.values()]
    told += [text for row in table("texts")["counterfactual"].values() for text in row.values()]
    assert len(told) > 50
    assert not [text for text in told if CONSENT.search(text)]


def test_every_node_that_the_catalogue_calls_actionable_is_in_an_act_or_left_out_for_a_reason() -> None:
    moved = {catalog().nodes[move.index].id for act in acts() for move in act.moves}
    left_out = table("acts")["left_out"]
    assert moved | set(left_out) == {node.id for node in catalog() if node.actionable}
    assert not moved & set(left_out)
    assert all(len(reason) > 20 for reason in left_out.values())


@pytest.mark.parametrize("key", ["B085", "B092", "B136", "B001"])
def test_the_table_cannot_name_what_a_shopper_cannot_act_on(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        _move(catalog()[key], {"to": "not_applicable", "why": {}})


def test_an_act_moves_only_what_follows_from_it() -> None:
    values = {"B110": "km1000", "B114": 400.0, "B112": 0.5, "B100": "known", "B069": 1.5, "B070": "passed"}
    values["B092"] = "y1"
    subgraph = random_subgraph(1, 0.0, fixed=values)
    told = {option.act.code: option for option in options(subgraph)}
    after = changed(subgraph, [told["own_address"]])
    assert [after.value(key) for key in ("B110", "B112", "B114", "B100")] == ["km0", 0.0, 400.0, "known"]
    # A usual amount, a passed check and the shop's known customer are not told to become so.
    assert not {"usual_amount", "strong_authentication", "unshared_address"} & set(told)


@pytest.mark.parametrize(
    ("code", "age", "told"),
    [
        ("own_address", "d181", False),
        ("own_address", "y1", True),
        ("own_card", "d31", False),
        ("own_card", "d181", True),
    ],
)
def test_nobody_is_told_to_go_back_to_what_is_older_than_the_account(code: str, age: str, told: bool) -> None:
    linked = {"accounts_24h": 2.0, "accounts_30d": 3.0, "orders_1h": 0.0, "orders_30d": 4.0}
    given = {"B092": age, "B110": "km1000", "B114": 1.0, "B132": linked, "B133": linked}
    order = random_subgraph(1, 0.0, fixed=given)
    assert (code in {option.act.code for option in options(order)}) is told


@pytest.mark.parametrize(("accounts", "told"), [(1.0, True), (2.0, False)])
def test_waiting_undoes_nothing_that_other_accounts_did(accounts: float, told: bool) -> None:
    linked = {"accounts_24h": 1.0, "accounts_30d": accounts, "orders_1h": 1.0, "orders_30d": 4.0}
    order = random_subgraph(1, 0.0, fixed={"B132": linked, "B133": linked, "B114": 1.0})
    (wait,) = [option for option in options(order) if option.act.code == "wait"]
    assert (catalog()["B132"].index in wait.moved) is told
    assert (catalog()["B133"].index in wait.moved) is told


def test_an_address_that_nobody_ordered_to_has_no_history() -> None:
    order = OrderSubgraph.build({"B114": 400.0, "B112": 0.5}, {})
    (option,) = [o for o in options(order) if o.act.code == "unshared_address"]
    assert changed(order, [option]).value("B114") == 0.0


class Counted(RandomScorer):
    """One for each node of a list that still has the value that it had."""

    def __init__(self, subgraph: OrderSubgraph, keys: list[str], offset: float) -> None:
        super().__init__()
        self._places = [catalog().component_slices[catalog()[key].index].start for key in keys]
        self._before, self.offset, self.asked = subgraph.components, offset, 0

    def score(self, subgraph: OrderSubgraph, availability: str) -> RiskScore:
        self.asked += 1
        terms = np.zeros(len(catalog().components))
        terms[self._places] = subgraph.components[self._places] == self._before[self._places]
        logit, pairs = self.offset + float(terms.sum()), np.zeros(len(catalog().pairs))
        line = Thresholds(0.5, 0.5)
        return RiskScore(availability, self.offset, logit, logistic(logit), line, terms, pairs)


SIX = {"B066": True, "B070": "failed", "B111": 0.2, "B096": "password", "B113": "depot", "B069": 5.0}


@pytest.mark.parametrize(("line", "count"), [(5.5, 1), (4.5, 2), (3.5, 3), (2.5, 4), (1.5, 5), (0.5, 6)])
def test_more_than_three_acts_are_found_too_and_none_of_them_can_be_spared(line: float, count: int) -> None:
    subgraph = random_subgraph(0, 0.0, fixed=SIX)
    scorer = Counted(subgraph, list(SIX), -line)
    told = found(scorer, subgraph, UNGATED)
    assert told is not None
    assert len(told.acts) == count
    assert told.search == ("exact" if count <= 3 else "greedy")
    assert told.evaluations == scorer.asked - 1
    assert verdict(scorer, subgraph, told.acts, UNGATED) is Verdict.ACCEPT
    assert list(told.acts) == [act.code for act in acts() if act.code in told.acts]


def test_the_gate_counts_a_reject_that_would_hang_on_one_node_is_no_reject() -> None:
    subgraph = random_subgraph(0, 0.0, fixed=SIX)
    scorer = Counted(subgraph, list(SIX), -3.5)
    with_gate, without = found(scorer, subgraph), found(scorer, subgraph, UNGATED)
    assert (len(with_gate.acts), with_gate.verdict) == (2, Verdict.REVIEW)
    assert (len(without.acts), without.verdict) == (3, Verdict.ACCEPT)


def test_where_nothing_helps_none_is_named() -> None:
    subgraph = random_subgraph(0, 0.0, fixed=SIX)
    told = found(Counted(subgraph, list(SIX), 1.0), subgraph)
    assert told is not None
    assert (told.acts, told.verdict) == ((), None)


def test_an_order_that_nobody_can_change_is_asked_about_no_further() -> None:
    subgraph = random_subgraph(0, 0.0, fixed={"B092": "d0", "B085": "granted"})
    scorer = Counted(subgraph, ["B092"], 3.0)
    told = found(scorer, subgraph)
    assert told is not None
    assert (told.acts, told.evaluations) == ((), 0)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, deep=st.floats(0.0, 1.5))
def test_a_model_without_terms_is_asked_a_bounded_number_of_times_and_has_the_last_word(
    seed: int, deep: float
) -> None:
    scorer, subgraph = GameScorer(seed, deep), random_subgraph(seed)
    told = found(scorer, subgraph)
    if told is None:
        return
    assert told.search == "bounded"
    assert told.evaluations <= EVALUATIONS["other"]
    if told.acts:
        assert verdict(scorer, subgraph, told.acts) is told.verdict
        assert told.verdict.milder(verdict(scorer, subgraph))


def test_the_same_order_gives_the_same_acts_however_far_it_lies_from_the_threshold() -> None:
    """The easiest of as few: not the one that clears a threshold by most."""
    subgraph = random_subgraph(0, 0.0, fixed=SIX)
    told = {found(Counted(subgraph, list(SIX), -line), subgraph, UNGATED).acts for line in (5.01, 5.5, 5.99)}
    assert told == {("card_details",)}


def test_changing_a_node_keeps_an_order_as_valid_as_one_from_outside() -> None:
    subgraph = random_subgraph(5)
    after = changed(subgraph, options(subgraph)[:1])
    assert OrderSubgraph.unpack(after.pack()) == after
